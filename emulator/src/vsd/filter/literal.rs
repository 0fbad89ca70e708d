//! A value in a filter, and how values of objects compare with it: clients quote numbers and leave words bare,
//! so texts are equal across types and order is numeric where both sides are numbers.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

/// A value as a filter names it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Literal {
    /// Nothing for null.
    text: Option<String>,
    number: Option<f64>,
    /// Whether upper and lower case are the same; `text` is in lower case then.
    folded: bool,
}

impl Literal {
    /// A value in quotes.
    pub(super) fn quoted(text: String) -> Self {
        let number = number(&text);
        Self { text: Some(text), number, folded: false }
    }

    /// A value without quotes: null or nil, or anything else as it stands.
    pub(super) fn bare(word: &str) -> Self {
        if word.eq_ignore_ascii_case("null") || word.eq_ignore_ascii_case("nil") {
            return Self { text: None, number: None, folded: false };
        }
        let truth = ["true", "false"].into_iter().find(|truth| word.eq_ignore_ascii_case(truth));
        Self::quoted(truth.unwrap_or(word).to_owned())
    }

    /// The same value without a difference between upper and lower case.
    pub(super) fn folded(self) -> Self {
        Self { text: self.text.map(|text| text.to_lowercase()), folded: true, ..self }
    }

    /// The text that an attribute has which equals this, if only one can.
    pub(super) fn exact(&self) -> Option<&str> {
        self.text.as_deref().filter(|_| !self.folded)
    }

    /// Whether a value is this one.
    pub(super) fn equals(&self, found: &Value) -> bool {
        match (found, &self.text) {
            (Value::Null, wanted) => wanted.is_none(),
            (_, None) => false,
            (Value::Number(found), Some(wanted)) => {
                found.as_f64().is_some_and(|found| self.number == Some(found)) || found.to_string() == *wanted
            }
            (found, Some(wanted)) => self.text_of(found) == wanted.as_str(),
        }
    }

    /// How a value is ordered beside this one; nothing where one of them is null.
    pub(super) fn order(&self, found: &Value) -> Option<Ordering> {
        let wanted = self.text.as_deref()?;
        if found.is_null() {
            return None;
        }
        let found_number = match found {
            Value::Number(found) => found.as_f64(),
            Value::String(text) => number(text),
            _ => None,
        };
        Some(match (found_number, self.number) {
            (Some(found), Some(wanted)) => found.total_cmp(&wanted),
            _ => self.text_of(found).as_ref().cmp(wanted),
        })
    }

    /// Whether `test`, given the value's text and this one's, holds; never where one of them is null.
    pub(super) fn texts(&self, found: &Value, test: impl Fn(&str, &str) -> bool) -> bool {
        match &self.text {
            Some(wanted) if !found.is_null() => test(&self.text_of(found), wanted),
            _ => false,
        }
    }

    fn text_of<'a>(&self, found: &'a Value) -> Cow<'a, str> {
        let text = match found {
            Value::String(text) => Cow::Borrowed(text.as_str()),
            other => Cow::Owned(other.to_string()),
        };
        if self.folded { Cow::Owned(text.to_lowercase()) } else { text }
    }
}

fn number(text: &str) -> Option<f64> {
    // Words like "inf" and "nan" are names.
    let digits = text.bytes().any(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number: &f64| digits && number.is_finite())
}

/// Whether a text is like a pattern, in which `*` stands for any characters and `?` for one. Never takes longer
/// than the product of both lengths.
pub(super) fn like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut at, mut in_pattern) = (0, 0);
    // The last star, and where the text went on behind it.
    let mut star: Option<(usize, usize)> = None;
    while let Some(character) = text.get(at) {
        match pattern.get(in_pattern) {
            Some('*') => {
                star = Some((in_pattern, at));
                in_pattern += 1;
            }
            Some(wanted) if *wanted == '?' || wanted == character => {
                at += 1;
                in_pattern += 1;
            }
            _ => match star.as_mut() {
                Some((place, resumed)) => {
                    *resumed += 1;
                    at = *resumed;
                    in_pattern = *place + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(in_pattern).all(|rest| *rest == '*')
}
