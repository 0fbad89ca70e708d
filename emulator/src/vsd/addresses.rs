//! Which addresses of which network are taken, in both families: a secondary index of the store, kept from the
//! objects it holds, so that it can never disagree with them. Never decides who gets an address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use uuid::Uuid;

use super::store::Object;

/// By network (subnet or layer-2 domain) and whether it is its IPv6 range.
#[derive(Debug, Default)]
pub(super) struct Addresses(BTreeMap<(Uuid, bool), Block>);

#[derive(Debug, Default)]
struct Block {
    /// What interfaces have.
    used: BTreeSet<u128>,
    /// What nobody is given unasked: gateways, reservations, virtual addresses. Counted, since a second object may hold it.
    reserved: BTreeMap<u128, u32>,
    /// For the first address of each range that was searched, up to where it has been: so that filling a large range
    /// does not scan it once for each address.
    searched: BTreeMap<u128, u128>,
    /// What became free behind those.
    gaps: BTreeSet<u128>,
}

#[derive(Clone, Copy)]
enum Hold {
    Used,
    Reserved,
}

impl Addresses {
    /// Takes what an object holds, or gives it back.
    pub(super) fn follow(&mut self, object: &Object, add: bool) {
        let (network, attributes, hold): (_, &[&str], _) = match object.entity {
            "containerinterface" | "vminterface" | "hostinterface" => {
                (object.reference("attachedNetworkID"), &["IPAddress", "IPv6Address"], Hold::Used)
            }
            "floatingip" => (object.reference("associatedSharedNetworkResourceID"), &["address"], Hold::Used),
            "sharednetworkresource" => (Some(object.id), &["gateway"], Hold::Reserved),
            "subnet" | "l2domain" => (Some(object.id), &["gateway", "IPv6Gateway"], Hold::Reserved),
            "ipreservation" => (parent(object), &["IPAddress"], Hold::Reserved),
            "vmipreservation" => (parent(object), &["IPV4Address", "IPV6Address"], Hold::Reserved),
            "virtualip" => (object.reference("subnetID"), &["virtualIP"], Hold::Reserved),
            _ => return,
        };
        let Some(network) = network else { return };
        for attribute in attributes {
            if let Some(address) = object.text(attribute).and_then(|text| text.parse::<IpAddr>().ok()) {
                self.change((network, address.is_ipv6()), number(address), hold, add);
            }
        }
    }

    fn change(&mut self, key: (Uuid, bool), address: u128, hold: Hold, add: bool) {
        let block = self.0.entry(key).or_default();
        match (hold, add) {
            (Hold::Used, true) => drop(block.used.insert(address)),
            (Hold::Used, false) => drop(block.used.remove(&address)),
            (Hold::Reserved, true) => *block.reserved.entry(address).or_default() += 1,
            (Hold::Reserved, false) => {
                if let Some(count) = block.reserved.get_mut(&address) {
                    *count -= 1;
                    if *count == 0 {
                        block.reserved.remove(&address);
                    }
                }
            }
        }
        if add {
            block.gaps.remove(&address);
        } else if block.is_free(address) && block.was_passed(address) {
            block.gaps.insert(address);
        }
        if block.used.is_empty() && block.reserved.is_empty() {
            self.0.remove(&key);
        }
    }

    /// Whether an interface has the address.
    pub(super) fn is_used(&self, network: Uuid, address: IpAddr) -> bool {
        self.block(network, address).is_some_and(|block| block.used.contains(&number(address)))
    }

    /// Whether the address is kept from who does not ask for it.
    pub(super) fn is_reserved(&self, network: Uuid, address: IpAddr) -> bool {
        self.block(network, address).is_some_and(|block| block.reserved.contains_key(&number(address)))
    }

    fn block(&self, network: Uuid, address: IpAddr) -> Option<&Block> {
        self.0.get(&(network, address.is_ipv6()))
    }

    /// The lowest address of a range, both ends included, that is neither used nor reserved.
    pub(super) fn lowest(&mut self, network: Uuid, (first, last): (IpAddr, IpAddr)) -> Option<IpAddr> {
        let six = first.is_ipv6();
        let (first, last) = (number(first), number(last));
        let block = self.0.entry((network, six)).or_default();
        let gap = block.gaps.range(first..=last).next().copied();
        let mut next = Some(block.searched.get(&first).copied().unwrap_or(first));
        while let Some(taken) = next.filter(|next| *next <= last && !block.is_free(*next)) {
            next = taken.checked_add(1);
        }
        block.searched.insert(first, next.unwrap_or(u128::MAX));
        let found = gap.into_iter().chain(next.filter(|next| *next <= last)).min();
        found.map(|found| address(six, found))
    }
}

impl Block {
    fn is_free(&self, address: u128) -> bool {
        !self.used.contains(&address) && !self.reserved.contains_key(&address)
    }

    fn was_passed(&self, address: u128) -> bool {
        self.searched.range(..=address).any(|(_, next)| address < *next)
    }
}

fn parent(object: &Object) -> Option<Uuid> {
    object.parent.map(|(_, id)| id)
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

fn address(six: bool, number: u128) -> IpAddr {
    match u32::try_from(number) {
        Ok(number) if !six => Ipv4Addr::from(number).into(),
        _ => Ipv6Addr::from(number).into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NETWORK: Uuid = Uuid::nil();

    fn ip(last: u128) -> IpAddr {
        address(false, 0x0a00_0000 + last)
    }

    #[test]
    fn the_lowest_free_address_skips_what_is_used_or_reserved_and_comes_back_when_freed() {
        let mut addresses = Addresses::default();
        let change = |addresses: &mut Addresses, last, hold, add| {
            addresses.change((NETWORK, false), number(ip(last)), hold, add);
        };
        change(&mut addresses, 3, Hold::Reserved, true);
        let mut given = Vec::new();
        while let Some(next) = addresses.lowest(NETWORK, (ip(1), ip(6))) {
            addresses.change((NETWORK, false), number(next), Hold::Used, true);
            given.push(next);
        }
        assert_eq!(given, [1, 2, 4, 5, 6].map(ip));
        change(&mut addresses, 4, Hold::Used, false);
        change(&mut addresses, 3, Hold::Reserved, false);
        assert_eq!(addresses.lowest(NETWORK, (ip(1), ip(6))), Some(ip(3)));
        assert_eq!(addresses.lowest(NETWORK, (ip(4), ip(6))), Some(ip(4)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_answer_is_that_of_a_scan_whatever_was_taken_freed_and_asked_before(
            steps in prop::collection::vec((0..4_u8, 0..16_u128, 0..16_u128), 1..80),
        ) {
            let mut addresses = Addresses::default();
            let (mut used, mut reserved) = (BTreeSet::new(), BTreeSet::new());
            for (what, a, b) in steps {
                let key = (NETWORK, false);
                match what {
                    0 if used.insert(a) => addresses.change(key, number(ip(a)), Hold::Used, true),
                    1 if used.remove(&a) => addresses.change(key, number(ip(a)), Hold::Used, false),
                    2 if reserved.insert(a) => addresses.change(key, number(ip(a)), Hold::Reserved, true),
                    2 if reserved.remove(&a) => addresses.change(key, number(ip(a)), Hold::Reserved, false),
                    3 => {
                        let (first, last) = (a.min(b), a.max(b));
                        let free = |x: &u128| !used.contains(x) && !reserved.contains(x);
                        let expected = (first..=last).find(free).map(ip);
                        prop_assert_eq!(addresses.lowest(NETWORK, (ip(first), ip(last))), expected);
                    }
                    _ => {}
                }
            }
        }
    }
}
