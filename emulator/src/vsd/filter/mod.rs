//! Filters of collections: a predicate in the manner of Cocoa's `NSPredicate`, or plain text where that cannot
//! be read. A tree that is evaluated per object; a part that an index can answer is told to the caller.
//! Never fails: what is no predicate is text.

mod parse;

use std::borrow::Cow;

use serde_json::Value;

/// The longest filter that is read as a predicate, in bytes: the real VSD's headers hold 8 KiB.
const LONGEST: usize = 8 * 1024;

/// What a client asked a collection to be reduced to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Filter {
    Predicate(Predicate),
    /// Objects with this text in any attribute.
    Plain(String),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Predicate {
    And(Vec<Predicate>),
    Or(Vec<Predicate>),
    Not(Box<Predicate>),
    Test { attribute: String, operator: Operator, values: Vec<Value> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Contains,
    BeginsWith,
    EndsWith,
    In,
}

impl Filter {
    /// Reads the text of a filter header; `text` or `plain` as the type keeps it from being a predicate.
    pub(super) fn read(text: &str, kind: Option<&str>) -> Self {
        let plain =
            kind.is_some_and(|kind| ["text", "plain"].iter().any(|word| kind.eq_ignore_ascii_case(word)));
        match parse::predicate(text) {
            Some(predicate) if !plain && text.len() <= LONGEST => Self::Predicate(predicate),
            _ => Self::Plain(text.to_owned()),
        }
    }

    /// How the reply names it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Predicate(_) => "predicate",
            Self::Plain(_) => "plain",
        }
    }

    /// An attribute and the text that each match has there, if the filter demands one.
    pub(super) fn pinned(&self) -> impl Iterator<Item = (&str, &str)> {
        let tests = match self {
            Self::Predicate(Predicate::And(tests)) => tests.as_slice(),
            Self::Predicate(test) => std::slice::from_ref(test),
            Self::Plain(_) => &[],
        };
        tests.iter().filter_map(|test| match test {
            Predicate::Test { attribute, operator: Operator::Equal, values } => {
                Some((attribute.as_str(), values.first()?.as_str()?))
            }
            _ => None,
        })
    }

    /// Whether an object, seen through `field`, passes. `names` are its attributes, for plain text.
    pub(super) fn passes<'a, 'n>(
        &self,
        names: impl IntoIterator<Item = &'n str>,
        field: impl Fn(&str) -> Cow<'a, Value>,
    ) -> bool {
        match self {
            Self::Predicate(predicate) => predicate.holds(&field),
            Self::Plain(text) => names.into_iter().any(|name| match field(name).as_ref() {
                Value::Null => false,
                Value::String(value) => value.contains(text),
                value => value.to_string().contains(text),
            }),
        }
    }
}

impl Predicate {
    fn holds<'a>(&self, field: &impl Fn(&str) -> Cow<'a, Value>) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.holds(field)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(field)),
            Self::Not(part) => !part.holds(field),
            Self::Test { attribute, operator, values } => {
                let found = field(attribute);
                match operator {
                    Operator::NotEqual => !values.iter().any(|value| same(&found, value)),
                    Operator::Equal | Operator::In => values.iter().any(|value| same(&found, value)),
                    _ => values.iter().any(|value| compare(&found, *operator, value)),
                }
            }
        }
    }
}

/// Equality across notations: clients quote numbers and leave words bare.
fn same(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Array(items), _) => items.iter().any(|item| same(item, wanted)),
        (Value::Null, _) | (_, Value::Null) => found == wanted,
        (Value::String(found), Value::String(wanted)) => found == wanted,
        _ => found == wanted || text(found) == text(wanted),
    }
}

fn compare(found: &Value, operator: Operator, wanted: &Value) -> bool {
    if found.is_null() {
        return false;
    }
    let (found, wanted) = (text(found), text(wanted));
    match operator {
        Operator::Contains => found.contains(wanted.as_ref()),
        Operator::BeginsWith => found.starts_with(wanted.as_ref()),
        Operator::EndsWith => found.ends_with(wanted.as_ref()),
        _ => {
            let order = match (found.parse::<f64>(), wanted.parse::<f64>()) {
                (Ok(found), Ok(wanted)) => found.total_cmp(&wanted),
                _ => found.cmp(&wanted),
            };
            match operator {
                Operator::Less => order.is_lt(),
                Operator::LessOrEqual => order.is_le(),
                Operator::Greater => order.is_gt(),
                _ => order.is_ge(),
            }
        }
    }
}

fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn passes(text: &str) -> bool {
        let object = json!({ "name": "web \"1\"", "priority": 5, "externalID": null, "active": true,
                             "type": "BRIDGE", "zoneIDs": ["a", "b"] });
        let filter = Filter::read(text, None);
        assert_eq!(filter.kind(), "predicate", "{text}");
        let names = ["name", "priority"];
        filter.passes(names, |name| Cow::Owned(object.get(name).cloned().unwrap_or_default()))
    }

    #[test]
    fn each_form_that_clients_send_is_read_and_evaluated() {
        for (text, expected) in [
            (r#"name == "web \"1\"""#, true),
            (r#"name == 'web "1"'"#, true),
            ("'name' ISNOT 'web'", true),
            ("name != 'web'", true),
            ("name <> 'web \"1\"'", false),
            ("priority == 5", true),
            ("priority = '5'", true),
            ("priority >= '10'", false),
            ("priority < 10", true),
            ("type IS BRIDGE", true),
            ("externalID IS null", true),
            ("externalID is nil and active is true", true),
            ("name contains 'eb'", true),
            ("name CONTAINS[c] 'eb'", true),
            ("name BEGINSWITH 'eb'", false),
            ("name beginswith \"web\"", true),
            ("name ENDSWITH '1\"'", true),
            ("zoneIDs == 'b'", true),
            ("externalID IN {'a', \"b\"}", false),
            ("type IN {\"BRIDGE\",'VM'}", true),
            ("not(name BEGINSWITH 'web') and (priority == 5)", false),
            ("not(name BEGINSWITH 'x') and (priority == 5)", true),
            ("priority == 1 OR priority == 5 AND active == true", true),
            ("(priority == 5 OR priority == 1) AND active == false", false),
            ("missing == 'x'", false),
        ] {
            assert_eq!(passes(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_predicate_is_plain_text_in_any_attribute() {
        for text in
            ["web", "web server", "name ==", "(name == 'a'", "name == 'a' extra", "\"", &"(".repeat(999)]
        {
            assert_eq!(Filter::read(text, None), Filter::Plain(text.to_owned()));
        }
        assert_eq!(Filter::read("name == 'a'", Some("TEXT")).kind(), "plain");
        let filter = Filter::read("eb", None);
        assert!(filter.passes(["name"], |_| Cow::Owned(json!("web"))));
        assert!(!filter.passes(["name"], |_| Cow::Owned(json!("db"))));
    }

    #[test]
    fn a_demanded_equality_is_told_so_that_an_index_can_serve_it() {
        let pinned =
            |text| Filter::read(text, None).pinned().map(|(a, b)| format!("{a}={b}")).collect::<Vec<_>>();
        assert_eq!(pinned("name == 'a'"), ["name=a"]);
        assert_eq!(pinned("type IS VM and externalID == 'b'"), ["type=VM", "externalID=b"]);
        assert!(pinned("name == 'a' or name == 'b'").is_empty());
        assert!(pinned("not (name == 'a')").is_empty());
    }
}
