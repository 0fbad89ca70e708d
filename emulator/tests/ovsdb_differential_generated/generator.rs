//! Requests that a schema suggests: transactions of several operations with references between them, monitors of all three
//! kinds with conditions, locks, and mistakes. Everything follows from the seed and from what the servers answered.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use nuage_ovsdb::schema::{AtomicType, ColumnSchema, ColumnType, DatabaseSchema, TableSchema};
use serde_json::{Map, Value, json};

use super::values::{Dice, NOBODY, Rows, Values, ZERO};
use super::watched::{Watch, Watched, looks_at, scope};

/// How many rows of a table are remembered for references.
const REMEMBERED: usize = 12;

/// A request for one of the sessions.
pub(crate) struct Step {
    pub(crate) session: usize,
    pub(crate) method: &'static str,
    pub(crate) params: Vec<Value>,
    /// The tables of its inserts, by position in the answer.
    pub(crate) inserts: Vec<Option<String>>,
    /// What it does to monitors, if it is not refused.
    pub(crate) watch: Option<Watch>,
}

/// What a generator is about.
pub(crate) struct Subject {
    pub(crate) schema: DatabaseSchema,
    /// The tables that requests are about; more of one makes it likelier.
    pub(crate) tables: Vec<&'static str>,
}

/// Makes requests.
pub(crate) struct Generator<'a> {
    dice: Dice,
    seed: u64,
    subject: &'a Subject,
    sessions: usize,
    known: Known,
    monitors: Vec<Vec<String>>,
    /// What is watched, as far as it was not refused.
    pub(crate) watched: Watched,
    counter: usize,
}

/// Rows that may be referred to.
#[derive(Default)]
struct Known {
    rows: BTreeMap<String, Vec<String>>,
    /// The named rows of the transaction in the making.
    named: RefCell<Vec<(String, String)>>,
}

impl Rows for Known {
    fn reference(&self, dice: &Dice, table: &str) -> Value {
        let named = self.named.borrow();
        let named: Vec<&String> = named.iter().filter(|(_, of)| of == table).map(|(name, _)| name).collect();
        let known = self.rows.get(table).filter(|rows| !rows.is_empty());
        match known {
            _ if !named.is_empty() && dice.chance(60) => json!(["named-uuid", dice.pick(&named)]),
            Some(rows) if dice.chance(92) => json!(["uuid", dice.pick(rows)]),
            // Outside of transactions no name means anything, and one mistake is enough.
            _ if !named.is_empty() && dice.chance(10) => json!(["named-uuid", "never"]),
            _ => json!(["uuid", dice.pick(&[ZERO, NOBODY])]),
        }
    }
}

impl<'a> Generator<'a> {
    pub(crate) fn new(seed: u64, subject: &'a Subject, sessions: usize) -> Self {
        Self {
            dice: Dice::new(seed),
            seed,
            subject,
            sessions,
            known: Known::default(),
            monitors: vec![Vec::new(); sessions],
            watched: Watched::default(),
            counter: 0,
        }
    }

    /// A row that a transaction made.
    pub(crate) fn remember(&mut self, table: &str, uuid: &str) {
        let rows = self.known.rows.entry(table.to_owned()).or_default();
        rows.push(uuid.to_owned());
        if rows.len() > REMEMBERED {
            rows.remove(0);
        }
    }

    /// The rows that are really there, in the order of the answer.
    pub(crate) fn replace(&mut self, rows: BTreeMap<String, Vec<String>>) {
        self.known.rows = rows;
    }

    /// The next request.
    pub(crate) fn step(&mut self) -> Step {
        let session = self.dice.below(self.sessions);
        self.counter += 1;
        let mistake = self.dice.chance(30);
        let (method, params, inserts) = match self.dice.below(100) {
            0..72 => self.transaction(mistake),
            72..78 => self.monitor(session, "monitor", mistake),
            78..84 => self.monitor(session, "monitor_cond", mistake),
            84..88 => self.monitor(session, "monitor_cond_since", mistake),
            88..92 => self.change(session, mistake),
            92..94 => self.cancel(session),
            94..97 => self.lock(),
            97..99 => self.waiting(),
            _ => self.odd(),
        };
        let watch = watch(method, &params);
        Step { session, method, params, inserts, watch }
    }

    fn table(&self) -> (&'a str, &'a TableSchema) {
        let name = *self.dice.pick(&self.subject.tables);
        (name, &self.subject.schema.tables[name])
    }

    fn values(&self, mistake: bool) -> Values<'_> {
        Values { dice: &self.dice, rows: &self.known, mistake }
    }

    fn transaction(&self, mistake: bool) -> (&'static str, Vec<Value>, Vec<Option<String>>) {
        let count = 1 + self.dice.below(4);
        let kinds: Vec<usize> = (0..count).map(|_| self.dice.below(100)).collect();
        let tables: Vec<&str> = (0..count).map(|_| self.table().0).collect();
        // Names first, so that references may go forward.
        let mut named = Vec::new();
        for (position, table) in tables.iter().enumerate() {
            if kinds[position] < 40 && self.dice.chance(60) {
                named.push((format!("n{position}"), (*table).to_owned()));
            }
        }
        self.known.named.replace(named);
        let mut values = self.values(mistake);
        let mut params = vec![json!(self.subject.schema.name)];
        let mut inserts = Vec::new();
        for (position, table) in tables.iter().enumerate() {
            let schema = &self.subject.schema.tables[*table];
            let operation = self.operation(&mut values, kinds[position], position, table, schema);
            inserts.push((operation["op"] == "insert").then(|| (*table).to_owned()));
            params.push(operation);
        }
        self.known.named.replace(Vec::new());
        ("transact", params, inserts)
    }

    fn operation(
        &self,
        values: &mut Values<'_>,
        kind: usize,
        position: usize,
        table: &str,
        schema: &TableSchema,
    ) -> Value {
        let mut operation = match kind {
            0..40 => self.insert(values, position, table, schema),
            40..52 => {
                json!({"op": "update", "where": self.conditions(values, schema), "row": update_row(values, schema)})
            }
            52..68 => {
                let (conditions, mutations) = self.mutations(values, schema);
                json!({"op": "mutate", "where": conditions, "mutations": mutations})
            }
            68..76 => json!({"op": "delete", "where": self.conditions(values, schema)}),
            76..86 => self.select(values, schema),
            86..93 => self.wait(values, schema, Some(0)),
            _ => return self.small(values, kind),
        };
        operation["table"] = if values.err(2) { json!("Nowhere") } else { json!(table) };
        if values.err(3) {
            operation["surplus"] = json!(1);
        }
        if values.err(3) {
            operation.as_object_mut().unwrap().remove(*self.dice.pick(&[
                "where",
                "row",
                "table",
                "mutations",
            ]));
        }
        operation
    }

    fn small(&self, values: &mut Values<'_>, kind: usize) -> Value {
        match kind {
            93 if values.err(50) => json!({"op": "frob"}),
            94 if values.err(50) => json!(*self.dice.pick(&[5, 6])),
            95 if values.err(50) => json!({"op": "commit"}),
            93 | 94 => json!({"op": "comment", "comment": "said"}),
            95 | 96 => json!({"op": "commit", "durable": false}),
            97 => json!({"op": "abort"}),
            _ => json!({"op": "assert", "lock": self.lock_name()}),
        }
    }

    fn insert(&self, values: &mut Values<'_>, position: usize, table: &str, schema: &TableSchema) -> Value {
        let mut row = Map::new();
        for (name, column) in &schema.columns {
            let needed = column.kind.min == 1 && self.dice.chance(70);
            if needed || self.dice.chance(25) {
                row.insert(name.clone(), values.column(&column.kind));
            }
        }
        if values.err(2) {
            row.insert("nowhere".into(), json!(1));
        }
        let mut operation = json!({"op": "insert", "row": row});
        let name = format!("n{position}");
        if self.known.named.borrow().iter().any(|(known, _)| *known == name) {
            operation["uuid-name"] = json!(if values.err(3) { "n0" } else { name.as_str() });
        } else if self.dice.chance(30) {
            let known = self.known.rows.get(table).filter(|rows| !rows.is_empty() && self.dice.chance(15));
            operation["uuid"] = match known {
                Some(rows) => json!(self.dice.pick(rows)),
                None => json!(self.dice.uuid()),
            };
        }
        operation
    }

    fn conditions(&self, values: &mut Values<'_>, schema: &TableSchema) -> Value {
        match self.dice.below(10) {
            0 => json!([]),
            1 => json!([self.dice.chance(60)]),
            2..5 => json!([self.one_row(values, schema)]),
            _ => (0..=self.dice.below(2)).map(|_| self.condition(values, schema)).collect(),
        }
    }

    /// A condition that at most one row fulfils.
    fn one_row(&self, values: &Values<'_>, schema: &TableSchema) -> Value {
        let tables = &self.subject.schema.tables;
        let table = tables.iter().find(|(_, one)| std::ptr::eq(*one, schema)).map_or("", |(name, _)| name);
        let reference = values.rows.reference(&self.dice, table);
        json!(["_uuid", "==", reference])
    }

    fn condition(&self, values: &mut Values<'_>, schema: &TableSchema) -> Value {
        if values.err(6) {
            return match self.dice.below(4) {
                0 => json!(["nowhere", "==", 1]),
                1 => json!(["_uuid", "~", ["uuid", NOBODY]]),
                2 => json!([1, 2]),
                _ => json!("x"),
            };
        }
        let (name, column) = self.column(schema);
        let numeric = matches!(column.kind.key.atomic, AtomicType::Integer | AtomicType::Real);
        let ordered = numeric && (column.kind.is_scalar() || column.kind.is_optional());
        if (ordered && self.dice.chance(50)) || values.err(10) {
            let function = *self.dice.pick(&["<", "<=", ">", ">="]);
            // Nothing is less than no value; that is a mistake, and one request is to have one.
            let mut value = values.column(&column.kind);
            if value == json!(["set", []]) && !values.err(100) {
                value = json!(0);
            }
            return json!([name, function, value]);
        }
        let function = *self.dice.pick(&["==", "!=", "includes", "excludes"]);
        json!([name, function, values.column(&column.kind)])
    }

    fn column<'s>(&self, schema: &'s TableSchema) -> (&'s String, &'s ColumnSchema) {
        schema.columns.iter().nth(self.dice.below(schema.columns.len())).unwrap()
    }

    fn mutations(&self, values: &mut Values<'_>, schema: &TableSchema) -> (Value, Value) {
        let (mut risky, mut mutations) = (false, Vec::new());
        for _ in 0..=self.dice.below(2) {
            let (name, column) = self.column(schema);
            let number = matches!(column.kind.key.atomic, AtomicType::Integer | AtomicType::Real);
            let allowed = column.mutable && (number || !column.kind.is_scalar());
            if !allowed && !values.err(20) {
                continue;
            }
            let (mutation, arithmetic) = self.mutation(values, name, &column.kind);
            risky |= arithmetic || column.kind.max.is_some() || column.kind.min > 0;
            mutations.push(mutation);
        }
        // Which of several rows breaks a rule first comes from a hash.
        let conditions =
            if risky { json!([self.one_row(values, schema)]) } else { self.conditions(values, schema) };
        (conditions, Value::Array(mutations))
    }

    fn mutation(&self, values: &mut Values<'_>, name: &str, kind: &ColumnType) -> (Value, bool) {
        if values.err(6) {
            return (
                self.dice.pick(&[json!([name, "^=", 1]), json!([name, "+=", "x"]), json!([name])]).clone(),
                true,
            );
        }
        let number =
            matches!(kind.key.atomic, AtomicType::Integer | AtomicType::Real) && kind.value.is_none();
        if number && self.dice.chance(60) {
            let mutator = *self.dice.pick(&["+=", "-=", "*=", "/=", "%="]);
            let plain = nuage_ovsdb::schema::BaseType::plain(kind.key.atomic);
            let mut operand = values.atom(&plain);
            // The real server crashes where it multiplies a negative by nothing.
            if mutator == "*=" && operand == json!(0) {
                operand = json!(1);
            }
            return (json!([name, mutator, operand]), true);
        }
        let mutator = *self.dice.pick(&["insert", "delete"]);
        let count = self.dice.below(3);
        if mutator == "delete" && kind.value.is_some() && self.dice.chance(50) {
            let keys = ColumnType { value: None, ..kind.clone() };
            return (json!([name, mutator, values.of_size(&keys, count)]), false);
        }
        (json!([name, mutator, values.of_size(kind, count)]), false)
    }

    /// Columns of a select: with `_version` only beside `_uuid`, since it alone cannot be told apart.
    fn columns(&self, values: &mut Values<'_>, schema: &TableSchema) -> Vec<String> {
        let mut names: Vec<String> =
            schema.columns.keys().filter(|_| self.dice.chance(30)).cloned().collect();
        if self.dice.chance(40) {
            names.push("_uuid".to_owned());
            if self.dice.chance(50) {
                names.push("_version".to_owned());
            }
        }
        if values.err(5) {
            names.push("nowhere".to_owned());
        } else if !names.is_empty() && values.err(3) {
            names.push(names[0].clone());
        }
        names
    }

    fn select(&self, values: &mut Values<'_>, schema: &TableSchema) -> Value {
        let mut operation = json!({"op": "select", "where": self.conditions(values, schema)});
        if self.dice.chance(70) {
            operation["columns"] = json!(self.columns(values, schema));
        }
        operation
    }

    fn wait(&self, values: &mut Values<'_>, schema: &TableSchema, timeout: Option<u64>) -> Value {
        let (name, column) = self.column(schema);
        let rows: Vec<Value> =
            (0..self.dice.below(3)).map(|_| json!({name.clone(): values.column(&column.kind)})).collect();
        let until = if values.err(5) { "<" } else { *self.dice.pick(&["==", "!="]) };
        let mut operation = json!({
            "op": "wait", "where": self.conditions(values, schema), "columns": [name], "until": until, "rows": rows
        });
        if let Some(timeout) = timeout {
            operation["timeout"] = json!(timeout);
        }
        operation
    }

    /// A transaction that may have to wait for others; it only reads, because the real server merges the updates of
    /// commits that it makes in one turn of its loop.
    fn waiting(&self) -> (&'static str, Vec<Value>, Vec<Option<String>>) {
        let (table, schema) = self.table();
        let mut wait = self.wait(&mut self.values(false), schema, None);
        wait["table"] = json!(table);
        let select = json!({"op": "comment", "comment": "waited"});
        ("transact", vec![json!(self.subject.schema.name), wait, select], Vec::new())
    }

    fn monitor(
        &mut self,
        session: usize,
        method: &'static str,
        mistake: bool,
    ) -> (&'static str, Vec<Value>, Vec<Option<String>>) {
        let mut mistakes = self.values(mistake);
        let mut requests = Map::new();
        for _ in 0..=self.dice.below(2) {
            let (table, schema) = self.table();
            let mut request = json!({});
            if self.dice.chance(85) {
                let mut columns = self.columns(&mut mistakes, schema);
                // The identifier is the key of what is told.
                columns.retain(|name| name != "_uuid");
                request["columns"] = json!(columns);
            }
            if self.dice.chance(30) {
                let kinds = ["initial", "insert", "delete", "modify"];
                let select: Map<String, Value> = kinds
                    .iter()
                    .filter(|_| self.dice.chance(40))
                    .map(|kind| ((*kind).to_owned(), json!(self.dice.chance(50))))
                    .collect();
                request["select"] = Value::Object(select);
            }
            if (method != "monitor" && self.dice.chance(60)) || mistakes.err(3) {
                request["where"] = self.conditions(&mut mistakes, schema);
            }
            if mistakes.err(4) {
                request["surplus"] = json!(1);
            }
            let name = if mistakes.err(4) { "Nowhere" } else { table };
            requests.insert(name.to_owned(), if self.dice.chance(70) { json!([request]) } else { request });
        }
        if self.watched.breaks_open(&scope(&requests), &looks_at(&requests)) {
            for request in requests.values_mut() {
                let one = if request.is_array() { &mut request[0] } else { request };
                one.as_object_mut().unwrap().remove("where");
            }
        }
        let again = self.monitors[session].first().filter(|_| mistakes.err(10)).cloned();
        let id = again.unwrap_or_else(|| format!("m{}", self.counter));
        let mut params = vec![json!(self.subject.schema.name), json!(id), Value::Object(requests)];
        if method == "monitor_cond_since" {
            params.push(json!(*self.dice.pick(&[ZERO, NOBODY])));
        }
        self.monitors[session].push(id);
        (method, params, Vec::new())
    }

    fn change(&mut self, session: usize, mistake: bool) -> (&'static str, Vec<Value>, Vec<Option<String>>) {
        let Some(old) = self.monitors[session].last().cloned() else {
            return ("monitor_cond_change", vec![json!("none"), json!("none"), json!({})], Vec::new());
        };
        let (table, schema) = self.table();
        let mut mistakes = self.values(mistake);
        let mut conditions = self.conditions(&mut mistakes, schema);
        let requests = Map::from_iter([(table.to_owned(), json!([{"where": conditions}]))]);
        if self.watched.breaks_change(session, &old, &looks_at(&requests)) {
            conditions = json!([]);
        }
        let new = if self.dice.chance(50) { old.clone() } else { format!("c{}", self.counter) };
        let requests = json!({table: [{"where": conditions}]});
        if new != old {
            self.monitors[session].push(new.clone());
        }
        ("monitor_cond_change", vec![json!(old), json!(new), requests], Vec::new())
    }

    fn cancel(&mut self, session: usize) -> (&'static str, Vec<Value>, Vec<Option<String>>) {
        let id = self.monitors[session].pop().unwrap_or_else(|| "none".to_owned());
        ("monitor_cancel", vec![json!(id)], Vec::new())
    }

    fn lock(&self) -> (&'static str, Vec<Value>, Vec<Option<String>>) {
        let method = *self.dice.pick(&["lock", "lock", "steal", "unlock", "unlock"]);
        let name = if self.dice.chance(20) { "no id".to_owned() } else { self.lock_name() };
        (method, vec![json!(name)], Vec::new())
    }

    /// A script's own: a server may still hold those of the sessions before it for a moment.
    fn lock_name(&self) -> String {
        format!("{}{}", self.dice.pick(&["one", "two"]), self.seed)
    }

    fn odd(&self) -> (&'static str, Vec<Value>, Vec<Option<String>>) {
        let name = json!(self.subject.schema.name);
        let (method, params) = match self.dice.below(8) {
            0 => ("get_schema", vec![name]),
            1 => ("get_schema", vec![json!("Nowhere")]),
            2 => ("transact", vec![]),
            3 => ("transact", vec![json!("Nowhere")]),
            4 => ("transact", vec![name]),
            5 => ("frobnicate", vec![name]),
            6 => ("lock", vec![]),
            _ => ("monitor_cancel", vec![]),
        };
        (method, params, Vec::new())
    }
}

/// A row of an update: columns that cannot change only by mistake.
fn update_row(values: &mut Values<'_>, schema: &TableSchema) -> Value {
    let mut row = Map::new();
    for (name, column) in &schema.columns {
        if values.dice.chance(20) && (column.mutable || values.err(40)) {
            row.insert(name.clone(), values.column(&column.kind));
        }
    }
    if values.err(2) {
        row.insert("nowhere".into(), json!(1));
    }
    Value::Object(row)
}

/// What a request does to monitors.
fn watch(method: &str, params: &[Value]) -> Option<Watch> {
    let id = |at: usize| Some(params.get(at)?.as_str()?.to_owned());
    match method {
        "monitor" | "monitor_cond" | "monitor_cond_since" => {
            let requests = params.get(2)?.as_object()?;
            let conditional = method != "monitor";
            let looks_at = if conditional { looks_at(requests) } else { BTreeSet::new() };
            Some(Watch::Open { id: id(1)?, scope: scope(requests), conditional, looks_at })
        }
        "monitor_cond_change" => {
            Some(Watch::Change { from: id(0)?, to: id(1)?, looks_at: looks_at(params.get(2)?.as_object()?) })
        }
        "monitor_cancel" => Some(Watch::Close(id(0)?)),
        _ => None,
    }
}
