//! Schemas as the real server prints them: without what is the default anyway.

use serde_json::{Map, Value, json};

use super::{AtomicType, BaseType, ColumnSchema, ColumnType, DatabaseSchema, TableSchema};
use crate::value::Datum;

impl DatabaseSchema {
    /// The schema as the real server prints it: without what is the default anyway.
    pub fn to_json(&self) -> Value {
        // Where all tables are roots, that goes without saying.
        let all_roots = self.tables.values().all(|table| table.is_root);
        let tables: Map<String, Value> =
            self.tables.iter().map(|(name, table)| (name.clone(), table.to_json(all_roots))).collect();
        let mut object = Map::from_iter([
            ("name".to_owned(), json!(self.name)),
            ("tables".to_owned(), Value::Object(tables)),
        ]);
        if !self.version.is_empty() {
            object.insert("version".into(), json!(self.version));
        }
        if let Some(checksum) = &self.checksum {
            object.insert("cksum".into(), json!(checksum));
        }
        Value::Object(object)
    }
}

impl TableSchema {
    fn to_json(&self, all_roots: bool) -> Value {
        let columns: Map<String, Value> =
            self.columns.iter().map(|(name, column)| (name.clone(), column.to_json())).collect();
        let mut object = Map::from_iter([("columns".to_owned(), Value::Object(columns))]);
        if !self.mutable {
            object.insert("mutable".into(), json!(false));
        }
        if let Some(max) = self.max_rows {
            object.insert("maxRows".into(), json!(max));
        }
        if self.is_root && !all_roots {
            object.insert("isRoot".into(), json!(true));
        }
        if !self.indexes.is_empty() {
            object.insert("indexes".into(), json!(self.indexes));
        }
        Value::Object(object)
    }
}

impl ColumnSchema {
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

impl ColumnType {
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
}

impl BaseType {
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
