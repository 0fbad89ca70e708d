//! A network policy, read, and what it is in the VSD: policy groups, and the entries of one ingress and one egress ACL
//! template. Pure; never talks to anybody.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use serde_json::{Value, json};

use super::selector::Selector;

/// The label with a policy's place among the others; without it the real monitor refuses a policy, too.
const PRIORITY: &str = "nuage.io/priority";
/// The most rules, peers and ports of one policy.
const MOST: usize = 100;
/// Priorities of a template's entries: what an address block leaves out is looked at before what it has.
const EXCEPT: u32 = 0;
const ALLOW: u32 = 10_000;

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    /// Namespace and name.
    pub(super) key: (String, String),
    pub(super) priority: u32,
    targets: Selector,
    rules: Vec<Rule>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Direction {
    /// To the policy's pods.
    Ingress,
    /// From the policy's pods.
    Egress,
}

/// Who may talk to the policy's pods, or be talked to by them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    direction: Direction,
    /// Numbers of rule and peer, as names tell them.
    place: (usize, usize),
    peer: Peer,
    ports: Vec<Port>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Peer {
    Anybody,
    /// Pods of the policy's namespace, or of the namespaces that a selector has.
    Pods(Option<Selector>, Selector),
    /// Whole namespaces.
    Namespaces(Selector),
    Block(Ipv4Net, Vec<Ipv4Net>),
}

/// IP protocol number, and ports as the VSD writes them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Port {
    protocol: u8,
    ports: String,
}

/// A policy group that a policy needs, and whose pods are in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) name: String,
    namespace: String,
    namespaces: Option<Selector>,
    pods: Selector,
}

impl Group {
    /// Whether a pod is in it, whose namespace is another object.
    pub(super) fn has(&self, pod: &Value, namespace: &Value) -> bool {
        self.reaches(namespace) && self.pods.selects(pod)
    }

    /// Whether pods of a namespace can be in it.
    pub(super) fn reaches(&self, namespace: &Value) -> bool {
        match &self.namespaces {
            None => namespace["metadata"]["name"] == self.namespace.as_str(),
            Some(namespaces) => namespaces.selects(namespace),
        }
    }
}

/// What stands on the other side of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Any,
    /// A policy group, by name.
    Group(String),
    /// A zone, by the name of its namespace.
    Zone(String),
    /// A network macro.
    Network(Ipv4Net),
}

/// An entry of an ACL template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Whether it is about what leaves pods (the VSD's ingress) rather than what reaches them.
    pub(super) leaves: bool,
    /// The side that is a pod, or any.
    pub(super) location: Side,
    /// The other side.
    pub(super) network: Side,
    pub(super) priority: u32,
    /// The rest of it, as the VSD takes it.
    pub(super) rest: Value,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// Why it cannot be carried out.
    pub(super) fn read(object: &Value) -> Result<Self, String> {
        let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
        let priority = object["metadata"]["labels"][PRIORITY].as_str().and_then(|text| text.parse().ok());
        let spec = &object["spec"];
        let mut rules = Vec::new();
        for (direction, list, peers) in
            [(Direction::Ingress, "ingress", "from"), (Direction::Egress, "egress", "to")]
        {
            for (number, rule) in bounded(&spec[list])?.iter().enumerate() {
                let ports = read_ports(&rule["ports"])?;
                let peers = bounded(&rule[peers])?;
                if peers.is_empty() {
                    let (place, peer) = ((number, 0), Peer::Anybody);
                    rules.push(Rule { direction, place, peer, ports: ports.clone() });
                }
                for (nth, peer) in peers.iter().enumerate() {
                    let (place, peer) = ((number, nth), read_peer(peer)?);
                    rules.push(Rule { direction, place, peer, ports: ports.clone() });
                }
            }
        }
        Ok(Self {
            key: (text("namespace"), text("name")),
            priority: priority.ok_or_else(|| format!("has no label {PRIORITY} with a number"))?,
            targets: Selector::read(&spec["podSelector"])?,
            rules,
        })
    }

    /// What its objects in the VSD are called. The real monitor leaves the namespace out, so that policies of the same
    /// name get in each other's way.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.key.0, self.key.1)
    }

    fn target(&self) -> String {
        format!("PG Target For {}", self.name())
    }

    fn source(&self, rule: &Rule) -> String {
        let what = if rule.direction == Direction::Ingress { "Source" } else { "Destination" };
        format!("PG {what} {}-{} For {}", rule.place.0, rule.place.1, self.name())
    }

    /// The policy groups that it needs.
    pub(super) fn groups(&self) -> Vec<Group> {
        let group = |name, namespaces: Option<&Selector>, pods: &Selector| Group {
            name,
            namespace: self.key.0.clone(),
            namespaces: namespaces.cloned(),
            pods: pods.clone(),
        };
        let peers = self.rules.iter().filter_map(|rule| match &rule.peer {
            Peer::Pods(namespaces, pods) => Some(group(self.source(rule), namespaces.as_ref(), pods)),
            _ => None,
        });
        std::iter::once(group(self.target(), None, &self.targets)).chain(peers).collect()
    }

    /// The networks that it needs a macro of.
    pub(super) fn networks(&self) -> Vec<Ipv4Net> {
        let blocks = self.rules.iter().filter_map(|rule| match &rule.peer {
            Peer::Block(block, except) => Some(except.iter().chain([block]).copied()),
            _ => None,
        });
        let mut networks: Vec<Ipv4Net> = blocks.flatten().collect();
        networks.sort_unstable();
        networks.dedup();
        networks
    }

    /// Its entries: of each rule, peer and port one for what leaves the one side and one for what reaches the other.
    pub(super) fn entries(&self, namespaces: &[Value]) -> Vec<Entry> {
        let mut entries = Vec::new();
        for rule in &self.rules {
            let peers: Vec<(Side, bool)> = match &rule.peer {
                Peer::Anybody => vec![(Side::Any, true)],
                Peer::Pods(..) => vec![(Side::Group(self.source(rule)), true)],
                Peer::Namespaces(selector) => {
                    let selected = namespaces.iter().filter(|namespace| selector.selects(namespace));
                    let names = selected.filter_map(|namespace| namespace["metadata"]["name"].as_str());
                    names.map(|name| (Side::Zone(name.to_owned()), true)).collect()
                }
                Peer::Block(block, except) => {
                    let left_out = except.iter().map(|network| (Side::Network(*network), false));
                    left_out.chain([(Side::Network(*block), true)]).collect()
                }
            };
            for (peer, allowed) in peers {
                for port in &rule.ports {
                    self.pair(rule.direction, &peer, allowed, port, &mut entries);
                }
            }
        }
        entries
    }

    /// What a pod sends is looked at where it leaves, and again where it arrives. A network outside has no pods.
    fn pair(&self, direction: Direction, peer: &Side, allowed: bool, port: &Port, entries: &mut Vec<Entry>) {
        let target = Side::Group(self.target());
        let outside = matches!(peer, Side::Network(_));
        let (from, to) = match direction {
            Direction::Ingress => (peer.clone(), target),
            Direction::Egress => (target, peer.clone()),
        };
        for leaves in [true, false] {
            let (location, network) =
                if leaves { (from.clone(), to.clone()) } else { (to.clone(), from.clone()) };
            if outside && matches!(location, Side::Network(_)) {
                continue;
            }
            let base = if allowed { ALLOW } else { EXCEPT };
            let priority = base + u32::try_from(entries.len()).unwrap_or(u32::MAX);
            let rest = json!({
                "action": if allowed { "FORWARD" } else { "DROP" }, "DSCP": "*", "etherType": "0x0800",
                "protocol": port.protocol.to_string(), "sourcePort": "*", "destinationPort": port.ports,
                "stateful": allowed, "description": format!("Network policy {}", self.name()),
            });
            entries.push(Entry { leaves, location, network, priority, rest });
        }
    }
}

fn bounded(list: &Value) -> Result<&[Value], String> {
    match list.as_array() {
        Some(items) if items.len() > MOST => Err(format!("has more than {MOST} rules, peers or ports")),
        Some(items) => Ok(items),
        None => Ok(&[]),
    }
}

fn read_peer(peer: &Value) -> Result<Peer, String> {
    let selector =
        |name: &str| peer.get(name).filter(|found| !found.is_null()).map(Selector::read).transpose();
    if let Some(block) = peer.get("ipBlock") {
        let network = |text: &Value| {
            let parsed = text.as_str().and_then(|text| text.parse::<Ipv4Net>().ok());
            parsed.map(|network| network.trunc()).ok_or_else(|| format!("{text} is no IPv4 network"))
        };
        let except = bounded(&block["except"])?.iter().map(network).collect::<Result<_, _>>()?;
        return Ok(Peer::Block(network(&block["cidr"])?, except));
    }
    match (selector("namespaceSelector")?, selector("podSelector")?) {
        (Some(namespaces), None) => Ok(Peer::Namespaces(namespaces)),
        (namespaces, Some(pods)) => Ok(Peer::Pods(namespaces, pods)),
        (None, None) => Err("has a peer that is nobody".to_owned()),
    }
}

/// Ports of a rule. None is every port of TCP, as it was.
fn read_ports(ports: &Value) -> Result<Vec<Port>, String> {
    let ports = bounded(ports)?;
    if ports.is_empty() {
        return Ok(vec![Port { protocol: 6, ports: "*".to_owned() }]);
    }
    let one = |port: &Value| {
        let protocol = match port["protocol"].as_str() {
            None | Some("TCP") => 6,
            Some("UDP") => 17,
            Some("SCTP") => 132,
            Some(other) => return Err(format!("has the protocol {other}")),
        };
        let number = |value: &Value| value.as_u64().and_then(|number| u16::try_from(number).ok());
        let ports = match (number(&port["port"]), number(&port["endPort"])) {
            (Some(first), Some(last)) if last >= first => format!("{first}-{last}"),
            (Some(only), None) => only.to_string(),
            (None, None) if port["port"].is_null() => "*".to_owned(),
            _ => return Err("has a port that is no number".to_owned()),
        };
        Ok(Port { protocol, ports })
    };
    ports.iter().map(one).collect()
}

/// A network macro of a network.
pub(super) fn network(network: Ipv4Net) -> Value {
    let netmask: Ipv4Addr = network.netmask();
    json!({ "name": format!("Network {network}"), "address": network.addr().to_string(), "netmask": netmask.to_string() })
}
