//! Schemas read as strictly as the real server (3.1) reads them, in its order and its words: whoever converts a database or brings
//! a file may send anything. Never takes what it would print as something else.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{AtomicType, BaseType, ColumnSchema, ColumnType, DatabaseSchema, Reference, TableSchema};
use crate::error::Error;
use crate::members::{Expect, Members};
use crate::read::{ValueError, is_id, read_atom};
use crate::text;
use crate::value::Atom;

/// The real server's `UINT_MAX`, which means that there is no limit.
const NO_LIMIT: i64 = u32::MAX as i64;

impl DatabaseSchema {
    /// Reads a schema from JSON text.
    ///
    /// # Errors
    /// [`Error::Malformed`] where the text is no JSON, [`Error::Schema`] where the JSON is no schema.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut json: Value =
            serde_json::from_slice(bytes).map_err(|error| Error::Malformed(error.to_string()))?;
        text::normalise(&mut json);
        Ok(Self::from_json(&json)?)
    }

    /// Reads a schema from JSON whose numbers are those of the real server's parser ([`text::normalise`]).
    ///
    /// # Errors
    /// [`ValueError`] with the real server's words.
    pub fn from_json(json: &Value) -> Result<Self, ValueError> {
        let members = Members::new(json, "database schema".to_owned());
        let name = members.text("name", Expect::Id);
        let version = members.optional("version", Expect::String).and_then(Value::as_str);
        let checksum = members.optional("cksum", Expect::String).and_then(Value::as_str);
        let tables = members.required("tables", Expect::Object).and_then(Value::as_object);
        members.finish()?;
        if let Some(version) = version.filter(|version| !is_version(version)) {
            let details = format!("schema version \"{version}\" not in format x.y.z");
            return Err(ValueError::syntax(details, json));
        }
        let read = |(name, table): (&String, &Value)| {
            check_name(name, json)?;
            Ok((name.clone(), TableSchema::from_json(name, table)?))
        };
        let mut schema = Self {
            name: name.to_owned(),
            version: version.unwrap_or_default().to_owned(),
            checksum: checksum.filter(|checksum| !checksum.is_empty()).map(str::to_owned),
            tables: tables.into_iter().flatten().map(read).collect::<Result<_, ValueError>>()?,
        };
        // Schemas are older than garbage collection: where no table is a root, none has been told apart.
        if schema.tables.values().all(|table| !table.is_root) {
            schema.tables.values_mut().for_each(|table| table.is_root = true);
        }
        schema.check_references()?;
        Ok(schema)
    }

    /// Whether every reference is to a table; what keeps rows alive outlives a restart whatever the schema says.
    fn check_references(&mut self) -> Result<(), ValueError> {
        let roots: BTreeMap<String, bool> =
            self.tables.iter().map(|(name, table)| (name.clone(), table.is_root)).collect();
        for (name, column) in self.tables.values_mut().flat_map(|table| &mut table.columns) {
            for (role, base) in [("key", Some(&column.kind.key)), ("value", column.kind.value.as_ref())] {
                let Some(reference) = base.and_then(|base| base.reference.as_ref()) else { continue };
                let Some(is_root) = roots.get(&reference.table) else {
                    let table = &reference.table;
                    let details = format!("column {name} {role} refers to undefined table {table}");
                    return Err(ValueError::unquoted(details));
                };
                column.ephemeral &= *is_root || reference.weak;
            }
        }
        Ok(())
    }
}

/// As C's `sscanf("%d.%d.%d%n")` sees it: space and a sign may stand before each number.
fn is_version(text: &str) -> bool {
    let is_number = |part: &str| {
        let part = part.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
        let digits = part.strip_prefix(['-', '+']).unwrap_or(part);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    text.split('.').count() == 3 && text.split('.').all(is_number)
}

/// The name of a table or a column, which `json` has.
fn check_name(name: &str, json: &Value) -> Result<(), ValueError> {
    if name.starts_with('_') {
        return Err(ValueError::syntax("names beginning with \"_\" are reserved", json));
    }
    if !is_id(name) {
        return Err(ValueError::syntax("name must be a valid id", json));
    }
    Ok(())
}

impl TableSchema {
    fn from_json(name: &str, json: &Value) -> Result<Self, ValueError> {
        let members = Members::new(json, format!("table schema for table {name}"));
        let columns = members.required("columns", Expect::Object).and_then(Value::as_object);
        let mutable = members.flag("mutable", true);
        let max_rows = members.optional("maxRows", Expect::Integer).and_then(Value::as_i64);
        let is_root = members.flag("isRoot", false);
        let indexes = members.optional("indexes", Expect::Array).and_then(Value::as_array);
        members.finish()?;
        if max_rows.is_some_and(|max| max <= 0) {
            return Err(ValueError::syntax("maxRows must be at least 1", json));
        }
        if columns.is_none_or(serde_json::Map::is_empty) {
            return Err(ValueError::syntax("table must have at least one column", json));
        }
        let read = |(name, column): (&String, &Value)| {
            check_name(name, json)?;
            Ok((name.clone(), ColumnSchema::from_json(name, column)?))
        };
        let columns: BTreeMap<_, _> =
            columns.into_iter().flatten().map(read).collect::<Result<_, ValueError>>()?;
        let index = |index: &Value| read_index(index, &columns, json);
        let indexes = indexes.into_iter().flatten().map(index).collect::<Result<_, _>>()?;
        let max_rows = max_rows.filter(|max| *max < NO_LIMIT).and_then(|max| u64::try_from(max).ok());
        Ok(Self { columns, mutable, max_rows, is_root, indexes })
    }
}

fn read_index(
    index: &Value,
    columns: &BTreeMap<String, ColumnSchema>,
    table: &Value,
) -> Result<Vec<String>, ValueError> {
    let distinct = || ValueError::syntax("array of distinct column names expected", index);
    let mut names: Vec<String> = Vec::new();
    for name in index.as_array().ok_or_else(distinct)? {
        let name = name.as_str().ok_or_else(distinct)?;
        if !columns.contains_key(name) && !matches!(name, "_uuid" | "_version") {
            return Err(ValueError::syntax(format!("{name} is not a valid column name"), index));
        }
        if names.iter().any(|known| known == name) {
            return Err(distinct());
        }
        names.push(name.to_owned());
    }
    if names.is_empty() {
        return Err(ValueError::syntax("index must have at least one column", table));
    }
    let fleeting =
        |name: &&String| *name == "_version" || columns.get(*name).is_some_and(|one| one.ephemeral);
    if let Some(name) = names.iter().find(fleeting) {
        let details = format!("ephemeral columns (such as {name}) may not be indexed");
        return Err(ValueError::syntax(details, table));
    }
    Ok(names)
}

impl ColumnSchema {
    fn from_json(name: &str, json: &Value) -> Result<Self, ValueError> {
        let members = Members::new(json, format!("schema for column {name}"));
        let mutable = members.flag("mutable", true);
        let ephemeral = members.flag("ephemeral", false);
        let kind = members.required("type", Expect::Type);
        members.finish()?;
        let kind = ColumnType::from_json(kind.unwrap_or(&Value::Null))?;
        let weak = |base: &BaseType| base.reference.as_ref().is_some_and(|reference| reference.weak);
        // A weak reference can vanish at any time, so its column cannot be immutable.
        let forced = weak(&kind.key) || kind.value.as_ref().is_some_and(weak);
        Ok(Self { mutable: mutable || forced, ephemeral, kind })
    }
}

impl ColumnType {
    fn from_json(json: &Value) -> Result<Self, ValueError> {
        if json.is_string() {
            return Ok(Self { key: BaseType::from_json(json)?, value: None, min: 1, max: Some(1) });
        }
        let members = Members::new(json, "ovsdb type".to_owned());
        let key = members.required("key", Expect::Type);
        let value = members.optional("value", Expect::Type);
        let min = members.optional("min", Expect::Integer);
        let max = members.optional("max", Expect::Limit);
        members.finish()?;
        let key = BaseType::from_json(key.unwrap_or(&Value::Null))?;
        let value = value.map(BaseType::from_json).transpose()?;
        let min = min.map_or(Ok(1), count)?;
        let max = match max {
            Some(Value::String(text)) if text == "unlimited" => None,
            max => Some(max.map_or(Ok(1), count)?),
        };
        if min > 1 || max == Some(0) {
            return Err(ValueError::syntax("ovsdb type fails constraint checks", json));
        }
        Ok(Self { key, value, min, max })
    }
}

/// A `min` or a `max`.
fn count(json: &Value) -> Result<u64, ValueError> {
    let number = json.as_u64().filter(|number| *number < u64::from(u32::MAX));
    number.ok_or_else(|| ValueError::syntax("bad min or max value", json))
}

impl AtomicType {
    fn from_json(json: &Value) -> Result<Self, ValueError> {
        let name = json.as_str().unwrap_or_default();
        let all = [Self::Integer, Self::Real, Self::Boolean, Self::String, Self::Uuid];
        let found = all.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| ValueError::syntax(format!("\"{name}\" is not an atomic-type"), json))
    }
}

impl BaseType {
    fn from_json(json: &Value) -> Result<Self, ValueError> {
        if json.is_string() {
            return Ok(Self::plain(AtomicType::from_json(json)?));
        }
        let members = Members::new(json, "ovsdb type".to_owned());
        let atomic = members.required("type", Expect::String);
        members.check()?;
        let mut base = Self::plain(AtomicType::from_json(atomic.unwrap_or(&Value::Null))?);
        // An enumeration says all there is to say.
        if let Some(values) = members.optional("enum", Expect::Any) {
            base.enumeration = Some(base.read_enumeration(values)?);
        } else {
            match base.atomic {
                AtomicType::Integer => {
                    base.read_range(&members, "minInteger", "maxInteger", Expect::Integer)?;
                }
                AtomicType::Real => base.read_range(&members, "minReal", "maxReal", Expect::Number)?,
                AtomicType::String => base.read_lengths(&members)?,
                AtomicType::Uuid => base.reference = read_reference(&members)?,
                AtomicType::Boolean => {}
            }
        }
        members.finish()?;
        Ok(base)
    }

    fn read_enumeration(&self, json: &Value) -> Result<BTreeSet<Atom>, ValueError> {
        let kind = ColumnType { key: Self::plain(self.atomic), value: None, min: 1, max: None };
        Ok(kind.read(json, &mut |_| None)?.atoms().iter().cloned().collect())
    }

    fn read_range(
        &mut self,
        members: &Members<'_>,
        low: &'static str,
        high: &'static str,
        expect: Expect,
    ) -> Result<(), ValueError> {
        let plain = Self::plain(self.atomic);
        let bound = |name| {
            let json = members.optional(name, expect);
            json.map(|json| read_atom(json, &plain, &mut |_| None)).transpose()
        };
        let (min, max) = (bound(low)?, bound(high)?);
        if min.is_some() && max.is_some() && min > max {
            return Err(ValueError::syntax(format!("{low} exceeds {high}"), members.json));
        }
        // What every value is within says nothing.
        let least = [Atom::Integer(i64::MIN), Atom::Real(f64::MIN)];
        let most = [Atom::Integer(i64::MAX), Atom::Real(f64::MAX)];
        self.min = min.filter(|min| !least.contains(min));
        self.max = max.filter(|max| !most.contains(max));
        Ok(())
    }

    fn read_lengths(&mut self, members: &Members<'_>) -> Result<(), ValueError> {
        let length = |name| {
            let Some(json) = members.optional(name, Expect::Integer) else { return Ok(None) };
            let length = json.as_u64().filter(|length| u32::try_from(*length).is_ok());
            let details = || format!("{name} out of valid range 0 to {}", u32::MAX);
            length.map(Some).ok_or_else(|| ValueError::syntax(details(), json))
        };
        let (min, max) = (length("minLength")?, length("maxLength")?);
        if min.unwrap_or(0) > max.unwrap_or(u64::MAX) {
            return Err(ValueError::syntax("minLength exceeds maxLength", members.json));
        }
        self.min_length = min.filter(|min| *min > 0);
        self.max_length = max.filter(|max| *max < u64::from(u32::MAX));
        Ok(())
    }
}

fn read_reference(members: &Members<'_>) -> Result<Option<Reference>, ValueError> {
    let Some(table) = members.optional("refTable", Expect::Id).and_then(Value::as_str) else {
        return Ok(None);
    };
    let weak = match members.optional("refType", Expect::Id).and_then(Value::as_str) {
        None | Some("strong") => false,
        Some("weak") => true,
        Some(other) => {
            let details = format!("refType must be \"strong\" or \"weak\" (not \"{other}\")");
            return Err(ValueError::syntax(details, members.json));
        }
    };
    Ok(Some(Reference { table: table.to_owned(), weak }))
}
