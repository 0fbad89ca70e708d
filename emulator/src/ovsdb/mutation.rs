//! Mutations (RFC 7047 section 5.1): read from JSON against a table, then applied to values. Pure.

use nuage_ovsdb::constraint::{self, in_english};
use nuage_ovsdb::read::Names;
use nuage_ovsdb::schema::{AtomicType, BaseType, ColumnType};
use nuage_ovsdb::value::{Atom, Datum};
use serde_json::Value;

use super::condition::{no_column, type_mismatch};
use super::failure::Failure;
use super::storage::{Column, Table};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Insert,
    Delete,
}

impl Mutator {
    fn named(name: &str) -> Result<Self, Failure> {
        Ok(match name {
            "+=" => Self::Add,
            "-=" => Self::Subtract,
            "*=" => Self::Multiply,
            "/=" => Self::Divide,
            "%=" => Self::Remainder,
            "insert" => Self::Insert,
            "delete" => Self::Delete,
            other => return Err(Failure::new("unknown mutator", format!("No mutator named {other}."))),
        })
    }

    fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+=",
            Self::Subtract => "-=",
            Self::Multiply => "*=",
            Self::Divide => "/=",
            Self::Remainder => "%=",
            Self::Insert => "insert",
            Self::Delete => "delete",
        }
    }
}

/// One mutation, applied to a value at a time.
#[derive(Clone, Debug)]
pub(super) struct Mutation<'a> {
    pub(super) column: usize,
    kind: &'a ColumnType,
    mutator: Mutator,
    argument: Datum,
}

/// Reads the `mutations` of a mutate.
pub(super) fn read_mutations<'a>(
    table: &'a Table,
    mutations: &[Value],
    names: Names<'_>,
) -> Result<Vec<Mutation<'a>>, Failure> {
    mutations.iter().map(|mutation| read_mutation(table, mutation, names)).collect()
}

fn read_mutation<'a>(table: &'a Table, json: &Value, names: Names<'_>) -> Result<Mutation<'a>, Failure> {
    let [Value::String(name), Value::String(symbol), argument] =
        json.as_array().map_or(&[][..], Vec::as_slice)
    else {
        return Err(Failure::syntax("Parse error in mutation.", json));
    };
    let column = table.column(name).ok_or_else(|| no_column(table, name, json))?;
    let mutable = match column {
        Column::Data(column) => Some(column).filter(|column| table.columns[*column].1.mutable),
        Column::Uuid | Column::Version => None,
    };
    let Some(column) = mutable else {
        let details = format!("Cannot mutate immutable column {name} in table {}.", table.name);
        return Err(Failure::constraint(details).about(json));
    };
    let kind = &table.columns[column].1.kind;
    let mutator = Mutator::named(symbol)?;
    let mismatch = || type_mismatch(symbol, name, kind, json);
    let argument = match mutator {
        Mutator::Insert | Mutator::Delete if kind.is_scalar() => return Err(mismatch()),
        Mutator::Insert => kind.read_sized(argument, 0, kind.max, names)?,
        Mutator::Delete => match kind.read_sized(argument, 0, None, names) {
            // Of a map either pairs or keys may be deleted.
            Err(_) if kind.value.is_some() => {
                let keys = ColumnType { value: None, ..kind.clone() };
                keys.read_sized(argument, 0, None, names)?
            }
            argument => argument?,
        },
        _ => {
            let atomic = kind.key.atomic;
            let real = atomic == AtomicType::Real && mutator != Mutator::Remainder;
            if kind.value.is_some() || !(atomic == AtomicType::Integer || real) {
                return Err(mismatch());
            }
            let plain = ColumnType { key: BaseType::plain(atomic), value: None, min: 1, max: Some(1) };
            plain.read(argument, names)?
        }
    };
    Ok(Mutation { column, kind, mutator, argument })
}

impl Mutation<'_> {
    /// The value after the mutation.
    pub(super) fn apply(&self, value: &Datum) -> Result<Datum, Failure> {
        let argument = &self.argument;
        let after = match (self.mutator, value) {
            (Mutator::Insert, Datum::Map(pairs)) => {
                // An existing key keeps its value (RFC 7047 section 5.1 <mutation>).
                Datum::map(pairs.iter().chain(argument.pairs()).cloned().collect())
            }
            (Mutator::Insert, _) => {
                Datum::set(value.atoms().iter().chain(argument.atoms()).cloned().collect())
            }
            (Mutator::Delete, _) => value.filtered(|atom, paired| match (argument, paired) {
                (Datum::Map(_), Some(paired)) => argument.get(atom) != Some(paired),
                _ => !argument.contains(atom),
            }),
            _ => return self.calculate(value),
        };
        self.check_size(&after)?;
        Ok(after)
    }

    fn calculate(&self, value: &Datum) -> Result<Datum, Failure> {
        let Some(operand) = self.argument.atoms().first() else { return Ok(value.clone()) };
        let results: Result<Vec<Atom>, Failure> =
            value.atoms().iter().map(|atom| arithmetic(self.mutator, atom, operand)).collect();
        let after = Datum::set(results?);
        constraint::check(self.kind, &after)?;
        if after.len() != value.len() {
            let details = format!("Result of \"{}\" operation contains duplicates.", self.mutator.symbol());
            return Err(Failure::constraint(details));
        }
        Ok(after)
    }

    fn check_size(&self, after: &Datum) -> Result<(), Failure> {
        let count = after.len() as u64;
        if count < self.kind.min || self.kind.max.is_some_and(|max| count > max) {
            let details = format!("Attempted to store {count} elements in {}.", in_english(self.kind));
            return Err(Failure::constraint(details));
        }
        Ok(())
    }
}

fn arithmetic(mutator: Mutator, value: &Atom, operand: &Atom) -> Result<Atom, Failure> {
    let range = || {
        let details = format!("Result of \"{}\" operation is out of range.", mutator.symbol());
        Failure::new("range error", details)
    };
    let zero = || Failure::new("domain error", "Division by zero.");
    match (value, operand) {
        (Atom::Integer(a), Atom::Integer(b)) => {
            let result = match mutator {
                Mutator::Add => a.checked_add(*b),
                Mutator::Subtract => a.checked_sub(*b),
                Mutator::Multiply => multiply(*a, *b),
                _ if *b == 0 => return Err(zero()),
                Mutator::Divide => a.checked_div(*b),
                _ => a.checked_rem(*b),
            };
            result.map(Atom::Integer).ok_or_else(range)
        }
        (Atom::Real(a), Atom::Real(b)) => {
            let result = match mutator {
                Mutator::Add => a + b,
                Mutator::Subtract => a - b,
                Mutator::Multiply => a * b,
                _ if *b == 0.0 => return Err(zero()),
                _ => a / b,
            };
            if result.is_finite() { Ok(Atom::Real(result)) } else { Err(range()) }
        }
        _ => Err(Failure::new("internal error", "arithmetic on what is no number")),
    }
}

/// As the real server multiplies: two positive factors whose product is at the very end of the range are refused, too.
fn multiply(a: i64, b: i64) -> Option<i64> {
    if a > 0 && b > 0 && a >= i64::MAX / b { None } else { a.checked_mul(b) }
}
