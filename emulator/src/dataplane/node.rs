//! A node: what its switch's rows say, which links it has, and what has been made in its kernel so far. What fails is tried
//! again with the next change; what has been done is never done twice.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::filter::{Ruleset, difference};
use super::kernel::{Kernel, LinkChange, Namespace, filter};
use super::plan::{Item, Plan, Step, plan};
use super::view::View;
use crate::error::Error;

/// A node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) view: View,
    /// The links of its namespace by name.
    pub(super) links: BTreeMap<String, u32>,
    /// Its address in the underlay.
    pub(super) host: Option<Ipv4Addr>,
    kernel: Kernel,
    items: BTreeSet<Item>,
    ruleset: Ruleset,
}

impl Node {
    pub(super) fn new(name: &str, kernel: Kernel, host: Option<Ipv4Addr>) -> Self {
        let (view, links) = (View::default(), BTreeMap::new());
        let (items, ruleset) = (BTreeSet::new(), Ruleset::default());
        Self { name: name.to_owned(), view, links, host, kernel, items, ruleset }
    }

    /// Its namespace.
    pub(super) fn namespace(&self) -> Namespace {
        self.kernel.namespace().clone()
    }

    /// Whether a link is in its bridge.
    pub(super) fn carries(&self, link: &str) -> bool {
        self.items.iter().any(|item| matches!(item, Item::Port { name, .. } if name == link))
    }

    /// Takes in that a link came or went. A link that has gone is in no bridge any more.
    pub(super) fn link(&mut self, change: &LinkChange) {
        if change.is_there {
            // One link has one name: what was called otherwise before is called so no more.
            self.links.retain(|name, index| *index != change.index || *name == change.name);
            self.links.insert(change.name.clone(), change.index);
        } else {
            self.links.retain(|_, index| *index != change.index);
            let gone = |item: &Item| matches!(item, Item::Port { index, .. } if *index == change.index);
            self.items.retain(|item| !gone(item));
        }
    }

    /// Makes the kernel have what it is to have, as far as it can be done.
    ///
    /// # Errors
    /// The first refusal.
    pub(super) async fn bring_about(
        &mut self,
        items: &BTreeSet<Item>,
        ruleset: Ruleset,
    ) -> Result<(), Error> {
        let Plan { before, after } = plan(&self.items, items);
        for step in &before {
            self.step(step).await?;
        }
        let commands = difference(&self.ruleset, &ruleset);
        filter(self.kernel.namespace(), commands).await?;
        self.ruleset = ruleset;
        for step in &after {
            self.step(step).await?;
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Result<(), Error> {
        tracing::info!(node = self.name, ?step, "data plane");
        self.kernel.carry_out(step).await?;
        match step {
            Step::Add(item) => self.items.insert(item.clone()),
            Step::Remove(item) => self.items.remove(item),
        };
        Ok(())
    }
}
