//! Between the text of a topology and its tables, held against the model. Never asks a VSD.

use serde_json::{Map, Number, Value};
use toml::{Table, Value as Toml};

use super::{Error, MOST_OBJECTS, Node, Setting};
use crate::vsd::model::{Entity, Model, Name, ROOT};

/// The root tables of a text.
///
/// # Errors
/// [`Error::Syntax`], [`Error::Meaning`], [`Error::TooMany`].
pub(super) fn read(text: &str, model: &Model) -> Result<Vec<Node>, Error> {
    let table: Table = toml::from_str(text).map_err(|error| Error::Syntax(Box::new(error)))?;
    let mut reader = Reader { model, left: MOST_OBJECTS };
    let mut roots = Vec::new();
    for (key, value) in table {
        let name = creatable(model, ROOT, &key)
            .ok_or_else(|| meaning("the text", format!("{key} is nothing that is made at the root")))?;
        let tables = tables(value).ok_or_else(|| meaning(&key, "is no list of tables".to_owned()))?;
        reader.nodes(name, "", tables, &mut roots)?;
    }
    Ok(roots)
}

struct Reader<'a> {
    model: &'a Model,
    left: usize,
}

impl Reader<'_> {
    fn nodes(
        &mut self,
        entity: Name,
        above: &str,
        tables: Vec<Table>,
        to: &mut Vec<Node>,
    ) -> Result<(), Error> {
        for table in tables {
            self.left = self.left.checked_sub(1).ok_or(Error::TooMany(MOST_OBJECTS))?;
            to.push(self.node(entity, above, table)?);
        }
        Ok(())
    }

    fn node(&mut self, entity: Name, above: &str, table: Table) -> Result<Node, Error> {
        let name = table.get("name").or_else(|| table.get("userName")).and_then(Toml::as_str).unwrap_or("?");
        let place = format!("{above}{entity} {name}");
        let (_, facts) =
            self.model.entity(entity).ok_or_else(|| meaning(&place, "is of no entity".to_owned()))?;
        let mut node = Node { entity, place: place.clone(), ..Node::default() };
        for (key, value) in table {
            if key == "as" {
                let label = value.as_str().filter(|label| !label.is_empty());
                let label = label.ok_or_else(|| meaning(&place, "as is no text".to_owned()))?;
                node.label = Some(label.to_owned());
            } else if let Some(members) = members(self.model, entity, &key, &value) {
                node.members.push(members);
            } else if value.as_array().is_some_and(|items| items.iter().all(Toml::is_table))
                && let Some(child) = creatable(self.model, entity, &key)
            {
                let tables = tables(value).unwrap_or_default();
                self.nodes(child, &format!("{place} > "), tables, &mut node.children)?;
            } else {
                node.attributes.push(setting(facts, &place, &key, value)?);
            }
        }
        Ok(node)
    }
}

fn setting(facts: &Entity, place: &str, key: &str, value: Toml) -> Result<(Name, Setting), Error> {
    let (name, attribute) = facts
        .attribute(key)
        .ok_or_else(|| meaning(place, format!("{key} is neither an attribute nor something below it")))?;
    if attribute.read_only {
        return Err(meaning(place, format!("{key} is the server's to say")));
    }
    let reference = value.as_str().and_then(|text| text.strip_prefix('@'));
    Ok((
        name,
        match reference {
            Some(text) if text.starts_with('@') => Setting::Value(Value::from(text)),
            Some(label) => Setting::Reference(label.to_owned()),
            None => Setting::Value(json(value)),
        },
    ))
}

/// What a key means that stands for members: a list of references under the name of an entity.
fn members(model: &Model, entity: Name, key: &str, value: &Toml) -> Option<(Name, Vec<String>)> {
    let (name, _) = model.entity(key)?;
    let edge = model.edge(entity, key)?;
    if !edge.member || !edge.verbs.contains('U') {
        return None;
    }
    let labels = value.as_array()?.iter().map(|item| item.as_str()?.strip_prefix('@').map(str::to_owned));
    Some((name, labels.collect::<Option<_>>()?))
}

/// The entity, if its objects are made below such a parent.
pub(super) fn creatable(model: &Model, parent: &str, entity: &str) -> Option<Name> {
    let edge = model.edge(parent, entity)?;
    (edge.verbs.contains('C') && edge.by.is_none() && !edge.member)
        .then(|| model.entity(entity))?
        .map(|(name, _)| name)
}

fn tables(value: Toml) -> Option<Vec<Table>> {
    let Toml::Array(items) = value else { return None };
    items.into_iter().map(|item| if let Toml::Table(table) = item { Some(table) } else { None }).collect()
}

pub(super) fn meaning(place: &str, reason: String) -> Error {
    Error::Meaning { place: place.to_owned(), reason }
}

fn json(value: Toml) -> Value {
    match value {
        Toml::String(text) => Value::String(text),
        Toml::Integer(number) => Value::from(number),
        Toml::Float(number) => Number::from_f64(number).map_or(Value::Null, Value::Number),
        Toml::Boolean(truth) => Value::Bool(truth),
        Toml::Datetime(time) => Value::String(time.to_string()),
        Toml::Array(items) => Value::Array(items.into_iter().map(json).collect()),
        Toml::Table(table) => {
            Value::Object(table.into_iter().map(|(key, value)| (key, json(value))).collect::<Map<_, _>>())
        }
    }
}

/// A value as TOML has it; nothing for what it has not.
fn toml_of(value: &Value) -> Option<Toml> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(truth) => Toml::Boolean(*truth),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Toml::Integer(number),
            None => Toml::Float(number.as_f64()?),
        },
        Value::String(text) if text.starts_with('@') => Toml::String(format!("@{text}")),
        Value::String(text) => Toml::String(text.clone()),
        Value::Array(items) => Toml::Array(items.iter().map(toml_of).collect::<Option<_>>()?),
        Value::Object(members) => {
            let members = members.iter().filter_map(|(key, value)| Some((key.clone(), toml_of(value)?)));
            Toml::Table(members.collect())
        }
    })
}

/// The text of tables.
pub(super) fn write(roots: &[Node]) -> String {
    toml::to_string(&grouped(roots)).unwrap_or_default()
}

fn grouped(nodes: &[Node]) -> Table {
    let mut table = Table::new();
    for node in nodes {
        let list = table.entry(node.entity).or_insert_with(|| Toml::Array(Vec::new()));
        if let Toml::Array(items) = list {
            items.push(Toml::Table(written(node)));
        }
    }
    table
}

fn written(node: &Node) -> Table {
    let mut table = grouped(&node.children);
    if let Some(label) = &node.label {
        table.insert("as".to_owned(), Toml::String(label.clone()));
    }
    for (name, setting) in &node.attributes {
        let value = match setting {
            Setting::Value(value) => toml_of(value),
            Setting::Reference(label) => Some(Toml::String(format!("@{label}"))),
        };
        if let Some(value) = value {
            table.insert((*name).to_owned(), value);
        }
    }
    for (entity, labels) in &node.members {
        let labels = labels.iter().map(|label| Toml::String(format!("@{label}")));
        table.insert((*entity).to_owned(), Toml::Array(labels.collect()));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_what_means_nothing_is_told_with_its_place() {
        let text = "[[enterprise]]\nas = \"e\"\ndescription = \"@@home\"\nname = \"acme\"\n\n\
                    [[enterprise.domaintemplate]]\nas = \"t\"\nname = \"T\"\n\n\
                    [[enterprise.domain]]\nname = \"d\"\ntemplateID = \"@t\"\n";
        let model = Model::load();
        let nodes = read(text, &model).unwrap();
        assert_eq!(nodes.len(), 1);
        assert_eq!(
            nodes[0].attributes.iter().find(|(name, _)| *name == "description").unwrap().1,
            Setting::Value(Value::from("@home"))
        );
        let again = write(&nodes);
        assert_eq!(write(&read(&again, &model).unwrap()), again);
        assert!(
            again.contains("description = \"@@home\"") && again.contains("templateID = \"@t\""),
            "{again}"
        );

        for (text, words) in [
            ("enterprise = 1", "enterprise: is no list of tables"),
            ("[[zone]]\nname = 'z'", "zone is nothing that is made at the root"),
            ("[[enterprise]]\nname = 'a'\ncolour = 'red'", "enterprise a: colour is neither"),
            ("[[enterprise]]\nname = 'a'\n[[enterprise.zone]]\nname = 'z'", "enterprise a: zone is neither"),
            ("[[enterprise]]\nname = 'a'\nas = 1", "enterprise a: as is no text"),
            ("[[enterprise]\n", "TOML parse error at line 1"),
        ] {
            let told = read(text, &model).unwrap_err().to_string();
            assert!(told.contains(words), "{told}");
        }
    }
}
