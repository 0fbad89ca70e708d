//! One line of a log, as text or JSON. Whatever stands in a value, it stays one line, and nothing in it is a control
//! character: neither a second line nor a terminal's command can be smuggled in.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::config::LogLevel;

/// No value is told at greater length, in characters.
const LONGEST_VALUE: usize = 1000;

/// What a line says.
pub(super) struct Line<'a> {
    /// Since 1970.
    pub(super) time: Duration,
    pub(super) level: LogLevel,
    pub(super) verb: &'a str,
    pub(super) subject: &'a [(&'static str, String)],
    pub(super) message: &'a str,
    pub(super) fields: &'a [(&'static str, &'a str)],
}

impl Line<'_> {
    fn stamp(&self) -> String {
        let nanoseconds = i32::try_from(self.time.subsec_nanos()).unwrap_or(0);
        let seconds = i64::try_from(self.time.as_secs()).unwrap_or(0);
        jiff::Timestamp::new(seconds, nanoseconds).map(|time| format!("{time:.6}")).unwrap_or_default()
    }

    fn level(&self) -> &'static str {
        match self.level {
            LogLevel::Error => "ERROR",
            LogLevel::Warn => "WARN",
            LogLevel::Info => "INFO",
            LogLevel::Debug => "DEBUG",
        }
    }

    fn all(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let subject = self.subject.iter().map(|(key, text)| (*key, text.as_str()));
        subject.chain(self.fields.iter().copied())
    }

    /// For people: time, level, verb, message, then `key=value`.
    pub(super) fn text(&self) -> String {
        let mut line =
            format!("{} {:<5} {} {}", self.stamp(), self.level(), self.verb, printable(self.message));
        for (key, value) in self.all() {
            let bare = |c: char| c.is_ascii_alphanumeric() || "-_.:/@%+".contains(c);
            let value: String = value.chars().take(LONGEST_VALUE).collect();
            // Writing to a String does not fail.
            let _ = if !value.is_empty() && value.chars().all(bare) {
                write!(line, " {key}={value}")
            } else {
                write!(line, " {key}=\"{}\"", printable(&value))
            };
        }
        line
    }

    /// For machines: one JSON object.
    pub(super) fn json(&self) -> String {
        let own = [
            ("time", self.stamp()),
            ("level", self.level().to_owned()),
            ("verb", self.verb.to_owned()),
            ("message", self.message.to_owned()),
        ];
        let fields = self.all().map(|(key, text)| (key, text.chars().take(LONGEST_VALUE).collect()));
        let object: Map<String, Value> = own
            .into_iter()
            .chain(fields)
            .map(|(key, text): (_, String)| (key.to_owned(), json!(text)))
            .collect();
        let mut line = String::new();
        for c in Value::Object(object).to_string().chars() {
            // JSON escapes the ASCII control characters itself.
            if c.is_ascii() && c != '\x7f' || c.escape_debug().len() == 1 {
                line.push(c);
            } else {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                    let _ = write!(line, "\\u{unit:04x}");
                });
            }
        }
        line
    }
}

/// Quotes, backslashes, and all that cannot be seen or that reorders what can.
fn printable(text: &str) -> String {
    text.escape_debug().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line<'a>(subject: &'a [(&'static str, String)], fields: &'a [(&'static str, &'a str)]) -> Line<'a> {
        let time = Duration::from_micros(1_767_225_600_000_250);
        Line { time, level: LogLevel::Warn, verb: "ADD", subject, message: "odd", fields }
    }

    #[test]
    fn a_line_has_its_time_level_verb_and_subject_in_either_form() {
        let subject = [("call", "0123456789ab".to_owned()), ("pod", "shop/web-0".to_owned())];
        let line = line(&subject, &[("zone", "a b"), ("empty", "")]);
        assert_eq!(
            line.text(),
            "2026-01-01T00:00:00.000250Z WARN  ADD odd call=0123456789ab pod=shop/web-0 zone=\"a b\" empty=\"\""
        );
        let object: Value = serde_json::from_str(&line.json()).unwrap();
        assert_eq!((object["pod"].as_str(), object["zone"].as_str()), (Some("shop/web-0"), Some("a b")));
        assert_eq!(object["time"], "2026-01-01T00:00:00.000250Z");
    }

    #[test]
    fn a_second_line_cannot_be_smuggled_in() {
        let value = "x\n2026-01-01T00:00:00Z INFO ADD done\u{1b}[2J\u{9b}\u{202e}\"";
        let (subject, fields) = ([("call", value.to_owned())], [("error", value)]);
        let line = line(&subject, &fields);
        for text in [line.text(), line.json()] {
            assert!(!text.contains(['\n', '\u{1b}', '\u{9b}', '\u{202e}']), "{text:?}");
        }
        let object: Value = serde_json::from_str(&line.json()).unwrap();
        assert_eq!(object["error"], value);
    }

    proptest! {
        #[test]
        fn whatever_stands_in_a_value_it_is_one_line_without_control_characters(value in ".{0,60}|\\PC{0,20}\\p{Cc}{0,20}") {
            let (subject, fields) = ([("call", value.clone())], [("error", value.as_str())]);
            let line = line(&subject, &fields);
            prop_assert!(!line.text().chars().any(char::is_control));
            prop_assert!(!line.json().chars().any(char::is_control));
            let object: Value = serde_json::from_str(&line.json()).unwrap();
            prop_assert_eq!(object["error"].as_str(), Some(value.as_str()));
        }
    }
}
