//! A call of the plugin that has ended, as a runtime saw it: what the invariants of calls look at. Knows nothing of how the
//! plugin works.

use std::path::PathBuf;
use std::time::Duration;

use nuage_cni::{Invocation, Outcome};
use serde_json::Value;

use super::history::Misfit;
use super::rows::Mirror;
use crate::world::kernel::Kernel;
use crate::world::sim::ledger::{Ledger, Sandbox};
use crate::world::sim::{Node, World};

/// What was asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// `CNI_COMMAND`
    pub(crate) command: String,
    /// `CNI_CONTAINERID`
    pub(crate) sandbox: String,
    /// `CNI_IFNAME`
    pub(crate) ifname: String,
    /// `CNI_NETNS`
    pub(crate) netns: PathBuf,
    /// `cniVersion` of the configuration.
    pub(crate) version: String,
    /// Of a GC: the attachments that are to stay, sandbox and interface.
    pub(crate) valid: Vec<(String, String)>,
}

impl Asked {
    /// What a call asks for.
    pub(crate) fn of(call: &Invocation) -> Self {
        let variable = |name: &str| call.environment.get(name).cloned().unwrap_or_default();
        let network: Value = serde_json::from_slice(&call.stdin).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let valid = network["cni.dev/valid-attachments"].as_array().into_iter().flatten();
        Self {
            command: variable("CNI_COMMAND"),
            sandbox: variable("CNI_CONTAINERID"),
            ifname: variable("CNI_IFNAME"),
            netns: variable("CNI_NETNS").into(),
            version: text(&network["cniVersion"]),
            valid: valid.map(|one| (text(&one["containerID"]), text(&one["ifname"]))).collect(),
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) asked: &'a Asked,
    /// What the runtime got; `None`: the process was killed.
    pub(crate) outcome: Option<&'a Outcome>,
    /// How long it took.
    pub(crate) took: Duration,
    /// What was written to the node's log, and told to its audit, since the last call there ended.
    pub(crate) told: Vec<String>,
    /// How many connections and requests the process has made.
    pub(crate) attempts: u64,
    /// What does not fit to all that was answered before.
    pub(crate) misfits: Vec<Misfit>,
    /// Whether nothing was wrong anywhere, and nothing else was done with the attachment, since its first call began.
    pub(crate) calm: bool,
}

/// An ended call and the world around it.
pub(crate) struct CallView<'a> {
    pub(crate) world: &'a World,
    pub(crate) ledger: &'a Ledger,
    pub(crate) mirror: &'a Mirror,
    pub(crate) node: usize,
    pub(crate) ended: &'a Ended<'a>,
}

impl<'a> CallView<'a> {
    /// Where it was called.
    pub(crate) fn node(&self) -> &'a Node {
        &self.world.nodes[self.node]
    }

    /// The kernel of that node.
    pub(crate) fn kernel(&self) -> &'a Kernel {
        &self.node().kernel
    }

    /// What the runtime knows of the sandbox.
    pub(crate) fn sandbox(&self) -> Option<&'a Sandbox> {
        self.ledger.sandbox(self.node, &self.ended.asked.sandbox)
    }

    /// What the call is called in complaints.
    pub(crate) fn name(&self) -> String {
        let Asked { command, sandbox, .. } = self.ended.asked;
        let pod =
            self.sandbox().map_or_else(|| format!("sandbox {sandbox}"), |known| format!("pod {}", known.pod));
        if sandbox.is_empty() { command.clone() } else { format!("{command} of {pod}") }
    }

    /// The answer of a call that succeeded.
    pub(crate) fn success(&self) -> Option<&'a Outcome> {
        self.ended.outcome.filter(|outcome| outcome.exit_code == 0)
    }
}

/// A result of an ADD, as far as it promises something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Promise {
    /// The link on the host, which is the VRS port.
    pub(crate) port: String,
    /// The addresses without their prefixes.
    pub(crate) addresses: Vec<String>,
}

impl Promise {
    /// What the answer to an ADD promises.
    pub(crate) fn of(stdout: &[u8]) -> Self {
        let result: Value = serde_json::from_slice(stdout).unwrap_or_default();
        let interfaces = result["interfaces"].as_array().into_iter().flatten();
        let host = |found: &&Value| found["sandbox"].as_str().is_none_or(str::is_empty);
        // Of several the last: what other plugins made before stands first.
        let port = interfaces.filter(host).filter_map(|found| found["name"].as_str()).next_back();
        let ips = result["ips"].as_array().into_iter().flatten();
        let bare = |ip: &Value| Some(ip["address"].as_str()?.split('/').next()?.to_owned());
        Self { port: port.unwrap_or_default().to_owned(), addresses: ips.filter_map(bare).collect() }
    }
}
