//! The keys of the configuration files: their one definition, from which unknown keys are told and the guide's reference is made.
//! Never reads a file.

use std::fmt::Write as _;

/// A key of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    /// What it may be, with its unit.
    values: &'static str,
    /// What it is where it is absent, as the file would have it; `None`: nothing, or what `meaning` says.
    pub(super) default: Option<&'static str>,
    meaning: &'static str,
}

const fn key(
    name: &'static str,
    values: &'static str,
    default: Option<&'static str>,
    meaning: &'static str,
) -> Key {
    Key { name, values, default, meaning }
}

/// Of nuage-cni.yaml; lower case, as they always were.
pub(super) const NODE: &[Key] = &[
    key(
        "vrsendpoint",
        "path, `unix:PATH` or `tcp:HOST:PORT`",
        Some("/var/run/openvswitch/db.sock"),
        "the switch's OVSDB",
    ),
    key("vrsbridge", "name", Some("alubr0"), "the bridge that ports are added to"),
    key(
        "mtu",
        "0, or 68 to 65535 bytes",
        Some("0"),
        "MTU of pods' links; 0: the default route's device's less 50 (70 over IPv6)",
    ),
    key("portresolvetimer", "1 to 110 s", Some("60"), "how long an ADD waits for the controller"),
    key("addtimeout", "10 to 110 s", Some("90"), "how long an ADD may take in all, undo included"),
    key("nuagesiteid", "-1, or a number", Some("-1"), "the site of a VSD that has several; -1: none"),
    key(
        "multiplepolicygroups",
        "true or false",
        Some("false"),
        "whether the VRS takes several policy groups, comma-joined; otherwise the first one counts",
    ),
    key("cniversion", "version", None, "counts only where the network configuration has no `cniVersion`"),
    key(
        "statedir",
        "absolute path",
        Some("/var/lib/nuage-cni"),
        "the journal: what is attached and owed; survives a reboot",
    ),
    key("rundir", "absolute path", Some("/run/nuage-cni"), "locks and sockets"),
    key("logdir", "absolute path", Some("/var/log/cni"), "the logs"),
    key("loglevel", "`debug`, `info`, `warn`, `error`", Some("info"), "how much is logged"),
    key("logformat", "`text` or `json`", Some("text"), "how"),
    key("logfilesize", "1 to 1024 MB", Some("1"), "when a log is full"),
    key("logfilecount", "1 to 100", Some("10"), "how many full ones are kept"),
    key("monitorinterval", "1 to 86400 s", Some("60"), "how often the audit looks"),
    key(
        "staleentrytimeout",
        "1 to 604800 s",
        Some("600"),
        "how long the audit sees something without an owner before it removes it",
    ),
    key(
        "vrsconnectionchecktimer",
        "1 to 86400 s",
        Some("180"),
        "how often the audit probes its connection to the switch",
    ),
    key(
        "metricslisten",
        "`ADDRESS:PORT`",
        None,
        "where the audit serves figures and health; absent: nowhere",
    ),
    key(
        "runtimeendpoint",
        "`unix:///PATH`",
        None,
        "the socket of the container runtime's CRI, which the audit asks, too; absent: it asks none",
    ),
    key(
        "mesosagent",
        "`http://HOST:PORT` or `https://HOST:PORT`",
        None,
        "the Mesos agent that the audit asks; absent: port 5051 of this host's name, by HTTP",
    ),
    key("mesosagentca", "path", None, "whom to trust where `mesosagent` is https; relative to this file"),
    key(
        "mesosagentcredential",
        "path",
        None,
        "a JSON file with `principal` and `secret` who may view containers; relative to this file",
    ),
];

/// Of vsp-k8s.yaml and vsp-openshift.yaml.
pub(super) const VSP: &[Key] = &[
    key("enterpriseName", "name", Some("K8S-Enterprise"), "the enterprise that pods go to"),
    key("domainName", "name", Some("K8S-Domain"), "the domain"),
    key("vsdUser", "name", None, "the VSD user in whose name pods are attached, unless they name one"),
    key("nuageMonRestServer", "`https://HOST:PORT`", None, "the Nuage monitor; absent: a site without one"),
    key(
        "nuageMonClientCert",
        "path or PEM text",
        None,
        "our certificate for the monitor (OpenShift: `nuageMonClient.crt`)",
    ),
    key("nuageMonClientKey", "path or PEM text", None, "its key (OpenShift: `nuageMonClient.key`)"),
    key(
        "nuageMonServerCA",
        "path or PEM text",
        None,
        "the authority of the monitor's certificate (OpenShift: `nuageMonCA.crt`)",
    ),
    key(
        "nuageMonCA",
        "path or PEM text",
        None,
        "the same, as some releases had it; `nuageMonServerCA` counts before it",
    ),
    key(
        "nuageMonServerFingerprint",
        "SHA-256 in hex",
        None,
        "pins the monitor's certificate, for one that has no name in it",
    ),
    key("kubeConfig", "path", Some("nuage.kubeconfig"), "the kubeconfig, relative to this file"),
    key(
        "masterApiServer",
        "`https://HOST:PORT`",
        None,
        "the API server where there is no kubeconfig and a pod's own credentials are used",
    ),
    key(
        "defaultSubnet",
        "name",
        None,
        "without a monitor: the subnet of pods that name none; absent: `<namespace>-0`",
    ),
    key(
        "podMaySet",
        "list",
        Some("[subnet, zone, user, policy-group]"),
        "what labels and annotations of a pod may choose; also `static-ip`, `mac`, `redirection-target`",
    ),
];

/// Of the vsp files that earlier versions had and nothing reads: the plugin before 2017 did.
pub(super) const IDLE: &[&str] =
    &["clientCert", "clientKey", "CACert", "dockerBridgeName", "interfaceMTU", "serviceCIDR", "logLevel"];

/// The guide's page of all keys, as Markdown.
pub fn reference() -> String {
    let mut page = String::from(
        "# Configuration keys\n\nMade from the code; a test compares them. A key that is absent or has no value means its default.\n",
    );
    for (file, keys) in [("nuage-cni.yaml", NODE), ("vsp-k8s.yaml, vsp-openshift.yaml", VSP)] {
        let _ = write!(page, "\n## {file}\n\n| key | value | default | meaning |\n|---|---|---|---|\n");
        for Key { name, values, default, meaning } in keys {
            let default = default.map(|default| format!("`{default}`")).unwrap_or_default();
            let _ = writeln!(page, "| `{name}` | {values} | {default} | {meaning} |");
        }
    }
    let idle: Vec<String> = IDLE.iter().map(|name| format!("`{name}`")).collect();
    let _ = write!(page, "\nRead by nothing, and no warning: {}.\n", idle.join(", "));
    page
}
