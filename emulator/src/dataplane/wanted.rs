//! What a node's kernel is to have, by the rows of all switches and the VSD. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use super::filter::Ruleset;
use super::picture::Picture;
use super::plan::Item;
use super::view::{Attachment, View};

/// A node, as the others see it.
pub(super) struct Seen<'a> {
    pub(super) name: &'a str,
    pub(super) view: &'a View,
    /// Its address in the underlay, where there is more than one node.
    pub(super) host: Option<Ipv4Addr>,
}

/// What decides of all nodes.
pub(super) struct Whole<'a> {
    pub(super) nodes: Vec<Seen<'a>>,
    /// The domains by their numbers.
    pub(super) pictures: &'a BTreeMap<u32, Picture>,
}

impl Whole<'_> {
    /// The domains that anybody is attached to on some node.
    pub(super) fn domains(&self) -> BTreeSet<u32> {
        let all = self.nodes.iter().flat_map(|node| node.view.attachments().into_values());
        all.map(|attachment| attachment.domain).collect()
    }

    /// What a node is to have; `links`: those that it has, by name.
    pub(super) fn of(&self, name: &str, links: &BTreeMap<String, u32>) -> (BTreeSet<Item>, Ruleset) {
        let (mut items, mut ruleset) = (BTreeSet::new(), Ruleset::base());
        let Some(node) = self.nodes.iter().find(|node| node.name == name) else { return (items, ruleset) };
        let here = node.view.attachments();
        let domains: BTreeSet<u32> = here.values().map(|attachment| attachment.domain).collect();
        let elsewhere: Vec<(Ipv4Addr, &Attachment)> = self.elsewhere(name, &domains).collect();
        let subnets: BTreeSet<(u32, u32)> = here
            .values()
            .copied()
            .chain(elsewhere.iter().map(|(_, attachment)| *attachment))
            .map(|attachment| (attachment.subnet, attachment.domain))
            .collect();
        for (subnet, domain) in subnets {
            self.subnet(&mut items, &mut ruleset, subnet, domain);
            if node.host.is_some() {
                items.insert(Item::Tunnel(subnet));
            }
        }
        for domain in domains {
            if let Some(picture) = self.pictures.get(&domain) {
                items.insert(Item::Router(domain));
                ruleset.domain(picture);
            }
        }
        for (port, attachment) in here {
            let (subnet, addresses) = (attachment.subnet, self.addresses(attachment));
            ruleset.port(port, attachment.mac, &addresses);
            items.extend(links.get(port).map(|&index| Item::Port { name: port.to_owned(), index, subnet }));
        }
        for (host, attachment) in elsewhere {
            let (subnet, mac) = (attachment.subnet, attachment.mac);
            items.insert(Item::Remote { subnet, mac, addresses: self.addresses(attachment), host });
        }
        (items, ruleset)
    }

    /// Who is attached to these domains on other nodes, and where.
    fn elsewhere<'a>(
        &'a self,
        name: &str,
        domains: &BTreeSet<u32>,
    ) -> impl Iterator<Item = (Ipv4Addr, &'a Attachment)> {
        let others = self.nodes.iter().filter(move |node| node.name != name);
        let all = others.flat_map(|node| {
            node.host.into_iter().flat_map(|host| {
                node.view.attachments().into_values().map(move |attachment| (host, attachment))
            })
        });
        all.filter(|(_, attachment)| domains.contains(&attachment.domain))
    }

    fn subnet(&self, items: &mut BTreeSet<Item>, ruleset: &mut Ruleset, subnet: u32, domain: u32) {
        items.insert(Item::Bridge(subnet));
        let known = self.pictures.get(&domain).and_then(|picture| picture.subnet(subnet));
        ruleset.subnet(subnet, known.map(|known| (domain, known.gateways.as_slice())));
        if let Some(known) = known {
            let addresses = known.gateways.iter().copied().collect();
            items.insert(Item::Gateway { subnet, domain, mac: known.mac, addresses });
        }
    }

    fn addresses(&self, attachment: &Attachment) -> BTreeSet<IpAddr> {
        match self.pictures.get(&attachment.domain) {
            Some(picture) => picture.addresses(attachment.address).into_iter().collect(),
            None => BTreeSet::from([IpAddr::V4(attachment.address)]),
        }
    }
}
