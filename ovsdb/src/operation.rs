//! The operations of a transaction (RFC 7047 section 5.2), built by name so that no caller writes their JSON by hand.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::value::Row;

/// A condition: column, function, value.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition(Value);

impl Condition {
    /// `column function value`, for example `name == "eth0"`; `function` as RFC 7047 section 5.1 `<function>`.
    pub fn new(column: &str, function: &str, value: impl Into<Value>) -> Self {
        Self(json!([column, function, value.into()]))
    }

    /// `column == value`.
    pub fn equals(column: &str, value: impl Into<Value>) -> Self {
        Self::new(column, "==", value)
    }

    /// The row of that identifier.
    pub fn row(uuid: Uuid) -> Self {
        Self::equals("_uuid", uuid_json(uuid))
    }

    /// Its notation.
    pub fn to_json(&self) -> Value {
        self.0.clone()
    }
}

/// A mutation: column, mutator, value.
#[derive(Clone, Debug, PartialEq)]
pub struct Mutation(Value);

impl Mutation {
    /// Adds elements or pairs to a column.
    pub fn insert(column: &str, value: impl Into<Value>) -> Self {
        Self(json!([column, "insert", value.into()]))
    }

    /// Takes elements or pairs out of a column.
    pub fn delete(column: &str, value: impl Into<Value>) -> Self {
        Self(json!([column, "delete", value.into()]))
    }

    /// Adds to a number.
    pub fn add(column: &str, value: impl Into<Value>) -> Self {
        Self(json!([column, "+=", value.into()]))
    }
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation(Value);

fn conditions(conditions: &[Condition]) -> Value {
    conditions.iter().map(Condition::to_json).collect()
}

impl Operation {
    /// Inserts a row; `name` lets other operations refer to it by [`named_uuid`].
    pub fn insert(table: &str, row: &Row, name: Option<&str>) -> Self {
        let mut operation = json!({"op": "insert", "table": table, "row": row});
        if let Some(name) = name {
            operation["uuid-name"] = json!(name);
        }
        Self(operation)
    }

    /// Reads `columns` of the rows that fulfil all conditions; no columns means all.
    pub fn select(table: &str, wheres: &[Condition], columns: &[&str]) -> Self {
        let mut operation = json!({"op": "select", "table": table, "where": conditions(wheres)});
        if !columns.is_empty() {
            operation["columns"] = json!(columns);
        }
        Self(operation)
    }

    /// Sets columns of the rows that fulfil all conditions.
    pub fn update(table: &str, wheres: &[Condition], row: &Row) -> Self {
        Self(json!({"op": "update", "table": table, "where": conditions(wheres), "row": row}))
    }

    /// Changes columns of the rows that fulfil all conditions.
    pub fn mutate(table: &str, wheres: &[Condition], mutations: &[Mutation]) -> Self {
        let mutations: Vec<&Value> = mutations.iter().map(|mutation| &mutation.0).collect();
        Self(json!({"op": "mutate", "table": table, "where": conditions(wheres), "mutations": mutations}))
    }

    /// Deletes the rows that fulfil all conditions.
    pub fn delete(table: &str, wheres: &[Condition]) -> Self {
        Self(json!({"op": "delete", "table": table, "where": conditions(wheres)}))
    }

    /// Fails the transaction unless, at once, the rows that fulfil all conditions are (`equal`) or are not `rows` in
    /// these columns. With no columns and no rows it asks whether there is such a row at all.
    pub fn require(table: &str, wheres: &[Condition], columns: &[&str], equal: bool, rows: &[Row]) -> Self {
        Self(json!({
            "op": "wait", "timeout": 0, "table": table, "where": conditions(wheres), "columns": columns,
            "until": if equal { "==" } else { "!=" }, "rows": rows
        }))
    }

    /// Words for the server's log.
    pub fn comment(text: &str) -> Self {
        Self(json!({"op": "comment", "comment": text}))
    }

    /// Its notation.
    pub fn into_json(self) -> Value {
        self.0
    }
}

/// `["uuid", ...]`.
pub fn uuid_json(uuid: Uuid) -> Value {
    json!(["uuid", uuid.to_string()])
}

/// `["named-uuid", ...]`: a row that the same transaction inserts under that name.
pub fn named_uuid(name: &str) -> Value {
    json!(["named-uuid", name])
}

/// A set in its long form.
pub fn set(elements: impl IntoIterator<Item = Value>) -> Value {
    json!(["set", elements.into_iter().collect::<Vec<_>>()])
}

/// A map of strings.
pub fn map<K: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (K, V)>) -> Value {
    let pairs: Vec<Value> = pairs.into_iter().map(|(k, v)| json!([k.as_ref(), v.as_ref()])).collect();
    json!(["map", pairs])
}
