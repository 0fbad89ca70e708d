//! Database schemas (RFC 7047 section 3.2): what they say. `read` takes them as strictly as the real server, `write` prints them
//! as it does; values are read by [`crate::read`].

mod read;
mod write;

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::value::{Atom, Datum};

/// A database's schema.
#[derive(Clone, Debug, PartialEq)]
pub struct DatabaseSchema {
    /// The database's name, for example `Open_vSwitch`.
    pub name: String,
    /// `x.y.z`; empty where old schemas say none.
    pub version: String,
    /// The checksum, as it came; it is no checksum that anybody checks.
    pub checksum: Option<String>,
    /// The tables by name.
    pub tables: BTreeMap<String, TableSchema>,
}

/// A table's schema.
#[derive(Clone, Debug, PartialEq)]
pub struct TableSchema {
    /// The columns by name; the implicit `_uuid` and `_version` are not among them.
    pub columns: BTreeMap<String, ColumnSchema>,
    /// As it stood; the real server keeps it and does nothing with it.
    pub mutable: bool,
    /// How many rows it may have.
    pub max_rows: Option<u64>,
    /// Whether its rows live without being referred to. Where no table says so, all of them are.
    pub is_root: bool,
    /// Sets of columns whose values together are unique; `_uuid` may be among them.
    pub indexes: Vec<Vec<String>>,
}

/// A column's schema.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnSchema {
    /// What it holds.
    pub kind: ColumnType,
    /// Whether an update may change it.
    pub mutable: bool,
    /// Whether a restart forgets it. Never where it keeps rows alive: they would be gone with it.
    pub ephemeral: bool,
}

/// What a column holds: `min` to `max` keys, each with a value if it is a map.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnType {
    /// The type of the elements or keys.
    pub key: BaseType,
    /// The type of a map's values.
    pub value: Option<BaseType>,
    /// 0 or 1.
    pub min: u64,
    /// `None`: unlimited.
    pub max: Option<u64>,
}

/// The five atomic types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtomicType {
    /// `integer`
    Integer,
    /// `real`
    Real,
    /// `boolean`
    Boolean,
    /// `string`
    String,
    /// `uuid`
    Uuid,
}

/// A reference to rows of another table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The table referred to.
    pub table: String,
    /// A weak reference vanishes with its row; a strong one keeps it.
    pub weak: bool,
}

/// An atomic type and its constraints.
#[derive(Clone, Debug, PartialEq)]
pub struct BaseType {
    /// The atomic type.
    pub atomic: AtomicType,
    /// The values allowed, if enumerated.
    pub enumeration: Option<BTreeSet<Atom>>,
    /// `minInteger`, `minReal`.
    pub min: Option<Atom>,
    /// `maxInteger`, `maxReal`.
    pub max: Option<Atom>,
    /// `minLength`, in characters; 0 says nothing.
    pub min_length: Option<u64>,
    /// `maxLength`, in characters; 4,294,967,295 says nothing.
    pub max_length: Option<u64>,
    /// `refTable` and `refType`.
    pub reference: Option<Reference>,
}

impl AtomicType {
    /// Its name in a schema.
    pub fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Real => "real",
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Uuid => "uuid",
        }
    }

    /// What a column holds where nothing else was said (RFC 7047 section 5.2.1).
    pub fn default_atom(self) -> Atom {
        match self {
            Self::Integer => Atom::Integer(0),
            Self::Real => Atom::Real(0.0),
            Self::Boolean => Atom::Boolean(false),
            Self::String => Atom::string(""),
            Self::Uuid => Atom::Uuid(Uuid::nil()),
        }
    }
}

impl BaseType {
    /// A type without constraints.
    pub fn plain(atomic: AtomicType) -> Self {
        Self {
            atomic,
            enumeration: None,
            min: None,
            max: None,
            min_length: None,
            max_length: None,
            reference: None,
        }
    }
}

impl ColumnType {
    /// Exactly one element, not a map.
    pub fn is_scalar(&self) -> bool {
        self.min == 1 && self.max == Some(1) && self.value.is_none()
    }

    /// At most one element, not a map.
    pub fn is_optional(&self) -> bool {
        self.min == 0 && self.max == Some(1) && self.value.is_none()
    }

    /// What a column holds where an insert says nothing.
    pub fn default_datum(&self) -> Datum {
        match (&self.value, self.min) {
            (None, 0) => Datum::set(Vec::new()),
            (Some(_), 0) => Datum::map(Vec::new()),
            (None, _) => Datum::scalar(self.key.atomic.default_atom()),
            (Some(value), _) => {
                Datum::map(vec![(self.key.atomic.default_atom(), value.atomic.default_atom())])
            }
        }
    }
}
