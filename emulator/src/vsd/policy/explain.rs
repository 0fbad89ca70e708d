//! A verdict in words, for people and for programs. Never decides.

use std::fmt::{self, Write as _};

use serde_json::{Value, json};

use super::{Direction, Endpoint, Reason, Step, Verdict};

impl fmt::Display for Direction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(rule, template) => {
                let called = if rule.description.is_empty() { &rule.id } else { &rule.description };
                let (name, behind) = (&template.name, template.priority);
                write!(
                    formatter,
                    "the entry {called:?} (priority {}) of {name:?} (priority {behind})",
                    rule.priority
                )
            }
            Self::Default(template) => {
                write!(formatter, "the default of {:?}, since no entry matches", template.name)
            }
            Self::NoTemplate => formatter.write_str("there being no active template"),
        }
    }
}

impl Verdict {
    /// A line with the verdict and one for each place where it was looked at.
    pub fn text(&self, from: &Endpoint, to: &Endpoint) -> String {
        let verdict = if self.allowed() { "allowed" } else { "denied" };
        let mut text = format!("{} -> {}: {verdict}", called(from), called(to));
        for Step { direction, action, reason } in &self.steps {
            let here = if *direction == Direction::Ingress { from } else { to };
            let _ = write!(text, "\n  {direction} at {}: {action} by {reason}", here.name());
        }
        text
    }

    /// The same as JSON: `allowed`, `from`, `to` and `steps`, the decisive one marked.
    pub fn json(&self, from: &Endpoint, to: &Endpoint) -> Value {
        let end = |end: &Endpoint| json!({ "name": end.name(), "address": end.address.to_string() });
        let decisive = self.decisive();
        let steps = self.steps.iter().map(|step| {
            let (entry, template) = match &step.reason {
                Reason::Entry(rule, template) => (Some(rule), Some(template)),
                Reason::Default(template) => (None, Some(template)),
                Reason::NoTemplate => (None, None),
            };
            json!({
                "direction": step.direction.to_string(),
                "action": step.action.to_string(),
                "decisive": Some(step) == decisive,
                "entry": entry.map(|rule| json!({
                    "ID": rule.id, "description": rule.description, "priority": rule.priority,
                })),
                "template": template.map(|template| json!({
                    "ID": template.id, "name": template.name, "priority": template.priority,
                })),
            })
        });
        json!({ "allowed": self.allowed(), "from": end(from), "to": end(to), "steps": steps.collect::<Value>() })
    }
}

fn called(end: &Endpoint) -> String {
    if end.names.is_empty() { end.address.to_string() } else { format!("{} ({})", end.name(), end.address) }
}
