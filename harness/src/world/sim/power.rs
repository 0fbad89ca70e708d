//! A node that loses its power and gets it back: what it had in memory is gone, what it had on disk is not.

use std::path::Path;

use nuage_cni::host::Files as _;
use serde_json::json;

use super::ledger::Phase;
use super::{World, config_directory};

/// Where a system tells which boot it is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

impl World {
    /// A node goes down: its processes are killed; namespaces, links, and what lies in memory are gone.
    pub fn power_off(&self, node: usize) {
        let here = &self.nodes[node];
        self.runtimes.set_power(node, false);
        self.stop_switch(node);
        let ids: Vec<String> = {
            let ledger = self.ledger();
            let alive = ledger
                .on(node)
                .filter(|(_, sandbox)| matches!(sandbox.phase, Phase::Adding | Phase::Attached { .. }));
            alive.map(|(id, _)| id.to_owned()).collect()
        };
        for id in &ids {
            self.ledger().set(node, id, Phase::Deleting);
        }
        here.kernel.power_off();
        here.files.remove_below(&config_directory(&here.name).join("run"));
        self.event(Some(node), "power_off", json!({"sandboxes": ids.len()}));
    }

    /// A node comes up again, its switch with the rows of containers or without them.
    pub fn power_on(&self, node: usize, lose_rows: bool) {
        self.begin_boot(node);
        self.start_switch(node, lose_rows);
        self.runtimes.set_power(node, true);
        self.event(Some(node), "power_on", json!({}));
    }

    /// Gives a node's system another boot id.
    pub(super) fn begin_boot(&self, node: usize) {
        let id = format!("{:016x}{:016x}\n", self.random.next(), self.random.next());
        // Memory refuses nothing.
        let _ = self.nodes[node].files.write(Path::new(BOOT_ID), id.as_bytes());
    }
}
