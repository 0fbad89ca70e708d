//! Reads a predicate: `or` above `and` above `not`, then an attribute, an operator and values. Never recurses
//! deeper than a bound, so that no header can exhaust the stack.

use winnow::ModalResult;
use winnow::Parser as _;
use winnow::ascii::multispace0;
use winnow::combinator::{alt, delimited, opt, preceded, separated, terminated};
use winnow::error::{ContextError, ErrMode};
use winnow::token::{any, take_till};

use super::literal::Literal;
use super::tree::{Operator, Predicate, Test};

/// How deep parentheses and `not` may nest; what real clients send nests twice.
pub(super) const DEEPEST: usize = 32;

/// Why a text is no predicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    NoPredicate,
    TooDeep,
}

/// The predicate that a text is.
pub(super) fn predicate(mut text: &str) -> Result<Predicate, Unreadable> {
    match delimited(multispace0, |input: &mut &str| or(0, input), multispace0).parse_next(&mut text) {
        Ok(predicate) if text.is_empty() => Ok(predicate),
        // Only depth cuts, everything else leaves a choice.
        Err(ErrMode::Cut(_)) => Err(Unreadable::TooDeep),
        _ => Err(Unreadable::NoPredicate),
    }
}

fn or(depth: usize, input: &mut &str) -> ModalResult<Predicate> {
    let parts: Vec<Predicate> =
        separated(1.., |input: &mut &str| and(depth, input), spaced(alt((keyword("or"), "||"))))
            .parse_next(input)?;
    Ok(one_or(parts, Predicate::Or))
}

fn and(depth: usize, input: &mut &str) -> ModalResult<Predicate> {
    let parts: Vec<Predicate> =
        separated(1.., |input: &mut &str| not(depth, input), spaced(alt((keyword("and"), "&&"))))
            .parse_next(input)?;
    Ok(one_or(parts, Predicate::And))
}

fn one_or(mut parts: Vec<Predicate>, several: fn(Vec<Predicate>) -> Predicate) -> Predicate {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        last => several(parts.into_iter().chain(last).collect()),
    }
}

fn not(depth: usize, input: &mut &str) -> ModalResult<Predicate> {
    if depth > DEEPEST {
        return Err(ErrMode::Cut(ContextError::new()));
    }
    let negated = preceded(
        (alt((keyword("not"), "!")), multispace0),
        (|input: &mut &str| not(depth + 1, input)).map(|inner| Predicate::Not(Box::new(inner))),
    );
    let grouped = delimited(('(', multispace0), |input: &mut &str| or(depth + 1, input), (multispace0, ')'));
    alt((negated, grouped, test)).parse_next(input)
}

fn test(input: &mut &str) -> ModalResult<Predicate> {
    let attribute = alt((quoted, word.map(str::to_owned))).parse_next(input)?;
    let (negated, operator, folded) = delimited(multispace0, operator, multispace0).parse_next(input)?;
    let mut literals: Vec<Literal> = match operator {
        Operator::In | Operator::Between => {
            delimited(('{', multispace0), separated(1.., literal, spaced(",")), (multispace0, '}'))
                .parse_next(input)?
        }
        _ => vec![literal.parse_next(input)?],
    };
    if operator == Operator::Between && literals.len() != 2 {
        return Err(ErrMode::Backtrack(ContextError::new()));
    }
    if folded {
        literals = literals.into_iter().map(Literal::folded).collect();
    }
    let test = Predicate::Test(Test { attribute, operator, literals });
    Ok(if negated { Predicate::Not(Box::new(test)) } else { test })
}

/// Whether it is denied, which one, and whether it is without regard to case (`[c]`).
fn operator(input: &mut &str) -> ModalResult<(bool, Operator, bool)> {
    let sign = alt((
        // The longer before those that they begin with.
        alt(("<=", "=<")).value(Operator::LessOrEqual),
        alt((">=", "=>")).value(Operator::GreaterOrEqual),
        alt(("!=", "<>")).value(Operator::NotEqual),
        alt(("==", "=")).value(Operator::Equal),
        "<".value(Operator::Less),
        ">".value(Operator::Greater),
    ));
    let modifier = opt(delimited('[', take_till(0..=2, ']'), ']'))
        .map(|letters: Option<&str>| letters.is_some_and(|letters| letters.contains(['c', 'C'])));
    let spelled = (opt(terminated(keyword("not"), multispace0)), word).verify_map(|(negated, word)| {
        let (name, modifier) = word.split_once('[').unwrap_or((word, ""));
        let (operator, never) = named(name)?;
        Some((negated.is_some() || never, operator, modifier.contains(['c', 'C'])))
    });
    let is_not = (keyword("is"), multispace0, keyword("not")).value((false, Operator::NotEqual, false));
    alt(((sign, modifier).map(|(operator, folded)| (false, operator, folded)), is_not, spelled))
        .parse_next(input)
}

/// An operator that is a word, and whether it denies.
fn named(word: &str) -> Option<(Operator, bool)> {
    Some(match word.to_ascii_uppercase().as_str() {
        "IS" => (Operator::Equal, false),
        "ISNOT" => (Operator::NotEqual, false),
        "CONTAINS" => (Operator::Contains, false),
        "BEGINSWITH" => (Operator::BeginsWith, false),
        "ENDSWITH" => (Operator::EndsWith, false),
        "LIKE" => (Operator::Like, false),
        "IN" => (Operator::In, false),
        "NOTIN" => (Operator::In, true),
        "BETWEEN" => (Operator::Between, false),
        _ => return None,
    })
}

fn literal(input: &mut &str) -> ModalResult<Literal> {
    alt((quoted.map(Literal::quoted), word.map(Literal::bare))).parse_next(input)
}

/// A bare word: an attribute, a keyword, a number or an unquoted value.
fn word<'i>(input: &mut &'i str) -> ModalResult<&'i str> {
    take_till(1.., |c: char| c.is_whitespace() || "\"'=!<>(){},".contains(c)).parse_next(input)
}

fn keyword<'i>(keyword: &'static str) -> impl winnow::Parser<&'i str, &'i str, ErrMode<ContextError>> {
    word.verify(move |word: &str| word.eq_ignore_ascii_case(keyword))
}

fn spaced<'i>(
    inner: impl winnow::Parser<&'i str, &'i str, ErrMode<ContextError>>,
) -> impl winnow::Parser<&'i str, &'i str, ErrMode<ContextError>> {
    delimited(multispace0, inner, multispace0)
}

/// A text in single or double quotes, in which a backslash keeps the next character.
fn quoted(input: &mut &str) -> ModalResult<String> {
    let quote = winnow::token::one_of(['"', '\'']).parse_next(input)?;
    let mut text = String::new();
    loop {
        match any.parse_next(input)? {
            character if character == quote => return Ok(text),
            '\\' => text.push(any.parse_next(input)?),
            character => text.push(character),
        }
    }
}
