//! A call of the plugin that has ended, as a runtime saw it: what the invariants of calls look at. Knows nothing of how the
//! plugin works.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nuage_cni::host::Link;
use nuage_cni::{Invocation, Outcome};
use serde_json::Value;

use super::growth::{Grown, Peak};
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
    /// How things were while it ran.
    pub(crate) meanwhile: Meanwhile,
    /// Whether the attachment was up when it began, by the answers.
    pub(crate) was_up: bool,
    /// What there is now of what must not grow.
    pub(crate) grown: Grown,
    /// How many calls have run at once, at most.
    pub(crate) running: Peak,
}

/// How things were while a call ran.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meanwhile {
    /// Nothing was wrong anywhere.
    pub(crate) steady: bool,
    /// The node's switch was away all the time.
    pub(crate) away: bool,
    /// Another call of the attachment, or a GC, ran at some time of it.
    pub(crate) overlaps: bool,
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

    /// The error that was answered; `None`: success, or no answer.
    fn error(&self) -> Option<Value> {
        let failed = self.ended.outcome.filter(|outcome| outcome.exit_code != 0)?;
        Some(serde_json::from_slice(&failed.stdout).unwrap_or_default())
    }

    /// Its code.
    pub(crate) fn code(&self) -> Option<u64> {
        self.error().map(|error| error["code"].as_u64().unwrap_or(0))
    }

    /// Its short message; empty where there is none.
    pub(crate) fn message(&self) -> String {
        self.error().and_then(|error| Some(error["msg"].as_str()?.to_owned())).unwrap_or_default()
    }

    /// What is on the node of a sandbox that should have left nothing.
    pub(crate) fn residue(&self, sandbox: &str) -> Option<String> {
        let rows = self.mirror.rows(self.node);
        if rows.entity(sandbox).is_some() {
            return Some("its row in Nuage_VM_Table".to_owned());
        }
        for name in self.kernel().names_of(sandbox) {
            if self.kernel().has_host_link(&name) {
                return Some(format!("link {name}"));
            }
            if rows.port(&name).is_some() || rows.has_switch_port(&name) {
                return Some(format!("port {name}"));
            }
        }
        self.node().records_of(sandbox).first().map(|path| path.display().to_string())
    }

    /// What is not there of a promise.
    pub(crate) fn missing(
        &self,
        sandbox: &str,
        netns: &Path,
        ifname: &str,
        promise: &Promise,
    ) -> Option<String> {
        let (rows, port) = (self.mirror.rows(self.node), &promise.port);
        let listed = rows.entity(sandbox).is_some_and(|entity| entity.ports.contains(port));
        let link = self.kernel().link(netns, ifname);
        let addressed = |link: &Link| {
            let has = |wanted: &String| link.addresses.iter().any(|ip| ip.addr().to_string() == *wanted);
            link.up && promise.addresses.iter().all(has)
        };
        [
            (rows.port(port).is_some(), "row in Nuage_Port_Table"),
            (listed, "row in Nuage_VM_Table that lists it"),
            (rows.has_switch_port(port), "port of the bridge"),
            (self.kernel().has_host_link(port), "link on the host"),
            (link.as_ref().is_some_and(addressed), "link inside with its addresses"),
        ]
        .into_iter()
        .find_map(|(there, what)| (!there).then(|| format!("port {port} has no {what}")))
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
