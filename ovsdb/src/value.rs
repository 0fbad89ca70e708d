//! OVSDB values and their notation (RFC 7047 section 5.1): atoms, sets and maps. Output is canonical, as the real
//! server prints it: a set of one is a bare atom, sets and maps are sorted. Never checks a constraint of a schema.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use uuid::Uuid;

/// One scalar value.
#[derive(Clone, Debug)]
pub enum Atom {
    /// A 64-bit signed integer.
    Integer(i64),
    /// A double; never NaN or infinite when it came from the wire.
    Real(f64),
    /// A boolean.
    Boolean(bool),
    /// A string.
    String(String),
    /// A row's identifier.
    Uuid(Uuid),
}

impl Atom {
    fn rank(&self) -> u8 {
        match self {
            Self::Integer(_) => 0,
            Self::Real(_) => 1,
            Self::Boolean(_) => 2,
            Self::String(_) => 3,
            Self::Uuid(_) => 4,
        }
    }

    /// The notation of RFC 7047 `<atom>`. A real without a fraction is written as an integer, as the real server
    /// does (measured on ovsdb-server 3.1).
    pub fn to_json(&self) -> Value {
        match self {
            Self::Integer(integer) => json!(integer),
            Self::Real(real) => real_to_json(*real),
            Self::Boolean(boolean) => json!(boolean),
            Self::String(string) => json!(string),
            Self::Uuid(uuid) => json!(["uuid", uuid.to_string()]),
        }
    }
}

/// A double's JSON: without a fraction where it has none and an integer can say it exactly.
fn real_to_json(real: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if real.fract() == 0.0 && real.abs() < EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within the range of exact integers")]
        let whole = real as i64;
        json!(whole)
    } else {
        json!(real)
    }
}

impl PartialEq for Atom {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Atom {}

impl PartialOrd for Atom {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Atom {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Real(a), Self::Real(b)) => a.total_cmp(b),
            (Self::Boolean(a), Self::Boolean(b)) => a.cmp(b),
            (Self::String(a), Self::String(b)) => a.cmp(b),
            (Self::Uuid(a), Self::Uuid(b)) => a.cmp(b),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }
}

/// The value of a column: a set of atoms, or a map. A scalar is a set of exactly one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Datum {
    /// A set; its order is the atoms' order.
    Set(BTreeSet<Atom>),
    /// A map.
    Map(BTreeMap<Atom, Atom>),
}

impl Datum {
    /// A set of exactly one atom.
    pub fn scalar(atom: Atom) -> Self {
        Self::Set(BTreeSet::from([atom]))
    }

    /// How many elements or pairs it has.
    pub fn len(&self) -> usize {
        match self {
            Self::Set(set) => set.len(),
            Self::Map(map) => map.len(),
        }
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The canonical notation (RFC 7047 `<value>`).
    pub fn to_json(&self) -> Value {
        match self {
            Self::Set(set) => match set.first() {
                Some(only) if set.len() == 1 => only.to_json(),
                _ => json!(["set", set.iter().map(Atom::to_json).collect::<Vec<_>>()]),
            },
            Self::Map(map) => {
                let pairs: Vec<Value> = map.iter().map(|(k, v)| json!([k.to_json(), v.to_json()])).collect();
                json!(["map", pairs])
            }
        }
    }
}

/// A row on the wire: column name to value in OVSDB's notation.
pub type Row = BTreeMap<String, Value>;
