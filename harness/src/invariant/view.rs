//! What the invariants of a node's state look at: its rows and links as they are, what the runtime was told, and which of all
//! that is to be looked at.

use std::collections::BTreeSet;

use super::rows::{Mirror, Rows, is_of_others};
use crate::world::kernel::Kernel;
use crate::world::sim::World;
use crate::world::sim::ledger::{Ledger, Sandbox};

/// One node.
pub(crate) struct View<'a> {
    pub(crate) world: &'a World,
    pub(crate) ledger: &'a Ledger,
    pub(crate) mirror: &'a Mirror,
    pub(crate) node: usize,
    /// The names of ports and links to look at; some may be gone.
    pub(super) names: BTreeSet<String>,
    /// The sandboxes to look at; some may be gone.
    pub(super) sandboxes: BTreeSet<String>,
}

impl<'a> View<'a> {
    /// What the switch has.
    pub(crate) fn rows(&self) -> &'a Rows {
        self.mirror.rows(self.node)
    }

    /// The node's kernel.
    pub(crate) fn kernel(&self) -> &'a Kernel {
        &self.world.nodes[self.node].kernel
    }

    /// The sandbox that a port's name belongs to: the one that a link of that name was made for.
    pub(crate) fn owner(&self, port: &str) -> Option<String> {
        self.kernel().made_for(port)
    }

    /// What the runtime knows of a sandbox of this node.
    pub(crate) fn sandbox(&self, id: &str) -> Option<&'a Sandbox> {
        self.ledger.sandbox(self.node, id)
    }

    /// The sandboxes to look at that the runtime knows.
    pub(crate) fn sandboxes(&self) -> impl Iterator<Item = (&str, &'a Sandbox)> {
        self.sandboxes.iter().filter_map(|id| Some((id.as_str(), self.sandbox(id)?)))
    }

    /// The entities to look at that have a row, by their sandboxes.
    pub(crate) fn entities(&self) -> impl Iterator<Item = &str> {
        let ids = self.sandboxes.iter().map(String::as_str);
        ids.filter(|id| !is_of_others(id) && self.rows().entity(id).is_some())
    }

    /// The names to look at.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str).filter(|name| !is_of_others(name))
    }

    /// Where there is something of a name.
    pub(crate) fn places(&self, name: &str) -> impl Iterator<Item = &'static str> {
        let row = self.rows().port(name).is_some().then_some("row in Nuage_Port_Table");
        let port = self.rows().has_switch_port(name).then_some("port of the bridge");
        let link = self.kernel().has_host_link(name).then_some("link");
        [row, port, link].into_iter().flatten()
    }
}
