//! Filters of collections: a predicate in the manner of Cocoa's `NSPredicate`, or plain text where that cannot
//! be read. A tree that is evaluated per object; what an index can answer of it is asked first. Never reads an
//! unbounded text, and never changes what a filter selects for the sake of an index.

mod literal;
mod parse;
#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;
mod tree;

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::Value;
use uuid::Uuid;

use self::parse::Unreadable;
use self::tree::Predicate;
use super::error::Refusal;

/// The longest filter that is read, in bytes: the real VSD's headers hold 8 KiB.
const LONGEST: usize = 8 * 1024;

/// What a client asked a collection to be reduced to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Filter {
    Predicate(Predicate),
    /// Objects with this text in any attribute.
    Plain(String),
}

impl Filter {
    /// Reads the text of a filter header. Without a type the server finds out what it is, and what is no
    /// predicate is text; the type `predicate` demands one, `text` or `plain` forbid it.
    ///
    /// # Errors
    /// 400: it is too long, it nests too deeply, or it had to be a predicate and is none.
    pub(super) fn read(text: &str, kind: Option<&str>) -> Result<Self, Refusal> {
        let called = |word: &str| kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case(word));
        if text.len() > LONGEST {
            return Err(Refusal::malformed(format!("A filter has at most {LONGEST} bytes.")));
        }
        if called("text") || called("plain") {
            return Ok(Self::Plain(text.to_owned()));
        }
        match parse::predicate(text) {
            Ok(predicate) => Ok(Self::Predicate(predicate)),
            Err(Unreadable::NoPredicate) if !called("predicate") => Ok(Self::Plain(text.to_owned())),
            Err(Unreadable::NoPredicate) => Err(Refusal::malformed("The filter is no predicate.")),
            Err(Unreadable::TooDeep) => Err(Refusal::malformed(format!(
                "Parentheses and NOT nest at most {} deep in a filter.",
                parse::DEEPEST
            ))),
        }
    }

    /// How the reply names it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Predicate(_) => "predicate",
            Self::Plain(_) => "plain",
        }
    }

    /// Objects among which all that pass are, as far as indexes can tell; `None` where only a look at each
    /// object can. `index` gives the objects whose attribute has a value, or `None` where it has no index.
    pub(super) fn candidates(
        &self,
        index: &impl Fn(&str, &str) -> Option<BTreeSet<Uuid>>,
    ) -> Option<BTreeSet<Uuid>> {
        match self {
            Self::Predicate(predicate) => predicate.candidates(index),
            Self::Plain(_) => None,
        }
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
