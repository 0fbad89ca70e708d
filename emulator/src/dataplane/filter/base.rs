//! The rules that every node has, and what a port and a subnet add to their sets. Frames are let in from known links only:
//! a container's must carry its addresses and is marked as from one; what goes to one is marked as to one. Their packets then
//! go by bridge and mark to the chains of the domain. What is marked and goes nowhere is dropped.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::expression::{accept, any_of, by, concat, count, drop, field, goto, is, is_not, jump, meta, set};
use super::policy::{BOTH, FROM, TO};
use super::{Family, Ruleset};
use crate::dataplane::mac::Mac;
use crate::dataplane::names;

use Family::{Bridge, Inet};

/// Marks of packets.
const FROM_CONTAINER: u32 = 1;
const TO_CONTAINER: u32 = 2;
/// Priorities (the kernel's `netfilter_bridge.h` and `netfilter_ipv4.h`): before `br_netfilter` sees a frame (0), and before the
/// connections are tracked (-200).
const FRAMES_IN: (&str, i32) = ("prerouting", -300);
const FRAMES_ON: (&str, i32) = ("forward", -200);
const BEFORE_TRACKING: (&str, i32) = ("prerouting", -300);
const PACKETS: (&str, i32) = ("forward", 0);

impl Ruleset {
    /// What a node has without a container.
    pub(in crate::dataplane) fn base() -> Self {
        let mut all = Self::default();
        all.set(Bridge, "containers", &["ifname"]);
        all.set(Bridge, "inner", &["ifname"]);
        all.set(Bridge, "macs", &["ifname", "ether_addr"]);
        all.set(Bridge, "addresses-4", &["ifname", "ipv4_addr"]);
        all.set(Bridge, "addresses-6", &["ifname", "ipv6_addr"]);
        all.hook(Bridge, "in", FRAMES_IN, frames_in());
        all.chain(Bridge, "from-container", from_container());
        all.hook(Bridge, "on", FRAMES_ON, frames_on());
        all.map(Inet, "zones", &["ifname"], "verdict");
        all.map(Inet, "domains", &["ifname", "mark"], "verdict");
        all.set(Inet, "gateways-4", &["ifname", "ipv4_addr"]);
        all.set(Inet, "gateways-6", &["ifname", "ipv6_addr"]);
        all.hook(Inet, "track", BEFORE_TRACKING, vec![json!([by(&meta("iifname"), "@zones")])]);
        all.hook(Inet, "pass", PACKETS, packets());
        all
    }

    /// A container's link, and what its frames may carry.
    pub(in crate::dataplane) fn port(&mut self, link: &str, mac: Mac, addresses: &BTreeSet<IpAddr>) {
        self.element(Bridge, "containers", json!(link));
        self.element(Bridge, "macs", concat(&[json!(link), json!(mac.to_string())]));
        for address in addresses {
            let set = if address.is_ipv4() { "addresses-4" } else { "addresses-6" };
            self.element(Bridge, set, concat(&[json!(link), json!(address.to_string())]));
        }
    }

    /// A subnet's bridge; `place`: the domain whose policy it has, and the gateways. Without one nothing passes there.
    pub(in crate::dataplane) fn subnet(&mut self, subnet: u32, place: Option<(u32, &[IpNet])>) {
        let bridge = names::bridge(subnet);
        for link in [names::router_port(subnet), names::tunnel(subnet)] {
            self.element(Bridge, "inner", json!(link));
        }
        // Connections are tracked by subnet: addresses of different domains may be the same, and what one end lets out
        // says nothing of what the other lets in.
        let zone = format!("zone-{subnet}");
        let number = subnet & 0xffff;
        self.chain(Inet, &zone, vec![json!([set(&json!({ "ct": { "key": "zone" } }), number)])]);
        self.element(Inet, "zones", json!([bridge, goto(&zone)]));
        let Some((domain, gateways)) = place else { return };
        for (mark, chain) in
            [(FROM_CONTAINER, FROM), (TO_CONTAINER, TO), (FROM_CONTAINER | TO_CONTAINER, BOTH)]
        {
            let key = concat(&[json!(bridge), json!(mark)]);
            self.element(Inet, "domains", json!([key, goto(&format!("{chain}-{domain}"))]));
        }
        for gateway in gateways {
            let family = if gateway.addr().is_ipv4() { "gateways-4" } else { "gateways-6" };
            self.element(Inet, family, concat(&[json!(bridge), json!(gateway.addr().to_string())]));
        }
    }
}

fn frames_in() -> Vec<Value> {
    vec![
        json!([is(&meta("iifname"), "@containers"), jump("from-container")]),
        json!([is(&meta("iifname"), "@inner"), accept()]),
        json!([count(), drop()]),
    ]
}

/// Anti-spoofing: the MAC address, and the address of ARP, IPv4 and IPv6; before a host has its address it asks from none
/// (RFC 5227, RFC 4862). Anything else is not carried.
fn from_container() -> Vec<Value> {
    let link = || meta("iifname");
    let from = |protocol, name| concat(&[link(), field(protocol, name)]);
    let kind = field("ether", "type");
    let solicitation =
        any_of(&[json!("nd-neighbor-solicit"), json!("nd-router-solicit"), json!("mld2-listener-report")]);
    let local = json!({ "prefix": { "addr": "fe80::", "len": 10 } });
    vec![
        json!([is_not(&from("ether", "saddr"), "@macs"), count(), drop()]),
        json!([set(&meta("mark"), FROM_CONTAINER)]),
        json!([is(&from("ip", "saddr"), "@addresses-4"), accept()]),
        json!([
            is(&kind, "arp"),
            is(&from("arp", "saddr ether"), "@macs"),
            is(&from("arp", "saddr ip"), "@addresses-4"),
            accept()
        ]),
        json!([
            is(&kind, "arp"),
            is(&from("arp", "saddr ether"), "@macs"),
            is(&field("arp", "saddr ip"), "0.0.0.0"),
            accept()
        ]),
        json!([is(&from("ip6", "saddr"), "@addresses-6"), accept()]),
        json!([is(&field("ip6", "saddr"), local), is(&meta("l4proto"), "ipv6-icmp"), accept()]),
        json!([is(&field("ip6", "saddr"), "::"), is(&field("icmpv6", "type"), solicitation), accept()]),
        json!([count(), drop()]),
    ]
}

fn frames_on() -> Vec<Value> {
    let mark = meta("mark");
    let marked = json!({ "|": [mark, TO_CONTAINER] });
    vec![
        json!([is(&meta("oifname"), "@containers"), set(&meta("mark"), marked), accept()]),
        json!([is(&meta("oifname"), "@inner"), accept()]),
        json!([count(), drop()]),
    ]
}

/// Who finds whom is no matter of policy, and neither are answers, nor a gateway that is pinged.
fn packets() -> Vec<Value> {
    let neighbours =
        any_of(&[json!("nd-neighbor-solicit"), json!("nd-neighbor-advert"), json!("nd-router-solicit")]);
    let known = json!({ "match": { "op": "in", "left": { "ct": { "key": "state" } }, "right": ["established", "related"] } });
    let to = |protocol| concat(&[meta("iifname"), field(protocol, "daddr")]);
    vec![
        json!([known, accept()]),
        json!([is(&field("icmpv6", "type"), neighbours), accept()]),
        json!([is(&to("ip"), "@gateways-4"), is(&field("icmp", "type"), "echo-request"), accept()]),
        json!([is(&to("ip6"), "@gateways-6"), is(&field("icmpv6", "type"), "echo-request"), accept()]),
        json!([by(&concat(&[meta("iifname"), meta("mark")]), "@domains")]),
        json!([is_not(&meta("mark"), 0), count(), drop()]),
    ]
}
