//! The state difference at a violation: what the runtime of a node knew, and what was on the node. For reports; decides nothing.

use serde::{Deserialize, Serialize};

use super::World;
use super::ledger::{Ledger, Phase, Sandbox};
use crate::invariant::rows::Mirror;

/// Of as many sandboxes it is told.
const MAX_SANDBOXES: usize = 40;

/// One thing that two sides see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Of which sandbox, or of which name that nobody knows.
    pub subject: String,
    /// What is compared.
    pub aspect: String,
    /// By what the runtime was told.
    pub expected: String,
    /// What is there.
    pub found: String,
    /// Whether that is not the same.
    pub differs: bool,
}

const NOTHING: &str = "none";
const THERE: &str = "there";
/// A call is in progress: anything may be there.
const EITHER: &str = "may be there";

impl World {
    /// What differs on a node, and all of the sandboxes that `details` names.
    pub(super) fn difference(
        &self,
        ledger: &Ledger,
        mirror: &Mirror,
        node: usize,
        details: &str,
    ) -> Vec<Difference> {
        let mut told = Vec::new();
        let mut known = Vec::new();
        let mut sandboxes = 0;
        for (id, sandbox) in ledger.on(node) {
            let (ports, lines) = self.of_sandbox(mirror, node, id, sandbox);
            let named = details.contains(&sandbox.pod)
                || details.contains(id)
                || ports.iter().any(|port| details.contains(port));
            known.extend(ports);
            if sandboxes < MAX_SANDBOXES && (named || lines.iter().any(|line| line.differs)) {
                sandboxes += 1;
                told.extend(lines);
            }
        }
        let rows = mirror.rows(node);
        let ports = rows.names().map(|name| ("port row", name.clone()));
        let links = self.nodes[node].kernel.host_links().into_iter().map(|name| ("link", name));
        let mut strange: Vec<_> = ports.chain(links).filter(|(_, name)| !known.contains(name)).collect();
        strange.sort();
        strange.dedup();
        told.extend(strange.into_iter().take(MAX_SANDBOXES).map(|(aspect, name)| Difference {
            subject: name,
            aspect: aspect.to_owned(),
            expected: NOTHING.to_owned(),
            found: THERE.to_owned(),
            differs: true,
        }));
        told
    }

    /// The ports of a sandbox, and how what should be there is.
    fn of_sandbox(
        &self,
        mirror: &Mirror,
        node: usize,
        id: &str,
        sandbox: &Sandbox,
    ) -> (Vec<String>, Vec<Difference>) {
        let (rows, kernel) = (mirror.rows(node), &self.nodes[node].kernel);
        let mut ports: Vec<String> = kernel.names_of(id).into_iter().collect();
        let (expected, address, doing) = match &sandbox.phase {
            Phase::Attached { port, address } => {
                if !ports.contains(port) {
                    ports.push(port.clone());
                }
                (THERE, address.as_str(), "attached")
            }
            Phase::Adding => (EITHER, EITHER, "ADD in progress"),
            Phase::Deleting => (EITHER, EITHER, "DEL due or in progress"),
            Phase::Gone => (NOTHING, NOTHING, "gone"),
        };
        let subject = format!("{} of {} ({doing})", id.get(..12).unwrap_or(id), sandbox.pod);
        let line = |aspect: String, expected: &str, found: &str| Difference {
            subject: subject.clone(),
            aspect,
            expected: expected.to_owned(),
            found: found.to_owned(),
            differs: expected != EITHER && expected != found,
        };
        let there = |there: bool| if there { THERE } else { NOTHING };
        let mut lines = vec![line("entity row".to_owned(), expected, there(rows.entity(id).is_some()))];
        for port in &ports {
            let row = rows.port(port);
            lines.push(line(format!("port row {port}"), expected, there(row.is_some())));
            let found = row.map_or(NOTHING, |row| row.address.as_str());
            lines.push(line(format!("address of {port}"), address, found));
            lines.push(line(format!("{port} on the bridge"), expected, there(rows.has_switch_port(port))));
            lines.push(line(format!("link {port}"), expected, there(kernel.has_host_link(port))));
            let elsewhere = mirror.with_address(found).find(|(other, name)| (*other, *name) != (node, port));
            if let (Some(_), Some((other, name))) = (row, elsewhere) {
                let holder = format!("{name} on {}", self.nodes[other].name);
                lines.push(line(format!("who else has {found}"), NOTHING, &holder));
            }
        }
        (ports, lines)
    }
}
