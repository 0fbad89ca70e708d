//! Any filter, in any notation, selects what an evaluator selects that knows only the meaning of the operators;
//! and whatever text comes, it is read or refused.

use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;

/// An expression as the tests mean it.
#[derive(Clone, Debug)]
enum Meant {
    And(Box<Meant>, Box<Meant>),
    Or(Box<Meant>, Box<Meant>),
    Not(Box<Meant>),
    Test(&'static str, &'static str, Vec<Option<String>>),
}

const ATTRIBUTES: [&str; 4] = ["name", "count", "active", "tags"];
const OPERATORS: [&str; 13] =
    ["==", "=", "!=", "<>", "is", "isnot", "<", "<=", ">", ">=", "contains", "beginswith", "endswith"];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[ab]{0,3}",
        2 => "-?[0-9]{1,2}",
        1 => "[ab '\"\\\\(){},=]{0,4}",
        1 => Just("true".to_owned()),
        1 => Just("null".to_owned()),
    ]
}

fn meant() -> impl Strategy<Value = Meant> {
    let one = (
        prop::sample::select(&ATTRIBUTES[..]),
        prop::sample::select(&OPERATORS[..]),
        prop::option::weighted(0.9, text()),
    )
        .prop_map(|(attribute, operator, value)| Meant::Test(attribute, operator, vec![value]));
    let several = (
        prop::sample::select(&ATTRIBUTES[..]),
        prop::collection::vec(prop::option::weighted(0.9, text()), 1..4),
    )
        .prop_map(|(attribute, values)| Meant::Test(attribute, "in", values));
    prop_oneof![4 => one, 1 => several].prop_recursive(4, 24, 2, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            pair.clone().prop_map(|(a, b)| Meant::And(Box::new(a), Box::new(b))),
            pair.prop_map(|(a, b)| Meant::Or(Box::new(a), Box::new(b))),
            inner.prop_map(|a| Meant::Not(Box::new(a))),
        ]
    })
}

fn object() -> impl Strategy<Value = Map<String, Value>> {
    let name = prop_oneof![1 => Just(Value::Null), 5 => text().prop_map(Value::from)];
    let tags = prop::collection::vec(text(), 0..3);
    (name, -20_i64..20, any::<bool>(), tags).prop_map(|(name, count, active, tags)| {
        let Value::Object(object) = json!({ "name": name, "count": count, "active": active, "tags": tags })
        else {
            panic!("an object");
        };
        object
    })
}

/// A way to write: which quotes, which case, how much space.
struct Hand {
    bits: u64,
}

impl Hand {
    fn bit(&mut self) -> bool {
        self.bits = self.bits.rotate_left(7).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5555;
        self.bits & 0x100 == 0
    }

    fn keyword(&mut self, word: &str) -> String {
        word.chars().map(|c| if self.bit() { c.to_ascii_uppercase() } else { c }).collect()
    }

    fn space(&mut self) -> &'static str {
        if self.bit() { " " } else { "  " }
    }

    fn value(&mut self, value: Option<&String>) -> String {
        let Some(text) = value else { return self.keyword("null") };
        let bare = text.chars().all(char::is_alphanumeric) && !text.is_empty() && text != "null";
        if bare && self.bit() {
            return text.clone();
        }
        let quote = if self.bit() { '"' } else { '\'' };
        let escaped = |c: char| if c == quote || c == '\\' { format!("\\{c}") } else { c.to_string() };
        format!("{quote}{}{quote}", text.chars().map(escaped).collect::<String>())
    }

    fn write(&mut self, meant: &Meant) -> String {
        let space = self.space();
        match meant {
            Meant::And(a, b) => {
                format!("({}){space}{}({})", self.write(a), self.keyword("and"), self.write(b))
            }
            Meant::Or(a, b) => {
                format!("({}) {}{space}({})", self.write(a), self.keyword("or"), self.write(b))
            }
            Meant::Not(a) => format!("{}{space}({})", self.keyword("not"), self.write(a)),
            Meant::Test(attribute, operator, values) => {
                let values: Vec<String> = values.iter().map(|value| self.value(value.as_ref())).collect();
                let values = match *operator {
                    "in" => format!("{{{}}}", values.join(if self.bit() { "," } else { " , " })),
                    _ => values.concat(),
                };
                let attribute = if self.bit() { (*attribute).to_owned() } else { format!("'{attribute}'") };
                format!("{attribute} {} {space}{values}", self.keyword(operator))
            }
        }
    }
}

/// What an expression says, in the plainest way.
fn naive(meant: &Meant, object: &Map<String, Value>) -> bool {
    match meant {
        Meant::And(a, b) => naive(a, object) && naive(b, object),
        Meant::Or(a, b) => naive(a, object) || naive(b, object),
        Meant::Not(a) => !naive(a, object),
        Meant::Test(attribute, operator, values) => {
            let items = match &object[*attribute] {
                Value::Array(items) => items.clone(),
                single => vec![single.clone()],
            };
            let found = |test: &dyn Fn(&str, &str) -> bool| {
                items.iter().any(|item| {
                    values.iter().any(|wanted| match (item, wanted) {
                        (Value::Null, _) | (_, None) => false,
                        (Value::String(found), Some(wanted)) => test(found, wanted),
                        (other, Some(wanted)) => test(&other.to_string(), wanted),
                    })
                })
            };
            let numeric = |a: &str, b: &str| Some((a.parse::<i64>().ok()?, b.parse::<i64>().ok()?));
            let less = |a: &str, b: &str| numeric(a, b).map_or(a < b, |(a, b)| a < b);
            let same = |a: &str, b: &str| numeric(a, b).map_or(a == b, |(a, b)| a == b);
            let null = items.iter().any(Value::is_null) && values.iter().any(Option::is_none);
            // A text equals a text letter by letter, a number equals what denotes it.
            let letters = items.iter().all(Value::is_string);
            let equal = null || found(&|a, b| if letters { a == b } else { same(a, b) });
            match *operator {
                "==" | "=" | "is" | "in" => equal,
                "!=" | "<>" | "isnot" => !equal,
                "<" => found(&less),
                "<=" => found(&|a, b| less(a, b) || same(a, b)),
                ">" => found(&|a, b| less(b, a)),
                ">=" => found(&|a, b| less(b, a) || same(a, b)),
                "contains" => found(&|a, b| a.contains(b)),
                "beginswith" => found(&|a, b| a.starts_with(b)),
                "endswith" => found(&|a, b| a.ends_with(b)),
                other => panic!("no operator {other}"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn any_filter_in_any_notation_means_what_its_operators_mean(
        meant in meant(), objects in prop::collection::vec(object(), 1..5), bits in any::<u64>()
    ) {
        let written = Hand { bits }.write(&meant);
        let filter = Filter::read(&written, Some("predicate")).unwrap();
        for object in &objects {
            let found = filter.passes([], |name| Cow::Owned(object[name].clone()));
            prop_assert_eq!(found, naive(&meant, object), "{} of {:?}", written, object);
        }
    }

    #[test]
    fn whatever_text_comes_it_is_read_or_refused(text in prop_oneof![
        any::<String>(),
        "[ab'\"\\\\(){},=<>! \\[\\]]{0,40}",
        "(a|not|and|or|is|in|==|\\(|\\)|\\{|\\}|,|'x'| ){0,40}",
    ]) {
        let filter = Filter::read(&text, None);
        if let Ok(filter) = filter {
            filter.passes(["a"], |_| Cow::Owned(json!("b")));
        }
    }
}
