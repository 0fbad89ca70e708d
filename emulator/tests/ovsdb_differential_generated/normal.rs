//! When two answers are the same: random identifiers are renamed one to one, never erased; where the real server's order
//! comes from a hash it is taken away; each tolerance has a name and a reason.

use std::collections::BTreeMap;

use nuage_ovsdb::Uuid;
use serde_json::{Map, Value, json};

/// Which identifier of the emulated server stands for which of the real one.
#[derive(Default)]
pub(crate) struct Bijection {
    to_ours: BTreeMap<String, String>,
    to_real: BTreeMap<String, String>,
    /// How often two different violations of one kind were taken for the same answer.
    pub(crate) tolerated: usize,
}

/// Cuts a text into what is an identifier (true) and what is not.
fn pieces(text: &str) -> Vec<(bool, &str)> {
    let mut found = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < text.len() {
        let candidate = text.get(at..at + 36).filter(|part| part.as_bytes()[8] == b'-');
        if candidate.is_some_and(|part| Uuid::try_parse(part).is_ok()) {
            if start < at {
                found.push((false, &text[start..at]));
            }
            found.push((true, &text[at..at + 36]));
            at += 36;
            start = at;
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    if start < text.len() {
        found.push((false, &text[start..]));
    }
    found
}

fn map_text(text: &str, rename: &dyn Fn(&str) -> String) -> String {
    if text.len() < 36 {
        return text.to_owned();
    }
    pieces(text).into_iter().map(|(uuid, part)| if uuid { rename(part) } else { part.to_owned() }).collect()
}

fn map_texts(value: &Value, rename: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => json!(map_text(text, rename)),
        Value::Array(items) => items.iter().map(|item| map_texts(item, rename)).collect(),
        Value::Object(object) => {
            let member = |(key, value): (&String, &Value)| (map_text(key, rename), map_texts(value, rename));
            Value::Object(object.iter().map(member).collect())
        }
        other => other.clone(),
    }
}

impl Bijection {
    /// An identifier that both have.
    pub(crate) fn share(&mut self, uuid: &str) {
        self.to_ours.insert(uuid.to_owned(), uuid.to_owned());
        self.to_real.insert(uuid.to_owned(), uuid.to_owned());
    }

    /// A request for the emulated server, from one with the real server's identifiers.
    pub(crate) fn request(&self, value: &Value) -> Value {
        map_texts(value, &|uuid| self.to_ours.get(uuid).map_or(uuid, String::as_str).to_owned())
    }

    /// Whether the emulated server's answer is the real one's; learns identifiers that are new in both.
    pub(crate) fn same(&mut self, real: &Value, ours: &Value) -> bool {
        let renamed = map_texts(ours, &|uuid| self.to_real.get(uuid).map_or(uuid, String::as_str).to_owned());
        let (real, ours) = (self.canonical(real), self.canonical(&renamed));
        self.unify(&real, &ours)
    }

    /// As a person reads it: the emulated server's answer in the real one's identifiers.
    pub(crate) fn readable(&self, ours: &Value) -> String {
        let rename = |uuid: &str| self.to_real.get(uuid).map_or(uuid, String::as_str).to_owned();
        self.canonical(&map_texts(ours, &rename)).to_string()
    }

    /// A key to sort by that is the same on both sides: identifiers that are not known yet say nothing.
    pub(crate) fn key(&self, value: &Value) -> String {
        let known =
            |uuid: &str| if self.to_ours.contains_key(uuid) { uuid.to_owned() } else { "?".to_owned() };
        map_texts(value, &known).to_string()
    }

    fn canonical(&self, value: &Value) -> Value {
        match value {
            Value::Array(items) => {
                let mut items: Vec<Value> = items.iter().map(|item| self.canonical(item)).collect();
                if let [Value::String(tag), Value::Array(elements)] = items.as_mut_slice()
                    && (tag == "set" || tag == "map")
                {
                    // Both sort by identifier, which differ.
                    elements.sort_by_cached_key(|element| self.key(element));
                }
                Value::Array(items)
            }
            Value::Object(object) => {
                let member = |(key, value): (&String, &Value)| (key.clone(), self.member(key, value));
                Value::Object(object.iter().map(member).collect())
            }
            other => other.clone(),
        }
    }

    fn member(&self, key: &str, value: &Value) -> Value {
        match (key, value) {
            // Quotes JSON; the order of its members comes from a hash.
            ("syntax", Value::String(text)) => {
                serde_json::from_str(text).map_or_else(|_| value.clone(), |json| self.canonical(&json))
            }
            // A select's rows come in the order of a hash.
            ("rows", Value::Array(rows)) => {
                let mut rows: Vec<Value> = rows.iter().map(|row| self.canonical(row)).collect();
                rows.sort_by_cached_key(|row| self.key(row));
                Value::Array(rows)
            }
            ("details", Value::String(text)) => json!(details(text)),
            _ => self.canonical(value),
        }
    }

    fn unify(&mut self, real: &Value, ours: &Value) -> bool {
        match (real, ours) {
            (Value::String(real), Value::String(ours)) => real == ours || self.unify_text(real, ours),
            (Value::Array(real), Value::Array(ours)) => {
                real.len() == ours.len() && real.iter().zip(ours).all(|(a, b)| self.unify(a, b))
            }
            (Value::Object(real), Value::Object(ours)) => self.unify_objects(real, ours),
            (real, ours) => real == ours,
        }
    }

    fn unify_objects(&mut self, real: &Map<String, Value>, ours: &Map<String, Value>) -> bool {
        real.len() == ours.len()
            && real.iter().all(|(key, a)| {
                ours.get(key).is_some_and(|b| self.unify(a, b) || (key == "details" && self.tolerable(a, b)))
            })
    }

    /// A commit that breaks a rule in several rows is refused for the first one, and the real server visits rows in the order
    /// of their identifiers' hashes, columns in that of their names'.
    fn tolerable(&mut self, real: &Value, ours: &Value) -> bool {
        let kind = |value: &Value| value.as_str().and_then(violation);
        let same = kind(real).is_some() && kind(real) == kind(ours);
        self.tolerated += usize::from(same);
        same
    }

    fn unify_text(&mut self, real: &str, ours: &str) -> bool {
        let (real, ours) = (pieces(real), pieces(ours));
        real.len() == ours.len()
            && real.iter().zip(&ours).all(|((is_uuid, a), (other_is, b))| {
                is_uuid == other_is && (a == b || (*is_uuid && self.stands_for(a, b)))
            })
    }

    /// Whether two identifiers are bound to each other; those that neither side has shown before are bound now.
    fn stands_for(&mut self, real: &str, ours: &str) -> bool {
        if self.to_ours.get(real).is_some_and(|bound| bound == ours) {
            return true;
        }
        if self.to_ours.contains_key(real) || self.to_real.contains_key(ours) {
            return false;
        }
        self.to_ours.insert(real.to_owned(), ours.to_owned());
        self.to_real.insert(ours.to_owned(), real.to_owned());
        true
    }
}

/// The kind of a violation that a commit may find in several rows.
fn violation(details: &str) -> Option<&'static str> {
    let strong =
        details.contains(" references nonexistent row ") || details.contains(" remaining reference(s)");
    let weak = details.starts_with("Weak reference column ") || details.starts_with("Deletion of ");
    let index = details.starts_with("Transaction causes multiple rows in ");
    [(strong, "strong"), (weak, "weak"), (index, "index")]
        .into_iter()
        .find_map(|(is, kind)| is.then_some(kind))
}

/// An error's words without what the real server takes from a hash:
/// - which of two rows with one key is the first (rows are visited in the order of their identifiers' hashes);
/// - how long a wait really took.
fn details(text: &str) -> String {
    if let Some((before, rest)) = text.split_once("  First row, ")
        && let Some((first, second)) = rest.split_once("  Second row, ")
    {
        let mut rows = [first.trim_end_matches('.'), second.trim_end_matches('.')];
        rows.sort_by_key(|row| row.rsplit_once(", ").map_or("", |(_, story)| story));
        return format!("{before}  Rows {} and {}.", rows[0], rows[1]);
    }
    match text.split_once(" timed out after ") {
        Some((before, _)) => format!("{before} timed out"),
        None => text.to_owned(),
    }
}
