//! Conditions (RFC 7047 section 5.1): read from JSON against a table, then asked of rows. Pure.

use nuage_ovsdb::Uuid;
use nuage_ovsdb::constraint::in_english;
use nuage_ovsdb::read::Names;
use nuage_ovsdb::schema::{AtomicType, ColumnType};
use nuage_ovsdb::value::{Atom, Datum};
use serde_json::Value;

use super::failure::Failure;
use super::storage::{Column, RowData, Table};

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
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Condition {
    /// `None`: the clause is a boolean constant.
    column: Option<Column>,
    function: Function,
    argument: Datum,
}

/// What a name that is no column is answered with.
pub(super) fn no_column(table: &Table, name: &str, json: &Value) -> Failure {
    Failure::new("unknown column", format!("No column {name} in table {}.", table.name)).about(json)
}

/// An operator that a column's type does not know.
pub(super) fn type_mismatch(operator: &str, name: &str, kind: &ColumnType, json: &Value) -> Failure {
    let kind = in_english(kind);
    let details =
        format!("Type mismatch: \"{operator}\" operator may not be applied to column {name} of type {kind}.");
    Failure::syntax(details, json)
}

/// Reads the clauses of a `where`.
pub(super) fn read_conditions(
    table: &Table,
    clauses: &[Value],
    names: Names<'_>,
) -> Result<Vec<Condition>, Failure> {
    clauses.iter().map(|clause| read_condition(table, clause, names)).collect()
}

impl Function {
    fn named(name: &str) -> Result<Self, Failure> {
        Ok(match name {
            "==" => Self::Equal,
            "!=" => Self::NotEqual,
            "includes" => Self::Includes,
            "excludes" => Self::Excludes,
            "<" => Self::Less,
            "<=" => Self::LessEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterEqual,
            other => return Err(Failure::new("unknown function", format!("No function named {other}."))),
        })
    }
}

fn read_condition(table: &Table, json: &Value, names: Names<'_>) -> Result<Condition, Failure> {
    if let Some(constant) = json.as_bool() {
        let function = if constant { Function::Equal } else { Function::NotEqual };
        return Ok(Condition { column: None, function, argument: Datum::set(Vec::new()) });
    }
    let [Value::String(name), Value::String(symbol), argument] =
        json.as_array().map_or(&[][..], Vec::as_slice)
    else {
        return Err(Failure::syntax("Parse error in condition.", json));
    };
    let column = table.column(name).ok_or_else(|| no_column(table, name, json))?;
    let function = Function::named(symbol)?;
    let kind = table.kind(column);
    // How many elements the argument may have: an order needs exactly one, a part may be smaller than the whole.
    let (min, max) = match function {
        Function::Equal | Function::NotEqual => (kind.min, kind.max),
        Function::Includes | Function::Excludes if kind.is_scalar() => (kind.min, kind.max),
        Function::Includes => (0, kind.max),
        Function::Excludes => (0, None),
        Function::Less | Function::LessEqual | Function::Greater | Function::GreaterEqual => {
            let number = matches!(kind.key.atomic, AtomicType::Integer | AtomicType::Real);
            if !number || !(kind.is_scalar() || kind.is_optional()) {
                return Err(type_mismatch(symbol, name, &kind, json));
            }
            (1, Some(1))
        }
    };
    let argument = kind.read_sized(argument, min, max, names)?;
    Ok(Condition { column: Some(column), function, argument })
}

impl Condition {
    /// Whether a row fulfils it.
    pub(super) fn holds(&self, uuid: Uuid, row: &RowData) -> bool {
        match self.column {
            None => self.function == Function::Equal,
            Some(Column::Data(position)) => compare(self.function, &row.values[position], &self.argument),
            Some(column) => compare(self.function, &row.value(uuid, column), &self.argument),
        }
    }

    /// The one row that can fulfil it, if it asks for a row by its identifier.
    pub(super) fn row(&self) -> Option<Uuid> {
        match (self.column, self.function, &self.argument) {
            (Some(Column::Uuid), Function::Equal | Function::Includes, Datum::One(Atom::Uuid(uuid))) => {
                Some(*uuid)
            }
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

    /// The column that it looks at.
    pub(super) fn column(&self) -> Option<Column> {
        self.column
    }
}

fn compare(function: Function, value: &Datum, argument: &Datum) -> bool {
    match function {
        Function::Equal => value == argument,
        Function::NotEqual => value != argument,
        Function::Includes => {
            argument.atoms().iter().all(|atom| value.contains(atom))
                && argument.pairs().iter().all(|(key, part)| value.get(key) == Some(part))
        }
        Function::Excludes => {
            !argument.atoms().iter().any(|atom| value.contains(atom))
                && !argument.pairs().iter().any(|(key, part)| value.get(key) == Some(part))
        }
        Function::Less | Function::LessEqual | Function::Greater | Function::GreaterEqual => {
            let (Some(a), Some(b)) = (value.atoms().first(), argument.atoms().first()) else { return false };
            match function {
                Function::Less => a < b,
                Function::LessEqual => a <= b,
                Function::Greater => a > b,
                _ => a >= b,
            }
        }
    }
}
