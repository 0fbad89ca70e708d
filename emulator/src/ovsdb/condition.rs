//! Conditions and mutations (RFC 7047 section 5.1): read from JSON against a table, then applied to values. Pure.

use std::collections::BTreeSet;

use nuage_ovsdb::Uuid;
use nuage_ovsdb::schema::{AtomicType, ColumnType, read_atom};
use nuage_ovsdb::value::{Atom, Datum};
use serde_json::Value;

use super::failure::Failure;
use super::storage::{Column, RowData, Table};

/// Resolves a `named-uuid`.
pub(super) type Names<'a> = &'a mut dyn FnMut(&str) -> Option<Uuid>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Function {
    Equal,
    NotEqual,
    Includes,
    Excludes,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// One clause of a `where`.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    /// `None`: the clause is a boolean constant.
    column: Option<Column>,
    function: Function,
    argument: Datum,
}

fn no_column(table: &Table, name: &str, json: &Value) -> Failure {
    Failure::new("unknown column", format!("No column {name} in table {}.", table.name)).about(json)
}

/// Reads a `where`.
pub(super) fn read_conditions(
    table: &Table,
    json: &Value,
    names: Names<'_>,
) -> Result<Vec<Condition>, Failure> {
    let clauses = json.as_array().ok_or_else(|| Failure::syntax("array expected", json))?;
    clauses.iter().map(|clause| read_condition(table, clause, names)).collect()
}

fn read_condition(table: &Table, json: &Value, names: Names<'_>) -> Result<Condition, Failure> {
    if let Some(constant) = json.as_bool() {
        let function = if constant { Function::Equal } else { Function::NotEqual };
        return Ok(Condition { column: None, function, argument: Datum::Set(BTreeSet::new()) });
    }
    let [Value::String(name), Value::String(function), argument] =
        json.as_array().map_or(&[][..], Vec::as_slice)
    else {
        return Err(Failure::syntax("Parse error in condition.", json));
    };
    let column = table.column(name).ok_or_else(|| no_column(table, name, json))?;
    let function = match function.as_str() {
        "==" => Function::Equal,
        "!=" => Function::NotEqual,
        "includes" => Function::Includes,
        "excludes" => Function::Excludes,
        "<" => Function::Less,
        "<=" => Function::LessEqual,
        ">" => Function::Greater,
        ">=" => Function::GreaterEqual,
        other => {
            let details = format!("No function named {other}.");
            return Err(Failure::new("unknown function", details));
        }
    };
    let kind = table.kind(column);
    let ordered =
        matches!(function, Function::Less | Function::LessEqual | Function::Greater | Function::GreaterEqual);
    let number = matches!(kind.key.atomic, AtomicType::Integer | AtomicType::Real);
    if ordered && !(number && (kind.is_scalar() || kind.is_optional())) {
        let symbol = &json[1].as_str().unwrap_or_default();
        let details = format!(
            "Type mismatch: \"{symbol}\" operator may not be applied to column {name} of type {}.",
            kind.key.atomic.name()
        );
        return Err(Failure::syntax(details, json));
    }
    let exact = matches!(function, Function::Equal | Function::NotEqual);
    let argument = if exact { kind.read(argument, names)? } else { kind.read_any_size(argument, names)? };
    Ok(Condition { column: Some(column), function, argument })
}

impl Condition {
    /// Whether a row fulfils it.
    pub(super) fn holds(&self, uuid: Uuid, row: &RowData) -> bool {
        let Some(column) = self.column else { return self.function == Function::Equal };
        let argument = &self.argument;
        if let Column::Data(position) = column {
            return compare(self.function, &row.values[position], argument);
        }
        compare(self.function, &row.value(uuid, column), argument)
    }

    /// The one row that can fulfil it, if it asks for a row by its identifier.
    pub(super) fn row(&self) -> Option<Uuid> {
        match (self.column, self.function, &self.argument) {
            (Some(Column::Uuid), Function::Equal, Datum::Set(set)) => match set.first() {
                Some(Atom::Uuid(uuid)) => Some(*uuid),
                _ => None,
            },
            _ => None,
        }
    }

    /// The column and value that it asks to be equal.
    pub(super) fn equality(&self) -> Option<(usize, &Datum)> {
        match (self.column, self.function) {
            (Some(Column::Data(position)), Function::Equal) => Some((position, &self.argument)),
            _ => None,
        }
    }
}

fn compare(function: Function, value: &Datum, argument: &Datum) -> bool {
    match function {
        Function::Equal => value == argument,
        Function::NotEqual => value != argument,
        Function::Includes => includes(value, argument),
        Function::Excludes => excludes(value, argument),
        _ => {
            let (Datum::Set(a), Datum::Set(b)) = (value, argument) else { return false };
            let (Some(a), Some(b)) = (a.first(), b.first()) else { return false };
            match function {
                Function::Less => a < b,
                Function::LessEqual => a <= b,
                Function::Greater => a > b,
                _ => a >= b,
            }
        }
    }
}

fn includes(value: &Datum, part: &Datum) -> bool {
    match (value, part) {
        (Datum::Set(value), Datum::Set(part)) => part.is_subset(value),
        (Datum::Map(value), Datum::Map(part)) => part.iter().all(|(k, v)| value.get(k) == Some(v)),
        _ => false,
    }
}

fn excludes(value: &Datum, part: &Datum) -> bool {
    match (value, part) {
        (Datum::Set(value), Datum::Set(part)) => part.is_disjoint(value),
        (Datum::Map(value), Datum::Map(part)) => part.iter().all(|(k, v)| value.get(k) != Some(v)),
        _ => false,
    }
}

/// One mutation, applied to a value at a time.
#[derive(Clone, Debug)]
pub(super) struct Mutation {
    pub(super) column: usize,
    kind: ColumnType,
    mutator: String,
    argument: Argument,
}

#[derive(Clone, Debug)]
enum Argument {
    Number(Atom),
    Datum(Datum),
    /// `delete` on a map takes a set of keys, too.
    Keys(BTreeSet<Atom>),
}

/// Reads the `mutations` of a mutate.
pub(super) fn read_mutations(
    table: &Table,
    json: &Value,
    names: Names<'_>,
) -> Result<Vec<Mutation>, Failure> {
    let mutations = json.as_array().ok_or_else(|| Failure::syntax("array expected", json))?;
    mutations.iter().map(|mutation| read_mutation(table, mutation, names)).collect()
}

fn read_mutation(table: &Table, json: &Value, names: Names<'_>) -> Result<Mutation, Failure> {
    let [Value::String(name), Value::String(mutator), argument] =
        json.as_array().map_or(&[][..], Vec::as_slice)
    else {
        return Err(Failure::syntax("Parse error in mutation.", json));
    };
    let Some(Column::Data(column)) = table.column(name) else {
        let Some(_) = table.column(name) else { return Err(no_column(table, name, json)) };
        let details = format!("Cannot mutate immutable column {name} in table {}.", table.name);
        return Err(Failure::constraint(details).about(json));
    };
    let schema = &table.columns[column].1;
    if !schema.mutable {
        let details = format!("Cannot mutate immutable column {name} in table {}.", table.name);
        return Err(Failure::constraint(details).about(json));
    }
    let kind = schema.kind.clone();
    let argument = match mutator.as_str() {
        "+=" | "-=" | "*=" | "/=" | "%=" => {
            let atomic = kind.key.atomic;
            let real = atomic == AtomicType::Real && mutator != "%=";
            if kind.value.is_some() || !(atomic == AtomicType::Integer || real) {
                let details = format!(
                    "Type mismatch: \"{mutator}\" operator may not be applied to column {name} of type {}.",
                    atomic.name()
                );
                return Err(Failure::syntax(details, json));
            }
            Argument::Number(read_atom(argument, atomic, names)?)
        }
        "delete" if kind.value.is_some() && argument[0] != "map" => {
            let keys = ColumnType { value: None, ..kind.clone() };
            match keys.read_any_size(argument, names)? {
                Datum::Set(keys) => Argument::Keys(keys),
                Datum::Map(_) => return Err(Failure::syntax("expected a set of keys", json)),
            }
        }
        "insert" | "delete" => Argument::Datum(kind.read_any_size(argument, names)?),
        other => {
            let details = format!("No mutator named {other}.");
            return Err(Failure::new("unknown mutator", details));
        }
    };
    Ok(Mutation { column, kind, mutator: mutator.clone(), argument })
}

impl Mutation {
    /// The value after the mutation.
    pub(super) fn apply(&self, value: &Datum) -> Result<Datum, Failure> {
        let after = match (&self.argument, value.clone()) {
            (Argument::Number(operand), Datum::Set(set)) => {
                let results: Result<Vec<Atom>, Failure> =
                    set.iter().map(|atom| arithmetic(&self.mutator, atom, operand)).collect();
                let (before, after) = (set.len(), results?.into_iter().collect::<BTreeSet<Atom>>());
                if after.len() != before {
                    let details = format!("Result of \"{}\" operation contains duplicates.", self.mutator);
                    return Err(Failure::constraint(details));
                }
                Datum::Set(after)
            }
            (Argument::Datum(Datum::Set(part)), Datum::Set(mut set)) => {
                if self.mutator == "insert" {
                    set.extend(part.iter().cloned());
                } else {
                    set.retain(|atom| !part.contains(atom));
                }
                Datum::Set(set)
            }
            (Argument::Datum(Datum::Map(part)), Datum::Map(mut map)) => {
                if self.mutator == "insert" {
                    // An existing key keeps its value (RFC 7047 section 5.1 <mutation>).
                    for (key, value) in part {
                        map.entry(key.clone()).or_insert_with(|| value.clone());
                    }
                } else {
                    map.retain(|key, value| part.get(key) != Some(value));
                }
                Datum::Map(map)
            }
            (Argument::Keys(keys), Datum::Map(mut map)) => {
                map.retain(|key, _| !keys.contains(key));
                Datum::Map(map)
            }
            _ => return Err(Failure::new("internal error", "a mutation of another type")),
        };
        self.check_size(&after)?;
        Ok(after)
    }

    fn check_size(&self, after: &Datum) -> Result<(), Failure> {
        let count = after.len() as u64;
        let name = self.kind.key.atomic.name();
        if self.kind.max.is_some_and(|max| count > max) {
            let max = self.kind.max.unwrap_or_default();
            let details = format!("Attempted to store {count} elements in set of up to {max} {name}s.");
            return Err(Failure::constraint(details));
        }
        if count < self.kind.min {
            let details =
                format!("Attempted to store {count} elements in set of at least {} {name}s.", self.kind.min);
            return Err(Failure::constraint(details));
        }
        Ok(())
    }
}

fn arithmetic(mutator: &str, value: &Atom, operand: &Atom) -> Result<Atom, Failure> {
    let range = || Failure::new("range error", format!("Result of \"{mutator}\" operation is out of range."));
    let zero = || Failure::new("domain error", "Division by zero.");
    match (value, operand) {
        (Atom::Integer(a), Atom::Integer(b)) => {
            let result = match mutator {
                "+=" => a.checked_add(*b),
                "-=" => a.checked_sub(*b),
                "*=" => a.checked_mul(*b),
                _ if *b == 0 => return Err(zero()),
                "/=" => a.checked_div(*b),
                _ => a.checked_rem(*b),
            };
            result.map(Atom::Integer).ok_or_else(range)
        }
        (Atom::Real(a), Atom::Real(b)) => {
            let result = match mutator {
                "+=" => a + b,
                "-=" => a - b,
                "*=" => a * b,
                _ if *b == 0.0 => return Err(zero()),
                _ => a / b,
            };
            if result.is_finite() { Ok(Atom::Real(result)) } else { Err(range()) }
        }
        _ => Err(Failure::new("internal error", "arithmetic on what is no number")),
    }
}
