//! What each node's runtime is and remembers: whether the node is powered, how often the runtime was restarted, the version of
//! its network configuration, the results of its ADDs.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nuage_emulator::tally::Tally;
use serde_json::Value;

/// The version of the network configuration, unless an upgrade says otherwise.
const VERSION: &str = "1.0.0";

/// The runtimes of all nodes.
#[derive(Debug)]
pub struct Runtimes(Vec<Runtime>);

#[derive(Debug, Default)]
struct Runtime {
    /// Even while the node is powered, odd while it is not.
    power: Tally,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    restarts: u64,
    version: Option<&'static str>,
    /// By sandbox, as text: of a cluster's pods most are never asked about, and a tree takes seven times the room.
    results: BTreeMap<String, Box<str>>,
}

impl Runtimes {
    /// Of so many nodes, all of them powered.
    pub fn new(nodes: usize) -> Self {
        Self((0..nodes).map(|_| Runtime::default()).collect())
    }

    fn known(&self, node: usize) -> MutexGuard<'_, Known> {
        self.0[node].known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_off(power: &Tally) -> bool {
        power.get() % 2 == 1
    }

    /// Waits until a node is powered.
    pub async fn powered(&self, node: usize) {
        let power = &self.0[node].power;
        let mut seen = power.subscribe();
        while Self::is_off(power) {
            seen.changed().await;
        }
    }

    /// Ends when a node loses its power; at once if it has none.
    pub fn power_lost(&self, node: usize) -> impl Future<Output = ()> + Send + use<> {
        let power = self.0[node].power.clone();
        async move {
            let mut seen = power.subscribe();
            while !Self::is_off(&power) {
                seen.changed().await;
            }
        }
    }

    /// Turns a node off or on.
    pub fn set_power(&self, node: usize, on: bool) {
        if Self::is_off(&self.0[node].power) == on {
            self.0[node].power.step();
        }
        if !on {
            self.restarted(node);
        }
    }

    /// How often a node's runtime has begun anew.
    pub fn restarts(&self, node: usize) -> u64 {
        self.known(node).restarts
    }

    /// A node's runtime begins anew: it knows its sandboxes, and no call that was on its way.
    pub fn restarted(&self, node: usize) {
        self.known(node).restarts += 1;
    }

    /// The version of a node's network configuration.
    pub fn version(&self, node: usize) -> &'static str {
        self.known(node).version.unwrap_or(VERSION)
    }

    /// Gives a node's network configuration another version.
    pub fn set_version(&self, node: usize, version: &'static str) {
        self.known(node).version = Some(version);
    }

    /// Keeps the result of an ADD.
    pub fn remember(&self, node: usize, sandbox: &str, result: &Value) {
        self.known(node).results.insert(sandbox.to_owned(), result.to_string().into_boxed_str());
    }

    /// The result of an ADD.
    pub fn result(&self, node: usize, sandbox: &str) -> Option<Value> {
        self.known(node).results.get(sandbox).and_then(|text| serde_json::from_str(text).ok())
    }

    /// Forgets a sandbox that is gone.
    pub fn forget(&self, node: usize, sandbox: &str) {
        self.known(node).results.remove(sandbox);
    }
}
