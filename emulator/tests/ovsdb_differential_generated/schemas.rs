//! Schemas that a client brings (`convert`), right and wrong, and rows under another schema: the real server's words, and the schema
//! that it prints afterwards.

use serde_json::{Value, json};

use super::peers::{Ours, Peer as _, Real, Session};

/// Both servers on a database of a column of every kind.
struct Pair {
    sessions: [Session; 2],
    _servers: (Real, Ours),
    differences: Vec<String>,
}

impl Pair {
    fn start(test: &str) -> Option<Self> {
        let schema = with_column(json!({"type": "integer"}));
        let real = Real::start(test, &schema)?;
        let ours = Ours::start(&schema);
        let mut sessions = [real.connect(), ours.connect()];
        for session in &mut sessions {
            // Whoever does not know that databases change is disconnected when they do.
            session.call("set_db_change_aware", &[json!(true)]);
        }
        Some(Self { sessions, _servers: (real, ours), differences: Vec::new() })
    }

    /// The real server's answer; keeps a difference.
    fn ask(&mut self, method: &str, params: &[Value]) -> Value {
        let [theirs, ours] = self.sessions.each_mut().map(|session| session.call(method, params));
        if theirs != ours {
            self.differences.push(format!("{method} {}\n  real: {theirs}\n  ours: {ours}", json!(params)));
        }
        theirs
    }

    /// Tries a schema; gives whether the real server takes it.
    fn convert(&mut self, schema: &Value) -> bool {
        let taken = self.ask("convert", &[json!("T"), schema.clone()]) == json!({});
        if taken {
            self.ask("get_schema", &[json!("T")]);
        }
        taken
    }

    fn end(self) {
        let Self { differences, .. } = self;
        assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
    }
}

fn with_table(table: Value) -> Value {
    json!({"name": "T", "version": "1.0.0", "tables": {"t": table}})
}

fn with_column(column: Value) -> Value {
    with_table(json!({"columns": {"a": column}}))
}

fn with_key(key: Value) -> Value {
    with_column(json!({"type": {"key": key, "min": 0}}))
}

/// The simplest schema, with one more member.
fn and(name: &str, value: Value) -> Value {
    let mut schema = with_column(json!({"type": "integer"}));
    schema[name] = value;
    schema
}

/// The simplest table, with one more member.
fn table_and(name: &str, value: Value) -> Value {
    let mut table =
        json!({"columns": {"a": {"type": "integer"}, "b": {"type": "integer", "ephemeral": true}}});
    table[name] = value;
    with_table(table)
}

fn column_named(name: &str) -> Value {
    with_table(json!({"columns": {name: {"type": "integer"}}}))
}

fn databases() -> Vec<Value> {
    let table = json!({"columns": {"a": {"type": "integer"}}});
    let mut all = vec![
        json!(5),
        json!(null),
        json!([]),
        json!({}),
        json!({"name": "T"}),
        json!({"name": "T", "tables": 5}),
        json!({"name": 5, "tables": {}}),
        json!({"name": "T", "tables": {}}),
        json!({"name": "T", "version": "1.0.0", "tables": {"_t": table}}),
        json!({"name": "T", "version": "1.0.0", "tables": {"1t": table}}),
        json!({"name": "T", "version": "1.0.0", "tables": {"": table}}),
        and("name", json!("U")),
        and("name", json!("1T")),
        and("cksum", json!(5)),
        and("cksum", json!("12345 678")),
        and("cksum", json!("")),
        and("surplus", json!(1)),
    ];
    let versions = [
        "1.0",
        "",
        "1.2.3.4",
        "a.b.c",
        "1.2.3x",
        " 1.2.3",
        "01.2.3",
        "-1.2.3",
        "+1.2.3",
        "1. 2.3",
        "1.2.3 ",
        "1 .2.3",
        "1.2.",
        "1..3",
        "99999999999.0.0",
        "1.2.--3",
        "1.2.\t3",
    ];
    all.extend(versions.map(|version| and("version", json!(version))));
    all.push(and("version", json!(1)));
    all
}

fn tables() -> Vec<Value> {
    let mut all = vec![
        with_table(json!(5)),
        with_table(json!({})),
        with_table(json!({"columns": {}})),
        with_table(json!({"columns": 5})),
        table_and("surplus", json!(1)),
        column_named("_a"),
        column_named("1a"),
        column_named(""),
        column_named("a b"),
    ];
    let members = [
        ("mutable", vec![json!(5), json!(false), json!(true)]),
        ("isRoot", vec![json!(1), json!(true), json!(false)]),
        (
            "maxRows",
            vec![
                json!(0),
                json!(-1),
                json!(1.5),
                json!(2.0),
                json!("1"),
                json!(1),
                json!(4_294_967_294_u64),
                json!(4_294_967_295_u64),
                json!(1_u64 << 62),
                json!(1e30),
            ],
        ),
        (
            "indexes",
            vec![
                json!(5),
                json!([]),
                json!([[]]),
                json!(["a"]),
                json!([["a"]]),
                json!([["c"]]),
                json!([["a", "a"]]),
                json!([["a"], ["a"]]),
                json!([[5]]),
                json!([["_uuid"]]),
                json!([["_uuid", "a"]]),
                json!([["_version"]]),
                json!([["b"]]),
            ],
        ),
    ];
    all.extend(
        members
            .into_iter()
            .flat_map(|(name, values)| values.into_iter().map(move |value| table_and(name, value))),
    );
    all
}

fn columns() -> Vec<Value> {
    let columns = [
        json!(5),
        json!({}),
        json!({"type": 5}),
        json!({"type": "int"}),
        json!({"type": "void"}),
        json!({"type": ""}),
        json!({"type": "integer", "mutable": 1}),
        json!({"type": "integer", "ephemeral": "x"}),
        json!({"type": "integer", "ephemeral": true, "mutable": false}),
        json!({"type": "integer", "surplus": 1}),
    ];
    let types = [
        json!({}),
        json!({"type": "integer"}),
        json!({"key": 5}),
        json!({"key": "integer", "surplus": 1}),
        json!({"key": "integer", "value": 5}),
        json!({"key": "integer", "value": "void"}),
        json!({"key": "integer", "value": "string"}),
        json!({"key": "integer", "min": 2}),
        json!({"key": "integer", "min": -1}),
        json!({"key": "integer", "min": "0"}),
        json!({"key": "integer", "min": 0.5}),
        json!({"key": "integer", "min": 0, "max": 0}),
        json!({"key": "integer", "max": -1}),
        json!({"key": "integer", "max": "many"}),
        json!({"key": "integer", "max": "unlimited"}),
        json!({"key": "integer", "max": 4_294_967_294_u64}),
        json!({"key": "integer", "max": 4_294_967_295_u64}),
        json!({"key": "integer", "max": true}),
        json!({"key": "integer", "max": 2.0}),
    ];
    columns.into_iter().chain(types.map(|kind| json!({ "type": kind }))).map(with_column).collect()
}

fn keys() -> Vec<Value> {
    let uuid = json!(["uuid", "11111111-1111-4111-8111-111111111111"]);
    let keys = [
        json!({}),
        json!({"type": 5}),
        json!({"type": "x"}),
        json!({"type": "integer", "surplus": 1}),
        json!({"type": "integer", "minInteger": 5, "maxInteger": 4}),
        json!({"type": "integer", "minInteger": 5, "maxInteger": 4, "surplus": 1}),
        json!({"type": "integer", "minInteger": 5, "maxInteger": 5}),
        json!({"type": "integer", "minInteger": 1.5}),
        json!({"type": "integer", "maxInteger": "x"}),
        json!({"type": "integer", "minInteger": i64::MIN, "maxInteger": i64::MAX}),
        json!({"type": "integer", "minReal": 1}),
        json!({"type": "integer", "minLength": 1}),
        json!({"type": "integer", "refTable": "t"}),
        json!({"type": "real", "minReal": 5, "maxReal": 4}),
        json!({"type": "real", "minReal": "x"}),
        json!({"type": "real", "minReal": 1, "maxReal": 2.5}),
        json!({"type": "real", "minInteger": 1}),
        json!({"type": "string", "minInteger": 1}),
        json!({"type": "string", "minLength": 5, "maxLength": 4}),
        json!({"type": "string", "minLength": -1}),
        json!({"type": "string", "minLength": 0, "maxLength": 4_294_967_295_u64}),
        json!({"type": "string", "maxLength": 4_294_967_296_u64}),
        json!({"type": "string", "maxLength": 7}),
        json!({"type": "string", "minLength": "x"}),
        json!({"type": "boolean", "minLength": 1}),
        json!({"type": "uuid", "refTable": "t"}),
        json!({"type": "uuid", "refTable": "x"}),
        json!({"type": "uuid", "refTable": 5}),
        json!({"type": "uuid", "refTable": "1x"}),
        json!({"type": "uuid", "refTable": "t", "refType": "weak"}),
        json!({"type": "uuid", "refTable": "t", "refType": "strong"}),
        json!({"type": "uuid", "refTable": "t", "refType": "x"}),
        json!({"type": "uuid", "refTable": "t", "refType": ""}),
        json!({"type": "uuid", "refTable": "t", "refType": 5}),
        json!({"type": "uuid", "refType": "weak"}),
    ];
    let enumerations = [
        ("integer", json!(["set", []])),
        ("integer", json!(5)),
        ("integer", json!("x")),
        ("integer", json!(["set", [1, 1]])),
        ("boolean", json!(true)),
        ("real", json!(["set", [2.5, 1]])),
        ("uuid", json!(["set", [uuid]])),
        ("uuid", json!(["named-uuid", "x"])),
        ("string", json!(["set", ["b", "a"]])),
        ("string", json!(["set", ["a", 5]])),
        ("string", json!(null)),
        ("string", json!(["map", []])),
    ];
    let enumerations = enumerations.map(|(kind, values)| json!({"type": kind, "enum": values}));
    let both = [
        json!({"type": "integer", "enum": 1, "minInteger": 1}),
        json!({"type": "integer", "enum": "x", "surplus": 1}),
    ];
    keys.into_iter().chain(enumerations).chain(both).map(with_key).collect()
}

/// What holds between tables.
fn references() -> Vec<Value> {
    let of = |column: Value, root: Value, kid: Value| {
        json!({"name": "T", "version": "1.0.0", "tables": {
            "root": {"isRoot": root, "columns": {"kid": column}},
            "kid": {"isRoot": kid, "columns": {"a": {"type": "integer"}}},
        }})
    };
    let refers = |kind: &str| json!({"key": {"type": "uuid", "refTable": "kid", "refType": kind}, "min": 0});
    let mut all = vec![with_column(
        json!({"type": {"key": "integer", "value": {"type": "uuid", "refTable": "x"}, "min": 0}}),
    )];
    for kind in ["strong", "weak"] {
        let column = json!({"type": refers(kind), "ephemeral": true, "mutable": false});
        for (root, kid) in [(true, false), (true, true), (false, false)] {
            all.push(of(column.clone(), json!(root), json!(kid)));
        }
    }
    all
}

#[test]
fn a_schema_is_taken_or_refused_in_the_real_words_and_printed_alike() {
    let Some(mut pair) = Pair::start("a_schema_is_taken_or_refused_in_the_real_words_and_printed_alike")
    else {
        return;
    };
    let all = [databases(), tables(), columns(), keys(), references()].concat();
    let taken = all.iter().filter(|schema| pair.convert(schema)).count();
    assert!((40..all.len() - 60).contains(&taken), "{taken} of {} were taken", all.len());
    let base = with_column(json!({"type": "integer"}));
    for params in [
        json!([]),
        json!(["T"]),
        json!([5, base]),
        json!(["X", base]),
        json!(["T", base, 1]),
        json!(["_Server", base]),
    ] {
        pair.ask("convert", params.as_array().unwrap());
    }
    pair.end();
}

/// Types with values that they can hold.
fn typed_values() -> Vec<(Value, Vec<Value>)> {
    let set = |items: Value| json!(["set", items]);
    let one = json!(["map", [["a", 1]]]);
    vec![
        (json!("integer"), vec![json!(5), json!(0)]),
        (json!("real"), vec![json!(1.5), json!(2)]),
        (json!("string"), vec![json!("x"), json!("")]),
        (json!("boolean"), vec![json!(true)]),
        (json!("uuid"), vec![json!(["uuid", "11111111-1111-4111-8111-111111111111"])]),
        (json!({"key": "integer", "min": 0}), vec![set(json!([])), json!(5)]),
        (
            json!({"key": "integer", "min": 0, "max": "unlimited"}),
            vec![set(json!([])), set(json!([1, 2, 3, 4]))],
        ),
        (json!({"key": "integer", "max": 3}), vec![json!(1), set(json!([1, 2]))]),
        (
            json!({"key": "real", "min": 0, "max": "unlimited"}),
            vec![set(json!([1, 1.5])), set(json!([2, 3]))],
        ),
        (json!({"key": "string", "min": 0, "max": "unlimited"}), vec![set(json!(["a", "b"]))]),
        (
            json!({"key": "string", "value": "integer", "min": 0, "max": "unlimited"}),
            vec![json!(["map", []]), one.clone()],
        ),
        (json!({"key": "string", "value": "real", "min": 0, "max": "unlimited"}), vec![one.clone()]),
        (json!({"key": "string", "value": "integer"}), vec![one]),
        (json!({"key": {"type": "integer", "minInteger": 10}}), vec![json!(12)]),
        (json!({"key": {"type": "integer", "enum": ["set", [1, 2]]}}), vec![json!(1)]),
        (json!({"key": {"type": "string", "minLength": 3}}), vec![json!("abc")]),
    ]
}

#[test]
fn rows_are_read_by_another_schema_as_the_real_server_reads_them() {
    let Some(mut pair) = Pair::start("rows_are_read_by_another_schema_as_the_real_server_reads_them") else {
        return;
    };
    let select = json!({"op": "select", "table": "t", "where": [], "columns": ["a"]});
    let (mut converted, mut refused) = (0, 0);
    for (from, values) in typed_values() {
        for (value, (to, _)) in
            values.iter().flat_map(|value| typed_values().into_iter().map(move |to| (value, to)))
        {
            assert!(pair.convert(&json!({"name": "T", "tables": {}})), "an empty database");
            assert!(pair.convert(&with_column(json!({ "type": from }))), "{from}");
            let insert = json!({"op": "insert", "table": "t", "row": {"a": value}});
            for session in &mut pair.sessions {
                session.call("transact", &[json!("T"), insert.clone()]);
            }
            let taken = pair.convert(&with_column(json!({ "type": to })));
            *if taken { &mut converted } else { &mut refused } += 1;
            pair.ask("transact", &[json!("T"), select.clone()]);
        }
    }
    assert!(converted > 60 && refused > 100, "{converted} were converted, {refused} refused");
    assert!(pair.convert(&json!({"name": "T", "tables": {}})), "an empty database");
    // A column that the old schema has not begins with its default, whatever its constraints say.
    assert!(pair.convert(&with_column(json!({"type": "integer"}))));
    for session in &mut pair.sessions {
        session.call("transact", &[json!("T"), json!({"op": "insert", "table": "t", "row": {"a": 7}})]);
    }
    let mut wider = with_column(json!({"type": "integer"}));
    wider["tables"]["t"]["columns"]["b"] = json!({"type": {"key": {"type": "integer", "minInteger": 10}}});
    pair.convert(&wider);
    pair.ask(
        "transact",
        &[json!("T"), json!({"op": "select", "table": "t", "where": [], "columns": ["a", "b"]})],
    );
    pair.end();
}

#[test]
fn a_schema_whose_rules_the_rows_break_is_refused_for_it() {
    let Some(mut pair) = Pair::start("a_schema_whose_rules_the_rows_break_is_refused_for_it") else { return };
    let row = |a: i64| json!({"op": "insert", "table": "t", "row": {"a": a}});
    for session in &mut pair.sessions {
        session.call("transact", &[json!("T"), row(1), row(2)]);
    }
    let refers = json!({"key": {"type": "uuid", "refTable": "t"}, "min": 0});
    for schema in [
        table_and("maxRows", json!(1)),
        table_and("maxRows", json!(2)),
        table_and("indexes", json!([["a"]])),
        // Nothing refers to its rows, so they go.
        json!({"name": "T", "tables": {
            "t": {"columns": {"a": {"type": "integer"}}}, "r": {"isRoot": true, "columns": {"t": {"type": refers}}}
        }}),
    ] {
        pair.convert(&schema);
        pair.ask(
            "transact",
            &[
                json!("T"),
                json!({"op": "select", "table": "t", "where": [], "columns": ["a"], "sort": ["a"]}),
            ],
        );
    }
    pair.end();
}
