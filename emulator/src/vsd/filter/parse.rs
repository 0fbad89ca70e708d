//! Reads a predicate: words, quoted strings and operators, then `or` above `and` above `not`. Never recurses
//! deeper than a bound, so that no header can exhaust the stack.

use serde_json::Value;

use super::{Operator, Predicate};

/// How deep parentheses and `not` may nest; what real clients send nests twice.
const DEEPEST: usize = 32;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    /// A bare word: an attribute, a keyword, a number or an unquoted value.
    Word(String),
    Quoted(String),
    /// One of `== = != <> < <= > >= ( ) { } ,`.
    Sign(&'static str),
}

/// The longest sign first, so that `<=` is not read as `<`.
const SIGNS: [&str; 13] = ["==", "!=", "<>", "<=", ">=", "=", "<", ">", "(", ")", "{", "}", ","];

/// The predicate that a text is, or `None`.
pub(super) fn predicate(text: &str) -> Option<Predicate> {
    let mut parser = Parser { tokens: tokens(text)?, next: 0 };
    let predicate = parser.or(0)?;
    (parser.next == parser.tokens.len()).then_some(predicate)
}

fn tokens(mut text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    loop {
        text = text.trim_start();
        let Some(first) = text.chars().next() else { return Some(tokens) };
        if first == '"' || first == '\'' {
            let (value, rest) = quoted(text, first)?;
            tokens.push(Token::Quoted(value));
            text = rest;
        } else if let Some(sign) = SIGNS.iter().find(|sign| text.starts_with(**sign)) {
            tokens.push(Token::Sign(sign));
            text = text.get(sign.len()..)?;
        } else {
            let ends = |c: char| c.is_whitespace() || "\"'=!<>(){},".contains(c);
            let end = text.find(ends).unwrap_or(text.len());
            let (word, rest) = text.split_at_checked(end)?;
            if word.is_empty() {
                return None;
            }
            tokens.push(Token::Word(word.to_owned()));
            text = rest;
        }
    }
}

/// The value of a quoted string, in which a backslash keeps the next character, and what follows it.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        if character == quote {
            return Some((value, text.get(at + 1..)?));
        }
        value.push(if character == '\\' { characters.next()?.1 } else { character });
    }
    None
}

struct Parser {
    tokens: Vec<Token>,
    next: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next)
    }

    fn take(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.next += 1;
        token
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(found)) if *found == sign);
        self.next += usize::from(found);
        found
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword));
        self.next += usize::from(found);
        found
    }

    fn or(&mut self, depth: usize) -> Option<Predicate> {
        let mut parts = vec![self.and(depth)?];
        while self.keyword("or") {
            parts.push(self.and(depth)?);
        }
        if parts.len() == 1 { parts.pop() } else { Some(Predicate::Or(parts)) }
    }

    fn and(&mut self, depth: usize) -> Option<Predicate> {
        let mut parts = vec![self.not(depth)?];
        while self.keyword("and") {
            parts.push(self.not(depth)?);
        }
        if parts.len() == 1 { parts.pop() } else { Some(Predicate::And(parts)) }
    }

    fn not(&mut self, depth: usize) -> Option<Predicate> {
        if depth > DEEPEST {
            return None;
        }
        if self.keyword("not") {
            return Some(Predicate::Not(Box::new(self.not(depth + 1)?)));
        }
        if self.sign("(") {
            let inner = self.or(depth + 1)?;
            return self.sign(")").then_some(inner);
        }
        self.test()
    }

    fn test(&mut self) -> Option<Predicate> {
        let (Token::Word(attribute) | Token::Quoted(attribute)) = self.take()? else { return None };
        let operator = match self.take()? {
            Token::Sign(sign) => match sign {
                "==" | "=" => Operator::Equal,
                "!=" | "<>" => Operator::NotEqual,
                "<" => Operator::Less,
                "<=" => Operator::LessOrEqual,
                ">" => Operator::Greater,
                ">=" => Operator::GreaterOrEqual,
                _ => return None,
            },
            Token::Word(word) => named(&word)?,
            Token::Quoted(_) => return None,
        };
        let mut values = Vec::new();
        if operator == Operator::In {
            if !self.sign("{") {
                return None;
            }
            loop {
                values.push(self.value()?);
                if self.sign("}") {
                    break;
                }
                if !self.sign(",") {
                    return None;
                }
            }
        } else {
            values.push(self.value()?);
        }
        Some(Predicate::Test { attribute, operator, values })
    }

    fn value(&mut self) -> Option<Value> {
        match self.take()? {
            Token::Quoted(text) => Some(Value::from(text)),
            Token::Word(word) => Some(bare(word)),
            Token::Sign(_) => None,
        }
    }
}

/// An operator that is a word, with or without a modifier such as `[c]`.
fn named(word: &str) -> Option<Operator> {
    let word = word.split('[').next()?.to_ascii_uppercase();
    Some(match word.as_str() {
        "IS" => Operator::Equal,
        "ISNOT" => Operator::NotEqual,
        "CONTAINS" => Operator::Contains,
        "BEGINSWITH" => Operator::BeginsWith,
        "ENDSWITH" => Operator::EndsWith,
        "IN" => Operator::In,
        _ => return None,
    })
}

/// A value without quotes: null, a boolean, a number, or a word taken as text.
fn bare(word: String) -> Value {
    match word.to_ascii_lowercase().as_str() {
        "null" | "nil" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => word.parse::<i64>().map_or(Value::from(word), Value::from),
    }
}
