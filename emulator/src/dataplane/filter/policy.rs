//! A domain's policy as rules: one chain for each direction and family of addresses, an entry a rule (two where ports are
//! named without a protocol), in the order of the VSD's evaluator, whose entries these are. Ends are told by sets of addresses,
//! so that who comes and goes changes no rule. Never decides otherwise than [`crate::vsd::policy`].

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde_json::{Value, json};

use super::expression::{
    accept, any_of, back, by, concat, count_as, drop, field, is, is_not, jump, looked_up, meta, set,
};
use super::{Family, Ruleset};
use crate::dataplane::picture::Picture;
use crate::vsd::policy::{Action, Attachment, Direction, Endpoint, Place, Rule, Template, WITH_PORTS};

use Family::Inet;

/// The chains of a domain: for packets from a container, to one, and from one to another of the same bridge.
pub(super) const FROM: &str = "from";
/// See [`FROM`].
pub(super) const TO: &str = "to";
/// See [`FROM`].
pub(super) const BOTH: &str = "both";

impl Ruleset {
    /// A domain's chains and sets.
    pub(in crate::dataplane) fn domain(&mut self, picture: &Picture) {
        let number = picture.number;
        for direction in [Direction::Ingress, Direction::Egress] {
            for six in [false, true] {
                let mut writer = Writer { ruleset: self, picture, direction, six };
                let rules = writer.rules();
                self.chain(Inet, &chain(direction, number, six), rules);
            }
        }
        let jumps = |direction| {
            let to = |six| jump(&chain(direction, number, six));
            json!([by(&meta("nfproto"), any_of(&[json!(["ipv4", to(false)]), json!(["ipv6", to(true)])]))])
        };
        let (ingress, egress) = (jumps(Direction::Ingress), jumps(Direction::Egress));
        let passes = json!([accept()]);
        self.chain(Inet, &format!("{FROM}-{number}"), vec![ingress.clone(), passes.clone()]);
        self.chain(Inet, &format!("{TO}-{number}"), vec![egress.clone(), passes.clone()]);
        self.chain(Inet, &format!("{BOTH}-{number}"), vec![ingress, egress, passes]);
    }
}

fn digit(six: bool) -> char {
    if six { '6' } else { '4' }
}

fn chain(direction: Direction, domain: u32, six: bool) -> String {
    format!("{direction}-{domain}-{}", digit(six))
}

/// What becomes of a packet: one that goes on goes back to where the chain was entered from.
fn verdict(action: Action) -> Value {
    match action {
        Action::Forward => back(),
        Action::Drop => drop(),
    }
}

/// Which end of the traffic.
#[derive(Clone, Copy)]
enum End {
    Source,
    Destination,
}

impl End {
    fn other(self) -> Self {
        match self {
            Self::Source => Self::Destination,
            Self::Destination => Self::Source,
        }
    }
}

struct Writer<'a> {
    ruleset: &'a mut Ruleset,
    picture: &'a Picture,
    direction: Direction,
    six: bool,
}

impl Writer<'_> {
    fn rules(&mut self) -> Vec<Value> {
        let templates: Vec<Template> = self.picture.policy.templates(self.direction).to_vec();
        let mut rules = Vec::new();
        for rule in templates.iter().flat_map(|template| &template.rules) {
            rules.extend(self.entry(rule));
        }
        let otherwise = templates.last().map_or(Action::Drop, |last| last.otherwise);
        let counter = format!("{}-{}-otherwise", self.direction, self.picture.number);
        rules.push(self.counted(&counter, Vec::new(), otherwise));
        rules
    }

    fn counted(&mut self, counter: &str, mut matches: Vec<Value>, action: Action) -> Value {
        self.ruleset.counters.insert(counter.to_owned());
        matches.extend([count_as(counter), verdict(action)]);
        Value::Array(matches)
    }

    /// An entry; nothing where nothing can match it.
    fn entry(&mut self, rule: &Rule) -> Vec<Value> {
        let family = if self.six { IpAddr::from([0; 16]) } else { IpAddr::from([0; 4]) };
        if !rule.is_of(family) {
            return Vec::new();
        }
        // The policy is installed at the source for ingress, at the destination for egress.
        let here = match self.direction {
            Direction::Ingress => End::Source,
            Direction::Egress => End::Destination,
        };
        let Some(mut ends) = self.at(&rule.location, here) else { return Vec::new() };
        let Some(network) = self.at(&rule.network, here.other()) else { return Vec::new() };
        ends.extend(network);
        let counter = format!("entry-{}", rule.id);
        let all = self.traffic(rule).into_iter().map(|mut matches| {
            matches.extend(ends.iter().cloned());
            self.counted(&counter, matches, rule.action)
        });
        all.collect()
    }

    /// What traffic an entry is about, in as many rules as that takes.
    fn traffic(&self, rule: &Rule) -> Vec<Vec<Value>> {
        let protocol = meta("l4proto");
        let ports = || {
            let ranges = |ranges: &[(u16, u16)]| {
                let range = |(first, last): &(u16, u16)| {
                    if first == last { json!(first) } else { json!({ "range": [first, last] }) }
                };
                any_of(&merged(ranges).iter().map(range).collect::<Vec<_>>())
            };
            let both = [("sport", rule.source.ranges()), ("dport", rule.destination.ranges())];
            let named = both.into_iter().filter(|(_, wanted)| !wanted.is_empty());
            named.map(move |(name, wanted)| is(&field("th", name), ranges(wanted))).collect::<Vec<_>>()
        };
        let with_ports = || any_of(&WITH_PORTS.map(|number| json!(number)));
        let mut all = match rule.protocol {
            Some(number) => {
                let mut matches = vec![is(&protocol, number)];
                if WITH_PORTS.contains(&number) {
                    matches.extend(ports());
                }
                vec![matches]
            }
            None if ports().is_empty() => vec![Vec::new()],
            None => {
                let named = [vec![is(&protocol, with_ports())], ports()].concat();
                vec![named, vec![is_not(&protocol, with_ports())]]
            }
        };
        if let Some(dscp) = rule.dscp {
            let field = field(if self.six { "ip6" } else { "ip" }, "dscp");
            for matches in &mut all {
                matches.push(is(&field, dscp));
            }
        }
        all
    }

    fn address(&self, end: End) -> Value {
        let name = match end {
            End::Source => "saddr",
            End::Destination => "daddr",
        };
        field(if self.six { "ip6" } else { "ip" }, name)
    }

    fn kind(&self) -> &'static str {
        if self.six { "ipv6_addr" } else { "ipv4_addr" }
    }

    /// Those who are attached, of this family.
    fn attached(&self) -> impl Iterator<Item = (&Endpoint, &Attachment)> {
        let all = self.picture.policy.endpoints.iter().filter(|end| end.address.is_ipv6() == self.six);
        all.filter_map(|end| end.attachment.as_ref().map(|attachment| (end, attachment)))
    }

    /// Matches that say that an end is at a place; `None` where nobody is.
    fn at(&mut self, place: &Place, end: End) -> Option<Vec<Value>> {
        let matches = match place {
            Place::Any => Vec::new(),
            Place::Domain => vec![self.one_of("all", "", end, |_| true)],
            Place::Subnet(id) => vec![self.one_of("subnet", id, end, |here| here.subnet == *id)],
            Place::Zone(id) => vec![self.one_of("zone", id, end, |here| here.zone.as_ref() == Some(id))],
            Place::Group(id) => vec![self.one_of("group", id, end, |here| here.groups.contains(id))],
            Place::Expression(id) => {
                let policy = &self.picture.policy;
                vec![self.one_of("expression", id, end, |here| policy.means(id, here))]
            }
            Place::SameZone => {
                let zones = &self.picture.zones;
                self.same("zones", end, |here| zones.get(here.zone.as_ref()?).copied())
            }
            Place::SameSubnet => {
                let subnets = &self.picture.subnets;
                self.same("subnets", end, |here| Some(subnets.get(&here.subnet)?.number))
            }
            Place::Macro(id) | Place::MacroGroup(id) => {
                let ranges = self.picture.policy.ranges(place);
                vec![self.in_ranges(id, end, &ranges)?]
            }
            Place::Nowhere(_) => return None,
        };
        Some(matches)
    }

    /// The name of a set of this domain and family.
    fn name(&self, kind: &str, id: &str) -> String {
        let dash = if id.is_empty() { "" } else { "-" };
        format!("{kind}-{}{dash}{id}-{}", self.picture.number, digit(self.six))
    }

    fn one_of(&mut self, kind: &str, id: &str, end: End, is_member: impl Fn(&Attachment) -> bool) -> Value {
        let name = self.name(kind, id);
        let members: Vec<Value> = self
            .attached()
            .filter(|(_, attachment)| is_member(attachment))
            .map(|(end, _)| json!(end.address.to_string()))
            .collect();
        self.ruleset.set(Inet, &name, &[self.kind()]);
        for member in members {
            self.ruleset.element(Inet, &name, member);
        }
        is(&self.address(end), format!("@{name}"))
    }

    /// Both ends are in the same: the number of where one is becomes the packet's mark, and the other with that mark is looked
    /// for. Who came here by the mark needs it no more.
    fn same(&mut self, kind: &str, end: End, number: impl Fn(&Attachment) -> Option<u32>) -> Vec<Value> {
        let (where_is, together) = (self.name(kind, "of"), self.name(kind, "with"));
        let numbered =
            self.attached().filter_map(|(end, attachment)| Some((end.address, number(attachment)?)));
        let numbered: BTreeSet<(String, u32)> =
            numbered.map(|(address, number)| (address.to_string(), number)).collect();
        self.ruleset.map(Inet, &where_is, &[self.kind()], "mark");
        self.ruleset.set(Inet, &together, &[self.kind(), "mark"]);
        for (address, number) in numbered {
            self.ruleset.element(Inet, &where_is, json!([address, number]));
            self.ruleset.element(Inet, &together, concat(&[json!(address), json!(number)]));
        }
        let mark = meta("mark");
        vec![
            set(&mark, looked_up(&self.address(end), &where_is)),
            is(&concat(&[self.address(end.other()), mark]), format!("@{together}")),
        ]
    }

    fn in_ranges(&mut self, id: &str, end: End, ranges: &[IpNet]) -> Option<Value> {
        let prefixes: Vec<(IpAddr, u8)> = if self.six {
            let all: Vec<Ipv6Net> = ranges
                .iter()
                .filter_map(|net| if let IpNet::V6(net) = net { Some(net.trunc()) } else { None })
                .collect();
            Ipv6Net::aggregate(&all).iter().map(|net| (net.addr().into(), net.prefix_len())).collect()
        } else {
            let all: Vec<Ipv4Net> = ranges
                .iter()
                .filter_map(|net| if let IpNet::V4(net) = net { Some(net.trunc()) } else { None })
                .collect();
            Ipv4Net::aggregate(&all).iter().map(|net| (net.addr().into(), net.prefix_len())).collect()
        };
        if prefixes.is_empty() {
            return None;
        }
        let name = self.name("macro", id);
        self.ruleset.ranges(Inet, &name, self.kind());
        for (address, length) in prefixes {
            let element = json!({ "prefix": { "addr": address.to_string(), "len": length } });
            self.ruleset.element(Inet, &name, element);
        }
        Some(is(&self.address(end), format!("@{name}")))
    }
}

/// Ranges of ports without those that overlap: a set refuses them.
fn merged(ranges: &[(u16, u16)]) -> Vec<(u16, u16)> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    let mut merged: Vec<(u16, u16)> = Vec::new();
    for (first, last) in sorted {
        match merged.last_mut() {
            Some(before) if u32::from(first) <= u32::from(before.1) + 1 => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}
