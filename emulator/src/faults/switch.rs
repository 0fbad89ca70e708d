//! What a switch's OVSDB server asks at its points: about a stream, a transaction, the order of its messages. Does nothing
//! and costs nothing for a server that no faults were given to.

use std::sync::Arc;

use serde_json::Value;

use super::stream::Faulty;
use super::{Caller, Faults};

/// The faults of one switch.
#[derive(Clone, Debug, Default)]
pub struct SwitchFaults(Option<(Faults, Arc<str>)>);

/// What a session does with the order of its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As they happened.
    #[default]
    AsHappened,
    /// Updates wait until the next answer has been sent.
    AnswerFirst,
    /// Answers wait until the next update has been sent.
    UpdateFirst,
}

/// An operation that is made to fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which of the transaction's operations.
    pub position: usize,
    /// The error's name.
    pub error: String,
}

impl SwitchFaults {
    /// Those of `faults` that concern the switch of `node`.
    pub fn new(faults: Faults, node: &str) -> Self {
        Self(Some((faults, node.into())))
    }

    fn caller(&self, operation: &Arc<str>) -> Option<(&Faults, Caller)> {
        let (faults, node) = self.0.as_ref()?;
        let caller = Caller { node: Some(Arc::clone(node)), operation: Arc::clone(operation) };
        Some((faults, caller))
    }

    /// A stream to somebody who does `operation`, with what may strike it.
    pub fn stream<S>(&self, stream: S, operation: &Arc<str>) -> Faulty<S> {
        let faults = self.caller(operation).map(|(faults, caller)| (faults.clone(), caller));
        Faulty::new(stream, faults)
    }

    /// The first operation of a transaction that is to fail now.
    pub fn refuse(&self, operation: &Arc<str>, operations: &[Value]) -> Option<Refusal> {
        let (faults, caller) = self.caller(operation).filter(|(faults, _)| !faults.quiet())?;
        operations.iter().enumerate().find_map(|(position, asked)| {
            let values = faults.ask_where("vrs.operation_error", &caller, |values| {
                let (op, table) = (values.text("op"), values.text("table"));
                (op == "any" || asked["op"] == op) && (table.is_empty() || asked["table"] == table)
            })?;
            Some(Refusal { position, error: values.text("error").to_owned() })
        })
    }

    /// The order of the messages that a request of `method` causes.
    pub fn order(&self, operation: &Arc<str>, method: &str) -> Order {
        let Some((faults, caller)) = self.caller(operation).filter(|(faults, _)| !faults.quiet()) else {
            return Order::AsHappened;
        };
        if method == "transact" && faults.ask("vrs.reply_first", &caller).is_some() {
            return Order::AnswerFirst;
        }
        if method.starts_with("monitor") && faults.ask("vrs.update_first", &caller).is_some() {
            return Order::UpdateFirst;
        }
        Order::AsHappened
    }
}
