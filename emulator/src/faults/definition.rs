//! The faults that there are: a name, what happens, what can be set, one definition each. The command line, the scenario
//! language, its explanations and the coverage matrix follow from this table.

/// How a fault comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A component asks at the point where it would strike.
    Asked,
    /// It is a state of a switch, from when it is turned on until it is turned off.
    SwitchState,
}

/// What a parameter takes, with its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A duration in milliseconds, or a range of them of which one is drawn each time.
    Span(u64),
    /// A text.
    Text(&'static str),
    /// One of several words; the first is the default.
    Word(&'static [&'static str]),
    /// Yes or no; no by default.
    Flag,
}

/// A parameter of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// What it takes.
    pub takes: Takes,
}

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// `component.what`
    pub name: &'static str,
    /// What happens, in a sentence.
    pub about: &'static str,
    /// How it comes about.
    pub effect: Effect,
    /// What can be set.
    pub parameters: &'static [Parameter],
}

/// Looks a fault up.
pub fn find(name: &str) -> Option<&'static Definition> {
    ALL.iter().find(|known| known.name == name)
}

const fn fault(name: &'static str, about: &'static str, parameters: &'static [Parameter]) -> Definition {
    Definition { name, about, effect: Effect::Asked, parameters }
}

const fn state(name: &'static str, about: &'static str, parameters: &'static [Parameter]) -> Definition {
    Definition { name, about, effect: Effect::SwitchState, parameters }
}

const fn delay(milliseconds: u64) -> Parameter {
    Parameter { name: "delay", about: "how long it takes more", takes: Takes::Span(milliseconds) }
}

const PAUSE: Parameter =
    Parameter { name: "pause", about: "how long until it goes on", takes: Takes::Span(200) };
const LOSE_ROWS: Parameter =
    Parameter { name: "lose_rows", about: "come back without the rows of containers", takes: Takes::Flag };
const OPERATION: Parameter = Parameter {
    name: "op",
    about: "the operation that fails",
    takes: Takes::Word(&["any", "insert", "select", "update", "mutate", "delete", "wait"]),
};
const TABLE: Parameter =
    Parameter { name: "table", about: "only on this table; empty: on any", takes: Takes::Text("") };
const ERROR: Parameter = Parameter {
    name: "error",
    about: "the error's name (RFC 7047)",
    takes: Takes::Word(&[
        "resources exhausted",
        "I/O error",
        "constraint violation",
        "referential integrity violation",
        "timed out",
        "aborted",
        "not owner",
    ]),
};
const ADDRESS: Parameter =
    Parameter { name: "address", about: "the address that it gives", takes: Takes::Text("10.0.0.999") };
const PATH: Parameter = Parameter {
    name: "path",
    about: "only requests whose path contains this; empty: all",
    takes: Takes::Text(""),
};
const RETRY_AFTER: Parameter = Parameter {
    name: "retry_after",
    about: "what the header Retry-After says, in whole seconds",
    takes: Takes::Span(1000),
};

/// All faults of the emulators, by component.
pub const ALL: &[Definition] = &[
    fault(
        "vrs.disconnect",
        "The switch closes the connection when a request arrives, and does not carry it out.",
        &[],
    ),
    state(
        "vrs.restart",
        "The switch goes away with all of its connections and comes back when the fault is over, with its rows or without those of containers.",
        &[LOSE_ROWS],
    ),
    fault("vrs.slow", "What the switch sends is held back for a while.", &[delay(500)]),
    fault(
        "vrs.partial_reply",
        "What the switch sends arrives in two parts with a pause between them.",
        &[PAUSE],
    ),
    fault(
        "vrs.cut_reply",
        "The connection breaks in the middle of what the switch sends: the request was carried out, its answer is lost.",
        &[],
    ),
    fault(
        "vrs.operation_error",
        "An operation of a transaction fails with an OVSDB error, and with it the transaction.",
        &[OPERATION, TABLE, ERROR],
    ),
    fault(
        "vrs.reply_first",
        "The answer to a transaction arrives before the updates that it caused, not after them.",
        &[],
    ),
    fault("vrs.update_first", "A watcher's first update arrives before the answer to its registration.", &[]),
    state(
        "vrs.controller_lost",
        "The switch's controller is not connected and no master, until the fault is over. One that stands by takes over meanwhile.",
        &[],
    ),
    fault("vsc.slow", "The controller takes longer to resolve a port.", &[delay(5000)]),
    fault("vsc.never", "The controller does not resolve a port while the fault is on.", &[]),
    fault("vsc.late", "The controller resolves a port after the plugin has given up.", &[delay(70_000)]),
    fault(
        "vsc.wrong_address",
        "The controller gives a port an address that is none, or one that it does not have in the VSD.",
        &[ADDRESS],
    ),
    fault("vsc.zero_first", "The controller first writes 0.0.0.0, and the address a moment later.", &[PAUSE]),
    fault(
        "vsc.withdraw",
        "The controller resolves a port and takes the address back a moment later.",
        &[PAUSE],
    ),
    fault("vsd.down", "The VSD takes no connections.", &[]),
    fault("vsd.wrong_certificate", "The VSD presents a certificate of an authority that nobody trusts.", &[]),
    fault("vsd.unauthorized", "The VSD answers 401.", &[PATH]),
    fault("vsd.conflict", "The VSD answers 409.", &[PATH]),
    fault("vsd.throttled", "The VSD answers 429 with Retry-After.", &[PATH, RETRY_AFTER]),
    fault("vsd.error", "The VSD answers 500.", &[PATH]),
    fault("vsd.unavailable", "The VSD answers 503.", &[PATH]),
    fault("vsd.slow", "The VSD takes longer to answer.", &[PATH, delay(2000)]),
    fault("vsd.truncated", "The VSD's answer ends in the middle of its body.", &[PATH]),
    fault("monitor.down", "The Nuage monitor takes no connections.", &[]),
    fault(
        "monitor.wrong_certificate",
        "The Nuage monitor presents a certificate of an authority that nobody trusts.",
        &[],
    ),
    fault("monitor.unauthorized", "The Nuage monitor answers 401.", &[PATH]),
    fault("monitor.conflict", "The Nuage monitor answers 409.", &[PATH]),
    fault("monitor.throttled", "The Nuage monitor answers 429 with Retry-After.", &[PATH, RETRY_AFTER]),
    fault("monitor.error", "The Nuage monitor answers 500.", &[PATH]),
    fault("monitor.unavailable", "The Nuage monitor answers 503.", &[PATH]),
    fault("monitor.slow", "The Nuage monitor takes longer to answer.", &[PATH, delay(2000)]),
    fault("monitor.truncated", "The Nuage monitor's answer ends in the middle of its body.", &[PATH]),
    fault(
        "monitor.restart",
        "The Nuage monitor has started anew when a request arrives: what it kept in memory is gone.",
        &[],
    ),
    fault(
        "monitor.no_server",
        "The Nuage monitor runs but never opened its port: it met an error at its start and only logged it.",
        &[],
    ),
    fault(
        "monitor.one_loop",
        "The Nuage monitor serves one request after the other: a slow VSD holds everybody up.",
        &[],
    ),
    fault(
        "monitor.counts_names",
        "The Nuage monitor tells pods by their names alone: one that is made again shares the place of the old one, and loses it with that.",
        &[],
    ),
    fault(
        "monitor.dot_when_full",
        "The Nuage monitor answers with the subnet \".\" where it has no place for a pod.",
        &[],
    ),
    fault(
        "monitor.forgets_pool",
        "The Nuage monitor takes every address block for free, and finds out one by one in the VSD which are not.",
        &[],
    ),
    fault("kube.down", "The API server takes no connections.", &[]),
    fault(
        "kube.wrong_certificate",
        "The API server presents a certificate of an authority that nobody trusts.",
        &[],
    ),
    fault("kube.unauthorized", "The API server answers 401.", &[PATH]),
    fault("kube.forbidden", "The API server answers 403: the caller lacks a right.", &[PATH]),
    fault("kube.conflict", "The API server answers 409.", &[PATH]),
    fault("kube.throttled", "The API server answers 429 with Retry-After.", &[PATH, RETRY_AFTER]),
    fault("kube.error", "The API server answers 500.", &[PATH]),
    fault("kube.unavailable", "The API server answers 503.", &[PATH]),
    fault("kube.slow", "The API server takes longer to answer.", &[PATH, delay(2000)]),
    fault("kube.truncated", "The API server's answer ends in the middle of its body.", &[PATH]),
    fault(
        "kube.token_expired",
        "The API server accepts no bearer token any more (certificates it does).",
        &[],
    ),
    fault("kube.gone", "The API server answers a watch with 410 Gone: its version is too old.", &[PATH]),
    fault(
        "kube.stale_list",
        "The API server answers a list as it was when the fault was first asked for it.",
        &[PATH],
    ),
    fault("kube.empty_list", "The API server answers a list without items.", &[PATH]),
    fault("kube.watch_gap", "A watch leaves events out without saying so.", &[PATH]),
    fault("mesos.down", "The Mesos agent takes no connections.", &[]),
    fault(
        "mesos.wrong_certificate",
        "The Mesos agent presents a certificate of an authority that nobody trusts.",
        &[],
    ),
    fault("mesos.unauthorized", "The Mesos agent answers 401.", &[PATH]),
    fault("mesos.error", "The Mesos agent answers 500.", &[PATH]),
    fault("mesos.unavailable", "The Mesos agent answers 503, as while it recovers.", &[PATH]),
    fault("mesos.slow", "The Mesos agent takes longer to answer.", &[PATH, delay(2000)]),
    fault("mesos.truncated", "The Mesos agent's answer ends in the middle of its body.", &[PATH]),
    fault("mesos.empty_list", "The Mesos agent tells of no container.", &[]),
    fault(
        "mesos.partial_list",
        "The Mesos agent tells of one container alone, as if whoever asks might not see the others.",
        &[],
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_fault_has_a_name_of_its_own_a_component_and_one_sentence() {
        let names: BTreeSet<_> = ALL.iter().map(|known| known.name).collect();
        assert_eq!(names.len(), ALL.len());
        for Definition { name, about, parameters, .. } in ALL {
            let component = name.split('.').next().unwrap();
            assert!(["vrs", "vsc", "vsd", "monitor", "kube", "mesos"].contains(&component), "{name}");
            assert!(
                about.ends_with('.') && about.chars().next().is_some_and(char::is_uppercase),
                "{name}: {about}"
            );
            let keys: BTreeSet<_> = parameters.iter().map(|parameter| parameter.name).collect();
            assert_eq!(keys.len(), parameters.len(), "{name}");
            // Keys that mean the same for every fault.
            assert!(
                ["at", "for", "chance", "times", "nodes", "kind"].iter().all(|taken| !keys.contains(taken)),
                "{name}"
            );
        }
    }
}
