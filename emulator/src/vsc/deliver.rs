//! What a controller writes into a port's row, and when: the answer at once, unless a fault makes it slow, wrong or
//! silent.

use nuage_ovsdb::client::Client;

use super::rows::{Answer, Port};
use super::session::write;
use crate::faults::{Caller, Faults, pause};

/// The faults of the controller of one node.
#[derive(Clone, Debug, Default)]
pub(super) struct ControllerFaults(Option<(Faults, Caller)>);

/// What hits are counted by: nobody waits for a controller in particular.
const OPERATION: &str = "controller";

impl ControllerFaults {
    pub(super) fn new(faults: Faults, node: &str) -> Self {
        Self(Some((faults, Caller::new(node, OPERATION))))
    }
}

/// Delivers an answer. False: it was not written, and has to be tried again later.
pub(super) async fn deliver(
    client: &Client,
    faults: &ControllerFaults,
    port: &Port,
    answer: &Answer,
) -> bool {
    let Some((faults, caller)) = faults.0.as_ref().filter(|(faults, _)| !faults.quiet()) else {
        write(client, port, answer).await;
        return true;
    };
    if faults.ask("vsc.never", caller).is_some() {
        return false;
    }
    for name in ["vsc.slow", "vsc.late"] {
        if let Some(values) = faults.ask(name, caller) {
            pause(values.duration("delay")).await;
        }
    }
    if let Some(values) = faults.ask("vsc.wrong_address", caller) {
        let wrong = Answer { address: values.text("address").to_owned(), ..answer.clone() };
        write(client, port, &wrong).await;
        return true;
    }
    if let Some(values) = faults.ask("vsc.zero_first", caller) {
        write(client, port, &answer.withdrawn()).await;
        pause(values.duration("pause")).await;
    }
    write(client, port, answer).await;
    if let Some(values) = faults.ask("vsc.withdraw", caller) {
        pause(values.duration("pause")).await;
        write(client, port, &answer.withdrawn()).await;
    }
    true
}
