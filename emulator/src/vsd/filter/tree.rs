//! The tree that a predicate is, and what it says about an object. Never looks at more than one object.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::Value;
use uuid::Uuid;

use super::literal::{Literal, like};

#[derive(Clone, Debug, PartialEq)]
pub(in crate::vsd) enum Predicate {
    And(Vec<Predicate>),
    Or(Vec<Predicate>),
    Not(Box<Predicate>),
    Test(Test),
}

/// One attribute and what it is held against.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::vsd) struct Test {
    pub(super) attribute: String,
    pub(super) operator: Operator,
    /// One, but with [`Operator::In`] any number and with [`Operator::Between`] two.
    pub(super) literals: Vec<Literal>,
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
    Like,
    In,
    Between,
}

impl Predicate {
    /// Whether it holds for an object, seen through `field`.
    pub(super) fn holds<'a>(&self, field: &impl Fn(&str) -> Cow<'a, Value>) -> bool {
        match self {
            Self::And(parts) => parts.iter().all(|part| part.holds(field)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(field)),
            Self::Not(part) => !part.holds(field),
            Self::Test(test) => test.holds(&field(&test.attribute)),
        }
    }

    /// See [`super::Filter::candidates`].
    pub(super) fn candidates(
        &self,
        index: &impl Fn(&str, &str) -> Option<BTreeSet<Uuid>>,
    ) -> Option<BTreeSet<Uuid>> {
        match self {
            // What any part lets through; the smallest answer leaves the least to look at.
            Self::And(parts) => {
                parts.iter().filter_map(|part| part.candidates(index)).min_by_key(BTreeSet::len)
            }
            Self::Or(parts) => union(parts.iter().map(|part| part.candidates(index))),
            Self::Not(_) => None,
            Self::Test(test) => test.candidates(index),
        }
    }
}

impl Test {
    /// Whether a value passes; a list does where one of its items does.
    fn holds(&self, found: &Value) -> bool {
        if self.operator == Operator::NotEqual {
            return !any(found, |item| self.literals.iter().any(|literal| literal.equals(item)));
        }
        any(found, |item| self.passes(item))
    }

    fn passes(&self, found: &Value) -> bool {
        let is = |test: fn(std::cmp::Ordering) -> bool, literal: Option<&Literal>| {
            literal.and_then(|literal| literal.order(found)).is_some_and(test)
        };
        let text = |test: fn(&str, &str) -> bool| {
            self.literals.first().is_some_and(|literal| literal.texts(found, test))
        };
        match self.operator {
            Operator::Equal | Operator::NotEqual | Operator::In => {
                self.literals.iter().any(|literal| literal.equals(found))
            }
            Operator::Less => is(std::cmp::Ordering::is_lt, self.literals.first()),
            Operator::LessOrEqual => is(std::cmp::Ordering::is_le, self.literals.first()),
            Operator::Greater => is(std::cmp::Ordering::is_gt, self.literals.first()),
            Operator::GreaterOrEqual => is(std::cmp::Ordering::is_ge, self.literals.first()),
            Operator::Between => {
                is(std::cmp::Ordering::is_ge, self.literals.first())
                    && is(std::cmp::Ordering::is_le, self.literals.last())
            }
            Operator::Contains => text(|found, wanted| found.contains(wanted)),
            Operator::BeginsWith => text(|found, wanted| found.starts_with(wanted)),
            Operator::EndsWith => text(|found, wanted| found.ends_with(wanted)),
            Operator::Like => text(like),
        }
    }

    fn candidates(&self, index: &impl Fn(&str, &str) -> Option<BTreeSet<Uuid>>) -> Option<BTreeSet<Uuid>> {
        if !matches!(self.operator, Operator::Equal | Operator::In) {
            return None;
        }
        union(self.literals.iter().map(|literal| index(&self.attribute, literal.exact()?)))
    }
}

/// All of several answers, or none where one of them is missing.
fn union(answers: impl Iterator<Item = Option<BTreeSet<Uuid>>>) -> Option<BTreeSet<Uuid>> {
    answers.reduce(|all, one| {
        let mut all = all?;
        all.append(&mut one?);
        Some(all)
    })?
}

fn any(found: &Value, test: impl Fn(&Value) -> bool) -> bool {
    match found {
        Value::Array(items) => items.iter().any(test),
        single => test(single),
    }
}
