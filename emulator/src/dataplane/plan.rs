//! From what a node's kernel has to what it is to have, in steps. Pure: what is to go goes first, the last made before the
//! first made; what comes needs only what came before it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::mac::Mac;

/// Something in a node's kernel. The order is that of their needs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Item {
    /// The router of a domain.
    Router(u32),
    /// The bridge of a subnet.
    Bridge(u32),
    /// The subnet's gateway in the domain's router, and its link to the bridge.
    Gateway {
        /// The subnet.
        subnet: u32,
        /// Its domain.
        domain: u32,
        /// The router's MAC address there.
        mac: Mac,
        /// Its addresses, with the subnet's prefixes.
        addresses: BTreeSet<IpNet>,
    },
    /// The subnet's tunnel to other nodes.
    Tunnel(u32),
    /// A link in a bridge.
    Port {
        /// The link's name.
        name: String,
        /// The kernel's number of it: another link of that name is another.
        index: u32,
        /// The subnet.
        subnet: u32,
    },
    /// Somebody on another node.
    Remote {
        /// His subnet.
        subnet: u32,
        /// His MAC address.
        mac: Mac,
        /// His addresses.
        addresses: BTreeSet<IpAddr>,
        /// The other node.
        host: Ipv4Addr,
    },
}

impl Item {
    /// Whether packets of containers pass by it: such comes after the filters that it is to have.
    fn is_traffic(&self) -> bool {
        matches!(self, Self::Port { .. } | Self::Remote { .. })
    }
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Makes it.
    Add(Item),
    /// Takes it away.
    Remove(Item),
}

/// The steps, in two parts: what comes before the packet filters change, and what comes after.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) before: Vec<Step>,
    pub(super) after: Vec<Step>,
}

/// How to get from `have` to `want`.
pub(super) fn plan(have: &BTreeSet<Item>, want: &BTreeSet<Item>) -> Plan {
    let mut plan = Plan::default();
    plan.before.extend(have.iter().rev().filter(|item| !want.contains(item)).cloned().map(Step::Remove));
    for item in want.difference(have).cloned() {
        let part = if item.is_traffic() { &mut plan.after } else { &mut plan.before };
        part.push(Step::Add(item));
    }
    plan
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn port(name: &str, index: u32, subnet: u32) -> Item {
        Item::Port { name: name.to_owned(), index, subnet }
    }

    #[test]
    fn a_first_port_has_its_router_and_bridge_before_and_its_filters_before_it_joins() {
        let mac = Mac([0; 6]);
        let gateway = Item::Gateway { subnet: 5, domain: 7, mac, addresses: BTreeSet::new() };
        let want = BTreeSet::from([port("nu1", 3, 5), gateway.clone(), Item::Bridge(5), Item::Router(7)]);
        let plan = plan(&BTreeSet::new(), &want);
        let before = [Item::Router(7), Item::Bridge(5), gateway].map(Step::Add);
        assert_eq!((plan.before, plan.after), (before.to_vec(), vec![Step::Add(port("nu1", 3, 5))]));
    }

    #[test]
    fn another_link_of_the_same_name_is_taken_for_another() {
        let plan = plan(&BTreeSet::from([port("nu1", 3, 5)]), &BTreeSet::from([port("nu1", 4, 5)]));
        assert_eq!(plan.before, [Step::Remove(port("nu1", 3, 5))]);
        assert_eq!(plan.after, [Step::Add(port("nu1", 4, 5))]);
    }

    fn item() -> impl Strategy<Value = Item> {
        prop_oneof![
            (1..3_u32).prop_map(Item::Router),
            (1..4_u32).prop_map(Item::Bridge),
            (1..4_u32).prop_map(Item::Tunnel),
            (1..4_u32, 1..4_u32).prop_map(|(index, subnet)| port("nu", index, subnet)),
        ]
    }

    proptest! {
        #[test]
        fn the_steps_lead_from_what_there_is_to_what_is_wanted(
            have in prop::collection::btree_set(item(), 0..8),
            want in prop::collection::btree_set(item(), 0..8),
        ) {
            let Plan { before, after } = plan(&have, &want);
            let mut state = have.clone();
            for step in before.into_iter().chain(after) {
                match step {
                    Step::Add(item) => prop_assert!(state.insert(item)),
                    Step::Remove(item) => prop_assert!(state.remove(&item)),
                }
            }
            prop_assert_eq!(state, want);
        }
    }
}
