//! Differences that generated scripts have found, each by its name: what the real server does there and ours once did not.

use serde_json::{Value, json};

use super::EVERYTHING;
use super::driver::Driver;

/// Sends each request (session, method, parameters) to both servers.
fn replay(test: &str, steps: Vec<(usize, &str, Value)>) {
    let schema: Value = serde_json::from_str(EVERYTHING).unwrap();
    let Some(mut driver) = Driver::start(test, &schema) else { return };
    for (session, method, params) in steps {
        driver.exchange(session, method, params.as_array().unwrap()).unwrap();
    }
    driver.checkpoint().unwrap();
}

/// A transaction of one operation in the first session.
fn one(operation: Value) -> (usize, &'static str, Value) {
    (0, "transact", json!(["Everything", operation]))
}

fn insert(table: &str, row: Value) -> (usize, &'static str, Value) {
    one(json!({"op": "insert", "table": table, "row": row}))
}

fn mutate(table: &str, mutation: Value) -> (usize, &'static str, Value) {
    one(json!({"op": "mutate", "table": table, "where": [], "mutations": [mutation]}))
}

fn select(table: &str, condition: Value) -> (usize, &'static str, Value) {
    one(json!({"op": "select", "table": table, "where": [condition]}))
}

#[test]
fn insert_and_delete_are_refused_on_scalars_whatever_they_would_do() {
    replay(
        "insert_and_delete_are_refused_on_scalars_whatever_they_would_do",
        vec![
            mutate("root", json!(["name", "insert", ["set", []]])),
            mutate("root", json!(["flag", "delete", true])),
            mutate("pair", json!(["a", "insert", ["set", [0, 255]]])),
            mutate("root", json!(["who", "insert", ["set", []]])),
        ],
    );
}

#[test]
fn a_scalar_takes_exactly_one_member_and_the_count_is_looked_at_first() {
    replay(
        "a_scalar_takes_exactly_one_member_and_the_count_is_looked_at_first",
        vec![
            insert("need", json!({"note": ["set", ["5", "br0"]]})),
            insert("pair", json!({"d": ["set", [0.5, 0.5]]})),
            insert("leaf", json!({"next": ["set", [["uuid", "11111111-1111-4111-8111-111111111111"], 5]]})),
            mutate("kid", json!(["peer", "insert", ["set", [["named-uuid", "a"], ["named-uuid", "b"]]]])),
        ],
    );
}

#[test]
fn a_tag_without_an_array_is_refused_by_its_notation() {
    replay(
        "a_tag_without_an_array_is_refused_by_its_notation",
        vec![
            insert("leaf", json!({"tags": ["set", 5]})),
            insert("maps", json!({"words": ["map", [["a"]]]})),
            insert("maps", json!({"words": ["set", []]})),
            insert("root", json!({"number": ["set", 5]})),
        ],
    );
}

#[test]
fn a_column_of_the_wrong_type_is_told_in_english() {
    replay(
        "a_column_of_the_wrong_type_is_told_in_english",
        vec![
            select("kid", json!(["peer", ">=", ["uuid", "11111111-1111-4111-8111-111111111111"]])),
            select("strict", json!(["level", "<", ["set", [0, 7]]])),
            select("maps", json!(["words", "<", ["map", []]])),
            mutate("maps", json!(["sizes", "%=", 1000.0])),
            mutate("maps", json!(["counts", "+=", 1])),
            mutate("leaf", json!(["tags", "+=", "x"])),
        ],
    );
}

#[test]
fn constraints_hold_in_conditions_mutations_and_waits_too() {
    replay(
        "constraints_hold_in_conditions_mutations_and_waits_too",
        vec![
            select("strict", json!(["level", "includes", 5])),
            select("root", json!(["number", "==", 101])),
            select("root", json!(["text", "==", "x"])),
            mutate("root", json!(["colour", "insert", "blue"])),
            one(json!({
                "op": "wait", "table": "root", "where": [], "columns": ["number"], "until": "==", "rows": [{"number": 101}],
                "timeout": 0
            })),
        ],
    );
}

#[test]
fn what_is_left_over_in_an_operation_comes_before_any_other_error() {
    replay(
        "what_is_left_over_in_an_operation_comes_before_any_other_error",
        vec![
            one(json!({"op": "insert", "table": "root", "row": {"number": 101}, "surplus": 1})),
            one(json!({"op": "select", "table": "Nowhere", "where": [], "surplus": 1})),
            one(json!({"op": "mutate", "table": "Nowhere", "where": 5})),
            one(
                json!({"op": "wait", "table": "kid", "timeout": 0, "where": [], "columns": ["leaf"], "until": "<", "rows": []}),
            ),
            one(json!({"op": "assert", "lock": "L", "surplus": 1})),
        ],
    );
}

#[test]
fn a_weak_reference_that_a_row_cannot_do_without_is_told_by_how_it_was_lost() {
    let need = |value: Value| insert("need", json!({ "kid": value }));
    replay(
        "a_weak_reference_that_a_row_cannot_do_without_is_told_by_how_it_was_lost",
        vec![
            insert("need", json!({"note": "the default"})),
            need(json!(["named-uuid", "never"])),
            need(json!(["uuid", "11111111-1111-4111-8111-111111111111"])),
            (
                0,
                "transact",
                json!(["Everything",
            {"op": "insert", "table": "kid", "uuid-name": "k", "row": {}},
            {"op": "insert", "table": "root", "row": {"kids": ["named-uuid", "k"]}},
            {"op": "insert", "table": "need", "row": {"kid": ["named-uuid", "k"]}}]),
            ),
            one(json!({"op": "delete", "table": "root", "where": []})),
            (
                0,
                "transact",
                json!(["Everything",
            {"op": "delete", "table": "root", "where": []}, {"op": "delete", "table": "need", "where": []}]),
            ),
        ],
    );
}

#[test]
fn a_row_that_refers_to_itself_alone_goes() {
    replay(
        "a_row_that_refers_to_itself_alone_goes",
        vec![
            one(
                json!({"op": "insert", "table": "leaf", "uuid-name": "me", "row": {"next": ["named-uuid", "me"]}}),
            ),
            one(json!({"op": "select", "table": "leaf", "where": []})),
        ],
    );
}

#[test]
fn an_identifier_that_is_taken_is_quoted() {
    let insert =
        json!({"op": "insert", "table": "few", "row": {}, "uuid": "5bc038d8-7778-49ad-a4e7-f17aa94025ab"});
    replay("an_identifier_that_is_taken_is_quoted", vec![one(insert.clone()), one(insert)]);
}

#[test]
fn a_monitor_that_is_none_is_refused_in_the_real_words() {
    let monitor = |method, requests: Value| (1, method, json!(["Everything", "m", requests]));
    replay(
        "a_monitor_that_is_none_is_refused_in_the_real_words",
        vec![
            monitor("monitor", json!({"Nowhere": [{}]})),
            monitor("monitor", json!({"few": {"where": []}})),
            monitor("monitor", json!({"few": [{"columns": ["number"], "surplus": 1}]})),
            monitor("monitor", json!({"few": [{"columns": ["number", "number"]}]})),
            monitor("monitor", json!({"few": [{"columns": ["number"]}, {"columns": ["number"]}]})),
            monitor("monitor", json!({"few": [{"columns": ["nowhere"]}]})),
            monitor("monitor_cond", json!({"few": [{"where": [["number", "includes", "x"]]}]})),
            (1, "monitor_cond_since", json!(["Everything", "m", {"few": {}}, "x"])),
        ],
    );
}

#[test]
fn conditions_change_only_where_a_monitor_has_the_table_and_a_plain_one_has_none_to_change() {
    let name = "conditions_change_only_where_a_monitor_has_the_table_and_a_plain_one_has_none_to_change";
    replay(
        name,
        vec![
            (0, "monitor_cond_change", json!(["none", "none", {}])),
            (0, "monitor_cond", json!(["Everything", "m", {"few": [{"where": [["number", "==", 1]]}]}])),
            insert("few", json!({"number": 1})),
            insert("few", json!({"number": 2})),
            (0, "monitor_cond_change", json!(["m", "n", {"few": [{"where": [["number", "==", 2]]}]}])),
            (0, "monitor_cond_change", json!(["n", "n", {"root": [{"where": []}]}])),
            (0, "monitor_cond_change", json!(["n", "n", {"few": [{"where": [["number", "==", "x"]]}]}])),
            (1, "monitor", json!(["Everything", "p", {"few": {}}])),
            (
                1,
                "monitor_cond_change",
                json!(["p", "p", {"few": [{"where": [["number", "excludes", "x"]]}]}]),
            ),
            insert("root", json!({})),
            one(json!({"op": "update", "table": "few", "where": [], "row": {"number": 3}})),
        ],
    );
}

#[test]
fn locks_are_taken_waited_for_stolen_and_handed_on() {
    replay(
        "locks_are_taken_waited_for_stolen_and_handed_on",
        vec![
            (0, "lock", json!(["L"])),
            (1, "lock", json!(["L"])),
            (0, "lock", json!(["L"])),
            (2, "steal", json!(["L"])),
            (0, "transact", json!(["Everything", {"op": "assert", "lock": "L"}])),
            (2, "transact", json!(["Everything", {"op": "assert", "lock": "L"}])),
            (2, "unlock", json!(["L"])),
            (0, "unlock", json!(["L"])),
            (1, "unlock", json!(["L"])),
            (1, "unlock", json!(["L"])),
            (1, "lock", json!(["no id"])),
            (1, "unlock", json!([])),
            (1, "steal", json!([5])),
        ],
    );
}

#[test]
fn a_lock_is_told_of_again_when_a_waiter_goes_and_a_thief_that_was_robbed_waits_no_more() {
    let ask = |session, method, name| (session, method, json!([name]));
    replay(
        "a_lock_is_told_of_again_when_a_waiter_goes_and_a_thief_that_was_robbed_waits_no_more",
        vec![
            ask(0, "lock", "waited"),
            ask(1, "lock", "waited"),
            ask(1, "unlock", "waited"),
            ask(2, "steal", "waited"),
            ask(0, "unlock", "waited"),
            ask(2, "steal", "stolen"),
            ask(0, "steal", "stolen"),
            ask(2, "lock", "stolen"),
            ask(0, "unlock", "stolen"),
            ask(2, "lock", "stolen"),
            ask(2, "unlock", "stolen"),
            ask(2, "lock", "stolen"),
        ],
    );
}

#[test]
fn numbers_are_printed_with_fifteen_digits_and_without_a_fraction_where_there_is_none() {
    let update =
        |value: Value| one(json!({"op": "update", "table": "pair", "where": [], "row": {"d": value}}));
    let show = || one(json!({"op": "select", "table": "pair", "where": [], "columns": ["d"]}));
    let mut steps = vec![insert("pair", json!({}))];
    for value in [0.1, 1e15, 1e16, 1e17, 123_456_789.123_456_79, 1e-7, 1e300, -0.0, 2.0 / 3.0] {
        steps.extend([update(json!(value)), show()]);
    }
    steps.extend([
        mutate("pair", json!(["d", "*=", 3])),
        show(),
        mutate("pair", json!(["d", "/=", 0.7])),
        show(),
    ]);
    replay("numbers_are_printed_with_fifteen_digits_and_without_a_fraction_where_there_is_none", steps);
}

#[test]
fn a_column_that_any_condition_has_looked_at_modifies_rows_for_all_who_watch_the_same_columns() {
    let update = |row: Value| one(json!({"op": "update", "table": "root", "where": [], "row": row}));
    let watch = |columns: Value| json!({"root": {"columns": columns}});
    let below = json!({"root": [{"columns": ["real", "name"], "where": [["number", "<", 50]]}]});
    let change = |condition: Value| {
        (2, "monitor_cond_change", json!(["conditional", "conditional", {"root": [{"where": [condition]}]}]))
    };
    replay(
        "a_column_that_any_condition_has_looked_at_modifies_rows_for_all_who_watch_the_same_columns",
        vec![
            insert("root", json!({"name": "a", "number": 1})),
            (2, "monitor_cond", json!(["Everything", "conditional", below])),
            update(json!({"number": 2})),
            change(json!(["flag", "==", false])),
            update(json!({"number": 3})),
            (1, "monitor", json!(["Everything", "plain", watch(json!(["name", "real"]))])),
            (1, "monitor", json!(["Everything", "other", watch(json!(["name"]))])),
            update(json!({"number": 4})),
            update(json!({"flag": true})),
            change(json!(["name", "==", "a"])),
            update(json!({"number": 5})),
            (2, "monitor_cancel", json!(["conditional"])),
            update(json!({"number": 6})),
            (1, "monitor_cancel", json!(["plain"])),
            (1, "monitor", json!(["Everything", "anew", watch(json!(["name", "real"]))])),
            update(json!({"number": 7})),
        ],
    );
}
