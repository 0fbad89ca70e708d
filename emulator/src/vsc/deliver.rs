//! What a controller writes into a port's row, and when: the answer as soon as the switch is programmed for it, unless a fault
//! makes it slow, wrong or silent.

use std::fmt;
use std::time::Duration;

use nuage_ovsdb::client::Client;

use super::rows::{Answer, Port};
use super::session::write;
use super::{Program, Resolved};
use crate::faults::{Caller, Faults, pause};

/// How the controller of one node delivers.
#[derive(Clone, Default)]
pub(super) struct Delivery {
    faults: Option<(Faults, Caller)>,
    program: Option<Program>,
}

/// A switch that cannot be programmed in this time keeps nobody from his answer.
const PROGRAMMED: Duration = Duration::from_secs(1);

/// What hits are counted by: nobody waits for a controller in particular.
const OPERATION: &str = "controller";

impl fmt::Debug for Delivery {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Delivery").field("faults", &self.faults).finish_non_exhaustive()
    }
}

impl Delivery {
    /// Lets faults strike it as that of `node`.
    pub(super) fn suffer(&mut self, faults: Faults, node: &str) {
        self.faults = Some((faults, Caller::new(node, OPERATION)));
    }

    /// Has `program` set the switch up before an answer is given.
    pub(super) fn programming(&mut self, program: Program) {
        self.program = Some(program);
    }

    async fn program(&self, port: &Port, answer: &Answer) {
        let Some(program) = self.program.as_ref().filter(|_| answer.is_given()) else { return };
        let resolved = Resolved {
            port: port.asked.name.clone(),
            mac: port.asked.mac.clone(),
            address: answer.address.clone(),
            subnet: answer.evpn,
            domain: answer.vrf,
        };
        if tokio::time::timeout(PROGRAMMED, program(resolved)).await.is_err() {
            tracing::info!(port = port.asked.name, "answered before the switch was programmed");
        }
    }
}

/// Delivers an answer. False: it was not written, and has to be tried again later.
pub(super) async fn deliver(client: &Client, delivery: &Delivery, port: &Port, answer: &Answer) -> bool {
    delivery.program(port, answer).await;
    let Some((faults, caller)) = delivery.faults.as_ref().filter(|(faults, _)| !faults.quiet()) else {
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
