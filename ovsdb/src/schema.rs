//! Database schemas (RFC 7047 section 3.2), read and written. Values are read by [`crate::read`].

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::error::Error;
use crate::read::read_atom;
use crate::value::{Atom, Datum};

/// A database's schema.
#[derive(Clone, Debug, PartialEq)]
pub struct DatabaseSchema {
    /// The database's name, for example `Open_vSwitch`.
    pub name: String,
    /// `x.y.z`.
    pub version: String,
    /// The checksum, as it came.
    pub checksum: Option<String>,
    /// The tables by name.
    pub tables: BTreeMap<String, TableSchema>,
}

/// A table's schema.
#[derive(Clone, Debug, PartialEq)]
pub struct TableSchema {
    /// The columns by name; the implicit `_uuid` and `_version` are not among them.
    pub columns: BTreeMap<String, ColumnSchema>,
    /// How many rows it may have.
    pub max_rows: Option<u64>,
    /// As it stood: a database in which no table says `true` has only root tables.
    pub is_root: bool,
    /// Sets of columns whose values together are unique.
    pub indexes: Vec<Vec<String>>,
}

/// A column's schema.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnSchema {
    /// What it holds.
    pub kind: ColumnType,
    /// Whether an update may change it.
    pub mutable: bool,
    /// Whether a restart forgets it.
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
    /// `minLength`, in characters.
    pub min_length: Option<u64>,
    /// `maxLength`, in characters.
    pub max_length: Option<u64>,
    /// `refTable` and `refType`.
    pub reference: Option<Reference>,
}

fn malformed(what: &str) -> Error {
    Error::Schema(what.to_owned())
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

    fn from_name(name: &str) -> Result<Self, Error> {
        Ok(match name {
            "integer" => Self::Integer,
            "real" => Self::Real,
            "boolean" => Self::Boolean,
            "string" => Self::String,
            "uuid" => Self::Uuid,
            other => return Err(malformed(&format!("\"{other}\" is not an atomic type"))),
        })
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

    fn from_json(json: &Value) -> Result<Self, Error> {
        let object = match json {
            Value::String(name) => return Ok(Self::plain(AtomicType::from_name(name)?)),
            Value::Object(object) => object,
            _ => return Err(malformed("a base type is a string or an object")),
        };
        let name = object
            .get("type")
            .and_then(Value::as_str)
            .ok_or_else(|| malformed("a base type needs \"type\""))?;
        let mut base = Self::plain(AtomicType::from_name(name)?);
        if let Some(values) = object.get("enum") {
            let kind = ColumnType { key: base.clone(), value: None, min: 1, max: None };
            let values =
                kind.read(values, &mut |_| None).map_err(|error| Error::Schema(error.to_string()))?;
            base.enumeration = Some(values.atoms().iter().cloned().collect());
        }
        let (low, high) = match base.atomic {
            AtomicType::Real => ("minReal", "maxReal"),
            _ => ("minInteger", "maxInteger"),
        };
        let plain = Self::plain(base.atomic);
        let bound =
            |key: &str| object.get(key).map(|json| read_atom(json, &plain, &mut |_| None)).transpose();
        base.min = bound(low).map_err(|error| Error::Schema(error.to_string()))?;
        base.max = bound(high).map_err(|error| Error::Schema(error.to_string()))?;
        base.min_length = object.get("minLength").and_then(Value::as_u64);
        base.max_length = object.get("maxLength").and_then(Value::as_u64);
        if let Some(table) = object.get("refTable") {
            let table = table.as_str().ok_or_else(|| malformed("\"refTable\" is a string"))?.to_owned();
            let weak = object.get("refType").and_then(Value::as_str) == Some("weak");
            base.reference = Some(Reference { table, weak });
        }
        Ok(base)
    }

    fn to_json(&self) -> Value {
        let mut object = Map::new();
        if let Some(values) = &self.enumeration {
            object.insert("enum".into(), Datum::set(values.iter().cloned().collect()).to_json());
        }
        let (low, high) = match self.atomic {
            AtomicType::Real => ("minReal", "maxReal"),
            _ => ("minInteger", "maxInteger"),
        };
        let bounds = [(low, &self.min), (high, &self.max)];
        object
            .extend(bounds.iter().filter_map(|(key, atom)| Some(((*key).into(), atom.as_ref()?.to_json()))));
        let lengths = [("minLength", self.min_length), ("maxLength", self.max_length)];
        object.extend(lengths.iter().filter_map(|(key, length)| Some(((*key).into(), json!((*length)?)))));
        if let Some(reference) = &self.reference {
            object.insert("refTable".into(), json!(reference.table));
            if reference.weak {
                object.insert("refType".into(), json!("weak"));
            }
        }
        if object.is_empty() {
            return json!(self.atomic.name());
        }
        object.insert("type".into(), json!(self.atomic.name()));
        Value::Object(object)
    }
}

impl ColumnType {
    fn from_json(json: &Value) -> Result<Self, Error> {
        let Some(object) = json.as_object().filter(|object| object.contains_key("key")) else {
            return Ok(Self { key: BaseType::from_json(json)?, value: None, min: 1, max: Some(1) });
        };
        let key = BaseType::from_json(&object["key"])?;
        let value = object.get("value").map(BaseType::from_json).transpose()?;
        let min = match object.get("min") {
            None => 1,
            Some(json) => {
                json.as_u64().filter(|min| *min <= 1).ok_or_else(|| malformed("\"min\" is 0 or 1"))?
            }
        };
        let max = match object.get("max") {
            None => Some(1),
            Some(Value::String(text)) if text == "unlimited" => None,
            Some(json) => Some(
                json.as_u64()
                    .filter(|max| *max >= 1)
                    .ok_or_else(|| malformed("\"max\" is 1 or more or \"unlimited\""))?,
            ),
        };
        Ok(Self { key, value, min, max })
    }

    fn to_json(&self) -> Value {
        if self.is_scalar() && self.value.is_none() {
            let key = self.key.to_json();
            return if key.is_string() { key } else { json!({ "key": key }) };
        }
        let mut object = Map::new();
        object.insert("key".into(), self.key.to_json());
        if let Some(value) = &self.value {
            object.insert("value".into(), value.to_json());
        }
        if self.min != 1 {
            object.insert("min".into(), json!(self.min));
        }
        match self.max {
            None => drop(object.insert("max".into(), json!("unlimited"))),
            Some(1) => {}
            Some(max) => drop(object.insert("max".into(), json!(max))),
        }
        Value::Object(object)
    }

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

impl ColumnSchema {
    fn from_json(json: &Value) -> Result<Self, Error> {
        let object = json.as_object().ok_or_else(|| malformed("a column is an object"))?;
        let kind = object.get("type").ok_or_else(|| malformed("a column needs \"type\""))?;
        let kind = ColumnType::from_json(kind)?;
        let flag = |key: &str, default| object.get(key).and_then(Value::as_bool).unwrap_or(default);
        let weak = |base: &BaseType| base.reference.as_ref().is_some_and(|reference| reference.weak);
        // A weak reference can vanish at any time, so its column cannot be immutable.
        let forced = weak(&kind.key) || kind.value.as_ref().is_some_and(weak);
        Ok(Self { mutable: flag("mutable", true) || forced, ephemeral: flag("ephemeral", false), kind })
    }

    fn to_json(&self) -> Value {
        let mut object = Map::from_iter([("type".to_owned(), self.kind.to_json())]);
        if !self.mutable {
            object.insert("mutable".into(), json!(false));
        }
        if self.ephemeral {
            object.insert("ephemeral".into(), json!(true));
        }
        Value::Object(object)
    }
}

impl TableSchema {
    fn from_json(json: &Value) -> Result<Self, Error> {
        let object = json.as_object().ok_or_else(|| malformed("a table is an object"))?;
        let columns = object.get("columns").and_then(Value::as_object);
        let columns = columns.ok_or_else(|| malformed("a table needs \"columns\""))?;
        let columns = columns
            .iter()
            .map(|(name, json)| Ok((name.clone(), ColumnSchema::from_json(json)?)))
            .collect::<Result<BTreeMap<_, _>, Error>>()?;
        let indexes: Vec<Vec<String>> = match object.get("indexes") {
            None => Vec::new(),
            Some(json) => {
                serde_json::from_value(json.clone()).map_err(|error| Error::Schema(error.to_string()))?
            }
        };
        if let Some(unknown) = indexes.iter().flatten().find(|name| !columns.contains_key(*name)) {
            return Err(malformed(&format!("an index names the unknown column {unknown}")));
        }
        Ok(Self {
            columns,
            max_rows: object.get("maxRows").and_then(Value::as_u64),
            is_root: object.get("isRoot").and_then(Value::as_bool).unwrap_or(false),
            indexes,
        })
    }

    fn to_json(&self) -> Value {
        let columns: Map<String, Value> =
            self.columns.iter().map(|(name, column)| (name.clone(), column.to_json())).collect();
        let mut object = Map::from_iter([("columns".to_owned(), Value::Object(columns))]);
        if let Some(max) = self.max_rows {
            object.insert("maxRows".into(), json!(max));
        }
        if self.is_root {
            object.insert("isRoot".into(), json!(true));
        }
        if !self.indexes.is_empty() {
            object.insert("indexes".into(), json!(self.indexes));
        }
        Value::Object(object)
    }
}

impl DatabaseSchema {
    /// Reads a schema.
    ///
    /// # Errors
    /// [`Error::Schema`] where the JSON is no schema or refers to a table or column that it does not have.
    pub fn from_json(json: &Value) -> Result<Self, Error> {
        let object = json.as_object().ok_or_else(|| malformed("a schema is an object"))?;
        let text = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
        let tables = object.get("tables").and_then(Value::as_object);
        let tables = tables
            .ok_or_else(|| malformed("a schema needs \"tables\""))?
            .iter()
            .map(|(name, json)| Ok((name.clone(), TableSchema::from_json(json)?)))
            .collect::<Result<BTreeMap<_, _>, Error>>()?;
        let schema = Self {
            name: text("name").ok_or_else(|| malformed("a schema needs \"name\""))?,
            version: text("version").ok_or_else(|| malformed("a schema needs \"version\""))?,
            checksum: text("cksum"),
            tables,
        };
        let columns = schema.tables.values().flat_map(|table| table.columns.values());
        let bases = columns.flat_map(|column| std::iter::once(&column.kind.key).chain(&column.kind.value));
        let mut references = bases.filter_map(|base| base.reference.as_ref());
        match references.find(|reference| !schema.tables.contains_key(&reference.table)) {
            Some(unknown) => {
                Err(malformed(&format!("a column refers to the unknown table {}", unknown.table)))
            }
            None => Ok(schema),
        }
    }

    /// The schema as the real server prints it: without what is the default anyway.
    pub fn to_json(&self) -> Value {
        let tables: Map<String, Value> =
            self.tables.iter().map(|(name, table)| (name.clone(), table.to_json())).collect();
        let mut object = Map::from_iter([
            ("name".to_owned(), json!(self.name)),
            ("version".to_owned(), json!(self.version)),
            ("tables".to_owned(), Value::Object(tables)),
        ]);
        if let Some(checksum) = &self.checksum {
            object.insert("cksum".into(), json!(checksum));
        }
        Value::Object(object)
    }

    /// Whether rows of `table` live without being referred to.
    pub fn is_root(&self, table: &TableSchema) -> bool {
        table.is_root || self.tables.values().all(|table| !table.is_root)
    }
}
