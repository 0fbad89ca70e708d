//! Database schemas (RFC 7047 section 3.2) and the reading of values by type (section 5.1). Checks types and shapes
//! only: ranges, lengths and enumerations are for whoever stores the value.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::error::Error;
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
            Self::String => Atom::String(String::new()),
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
            let Datum::Set(values) =
                kind.read(values, &mut |_| None).map_err(|error| Error::Schema(error.to_string()))?
            else {
                return Err(malformed("\"enum\" is a set"));
            };
            base.enumeration = Some(values);
        }
        let (low, high) = match base.atomic {
            AtomicType::Real => ("minReal", "maxReal"),
            _ => ("minInteger", "maxInteger"),
        };
        let bound =
            |key: &str| object.get(key).map(|json| read_atom(json, base.atomic, &mut |_| None)).transpose();
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
            object.insert("enum".into(), Datum::Set(values.clone()).to_json());
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
            (None, 0) => Datum::Set(BTreeSet::new()),
            (Some(_), 0) => Datum::Map(BTreeMap::new()),
            (None, _) => Datum::scalar(self.key.atomic.default_atom()),
            (Some(value), _) => {
                Datum::Map(BTreeMap::from([(self.key.atomic.default_atom(), value.atomic.default_atom())]))
            }
        }
    }

    /// Reads a value of this type; `named` resolves a `named-uuid`. The number of elements is checked too.
    ///
    /// # Errors
    /// [`ValueError`] with the real server's words.
    pub fn read(
        &self,
        json: &Value,
        named: &mut dyn FnMut(&str) -> Option<Uuid>,
    ) -> Result<Datum, ValueError> {
        let datum = self.read_any_size(json, named)?;
        let count = datum.len() as u64;
        if count < self.min || self.max.is_some_and(|max| count > max) {
            let kind = if self.value.is_some() { "map" } else { "set" };
            let max = self.max.map_or_else(|| "unlimited".to_owned(), |max| max.to_string());
            let details = format!("{kind} must have {} to {max} members but {count} are present", self.min);
            return Err(ValueError { tag: "syntax error", details, syntax: Some(json.to_string()) });
        }
        Ok(datum)
    }

    /// Reads a value of this type whatever its number of elements (a mutation's operand, a condition's).
    ///
    /// # Errors
    /// [`ValueError`] with the real server's words.
    pub fn read_any_size(
        &self,
        json: &Value,
        named: &mut dyn FnMut(&str) -> Option<Uuid>,
    ) -> Result<Datum, ValueError> {
        let syntax =
            |details: String| ValueError { tag: "syntax error", details, syntax: Some(json.to_string()) };
        if let Some(value) = &self.value {
            let pairs = tagged(json, "map").ok_or_else(|| syntax("expected [\"map\", <array>]".into()))?;
            let mut map = BTreeMap::new();
            for pair in pairs {
                let [k, v] = pair.as_array().map_or(&[][..], Vec::as_slice) else {
                    return Err(syntax("expected 2-element array".into()));
                };
                let key = read_atom(k, self.key.atomic, named)?;
                if map.insert(key, read_atom(v, value.atomic, named)?).is_some() {
                    return Err(ValueError {
                        tag: "ovsdb error",
                        details: "map contains duplicate key".into(),
                        syntax: None,
                    });
                }
            }
            return Ok(Datum::Map(map));
        }
        let Some(elements) = tagged(json, "set") else {
            return Ok(Datum::scalar(read_atom(json, self.key.atomic, named)?));
        };
        let mut set = BTreeSet::new();
        for element in elements {
            if !set.insert(read_atom(element, self.key.atomic, named)?) {
                return Err(ValueError {
                    tag: "ovsdb error",
                    details: "set contains duplicate".into(),
                    syntax: None,
                });
            }
        }
        Ok(Datum::Set(set))
    }
}

/// A value that is not of its column's type: an OVSDB error tag, the real server's words, and the offending JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{details}")]
pub struct ValueError {
    /// The `error` member.
    pub tag: &'static str,
    /// The `details` member.
    pub details: String,
    /// The `syntax` member.
    pub syntax: Option<String>,
}

/// The array of `[tag, array]`.
fn tagged<'a>(json: &'a Value, tag: &str) -> Option<&'a Vec<Value>> {
    match json.as_array()?.as_slice() {
        [Value::String(found), Value::Array(elements)] if found == tag => Some(elements),
        _ => None,
    }
}

/// Reads one atom; `named` resolves a `named-uuid`.
///
/// # Errors
/// [`ValueError`] with the real server's words.
pub fn read_atom(
    json: &Value,
    atomic: AtomicType,
    named: &mut dyn FnMut(&str) -> Option<Uuid>,
) -> Result<Atom, ValueError> {
    let syntax =
        |details: String| ValueError { tag: "syntax error", details, syntax: Some(json.to_string()) };
    let expected = || syntax(format!("expected {}", atomic.name()));
    match atomic {
        AtomicType::Integer => integer(json).map(Atom::Integer).ok_or_else(expected),
        AtomicType::Real => json.as_f64().map(Atom::Real).ok_or_else(expected),
        AtomicType::Boolean => json.as_bool().map(Atom::Boolean).ok_or_else(expected),
        AtomicType::String => json.as_str().map(|text| Atom::String(text.to_owned())).ok_or_else(expected),
        AtomicType::Uuid => {
            let wrong = || syntax("expected [\"uuid\", <string>]".to_owned());
            match json.as_array().map_or(&[][..], Vec::as_slice) {
                [Value::String(tag), Value::String(text)] if tag == "uuid" => {
                    let uuid = Uuid::try_parse(text).ok().filter(|_| text.len() == 36);
                    uuid.map(Atom::Uuid).ok_or_else(|| syntax(format!("\"{text}\" is not a valid UUID")))
                }
                [Value::String(tag), Value::String(name)] if tag == "named-uuid" => {
                    named(name).map(Atom::Uuid).ok_or_else(wrong)
                }
                _ => Err(wrong()),
            }
        }
    }
}

/// An integer as OVSDB's JSON reads it: `5.0` is one.
fn integer(json: &Value) -> Option<i64> {
    json.as_i64().or_else(|| {
        let real = json.as_f64()?;
        let range = -9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0;
        #[expect(clippy::cast_possible_truncation, reason = "whole and within the range of i64")]
        (real.fract() == 0.0 && range.contains(&real)).then_some(real as i64)
    })
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
