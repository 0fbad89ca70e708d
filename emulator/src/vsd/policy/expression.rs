//! Expressions of policy groups, `(PG1 || PG2) && !PG3`: AND before OR, NOT before both, names of groups as they are
//! written. Evidence: the attribute's description in Nuage's published SDK. Pure; never reads one that nests without bounds.

use std::iter::Peekable;
use std::str::Chars;

/// The deepest that parentheses and `!` nest.
const DEEPEST: usize = 32;

/// Who is meant by their groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// Who is in this group, known by its name or, once it was looked up, by its ID.
    Group(String),
    /// Who is not meant.
    Not(Box<Expression>),
    /// Who is meant by all.
    And(Vec<Expression>),
    /// Who is meant by any.
    Or(Vec<Expression>),
}

impl Expression {
    /// Reads it; `None` if it is none, or nests deeper than 32.
    pub fn read(text: &str) -> Option<Self> {
        let mut rest = text.chars().peekable();
        let expression = any(&mut rest, DEEPEST)?;
        rest.next().is_none().then_some(expression)
    }

    /// Whether somebody is meant who is a member of the groups for which `member` says so.
    pub fn holds(&self, member: &impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Group(group) => member(group),
            Self::Not(part) => !part.holds(member),
            Self::And(parts) => parts.iter().all(|part| part.holds(member)),
            Self::Or(parts) => parts.iter().any(|part| part.holds(member)),
        }
    }

    /// The same with each group's name replaced.
    #[must_use]
    pub fn with(self, replace: &impl Fn(String) -> String) -> Self {
        let all = |parts: Vec<Self>| parts.into_iter().map(|part| part.with(replace)).collect();
        match self {
            Self::Group(group) => Self::Group(replace(group)),
            Self::Not(part) => Self::Not(Box::new(part.with(replace))),
            Self::And(parts) => Self::And(all(parts)),
            Self::Or(parts) => Self::Or(all(parts)),
        }
    }
}

type Rest<'a> = Peekable<Chars<'a>>;

fn any(rest: &mut Rest<'_>, depth: usize) -> Option<Expression> {
    list(rest, '|', depth, all).map(|parts| one_or(parts, Expression::Or))
}

fn all(rest: &mut Rest<'_>, depth: usize) -> Option<Expression> {
    list(rest, '&', depth, single).map(|parts| one_or(parts, Expression::And))
}

fn one_or(mut parts: Vec<Expression>, many: impl Fn(Vec<Expression>) -> Expression) -> Expression {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => {
            parts.extend(last);
            many(parts)
        }
    }
}

/// Parts with the doubled sign between them.
fn list(
    rest: &mut Rest<'_>,
    sign: char,
    depth: usize,
    part: impl Fn(&mut Rest<'_>, usize) -> Option<Expression>,
) -> Option<Vec<Expression>> {
    let mut parts = vec![part(rest, depth)?];
    while rest.next_if_eq(&sign).is_some() {
        rest.next_if_eq(&sign)?;
        parts.push(part(rest, depth)?);
    }
    Some(parts)
}

fn single(rest: &mut Rest<'_>, depth: usize) -> Option<Expression> {
    let depth = depth.checked_sub(1)?;
    blank(rest);
    let found = match rest.peek()? {
        '!' => {
            rest.next();
            Expression::Not(Box::new(single(rest, depth)?))
        }
        '(' => {
            rest.next();
            let inner = any(rest, depth)?;
            rest.next_if_eq(&')')?;
            inner
        }
        _ => Expression::Group(name(rest)?),
    };
    blank(rest);
    Some(found)
}

fn blank(rest: &mut Rest<'_>) {
    while rest.next_if(|next| next.is_whitespace()).is_some() {}
}

/// Everything until the next sign: names of groups have blanks in them.
fn name(rest: &mut Rest<'_>) -> Option<String> {
    let mut name = String::new();
    while let Some(next) = rest.next_if(|next| !"|&!()".contains(*next)) {
        name.push(next);
    }
    let name = name.trim_end();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str, groups: &[&str]) -> bool {
        Expression::read(text).unwrap().holds(&|group| groups.contains(&group))
    }

    #[test]
    fn not_comes_before_and_and_that_before_or_and_parentheses_before_all() {
        let documented = "(PG1 || PG2) && !PG3";
        assert!(holds(documented, &["PG1"]) && holds(documented, &["PG2"]) && !holds(documented, &[]));
        assert!(!holds(documented, &["PG1", "PG3"]));
        assert!(holds("a || b && c", &["a"]) && !holds("(a || b) && c", &["a"]));
        assert!(holds("!a || b", &[]) && holds("!(a && b)", &["a"]) && !holds("!!a", &[]));
        assert!(holds("  web servers&&  db-1.x ", &["web servers", "db-1.x"]));
    }

    #[test]
    fn what_is_no_expression_or_nests_without_end_is_not_read() {
        for text in
            ["", " ", "a b |", "a | b", "a & b", "a ||", "&& a", "(a", "a)", "()", "a (b)", "!", "a !b"]
        {
            assert_eq!(Expression::read(text), None, "{text:?}");
        }
        assert!(Expression::read(&"!".repeat(100_000)).is_none());
        assert!(Expression::read(&"(".repeat(100_000)).is_none());
        assert!(Expression::read(&format!("{}a{}", "(".repeat(31), ")".repeat(31))).is_some());
    }
}
