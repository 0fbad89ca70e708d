//! Which addresses of which subnet are taken: a secondary index of the store, kept from the interfaces it
//! holds, so that it can never disagree with them. Never decides who gets an address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use uuid::Uuid;

#[derive(Debug, Default)]
pub(super) struct Addresses(BTreeMap<Uuid, Subnet>);

#[derive(Debug, Default)]
struct Subnet {
    taken: BTreeSet<u32>,
    /// No address below this one that was ever asked about is free: a search starts here, so that filling a
    /// large subnet does not scan it once for each address.
    none_free_below: u32,
}

impl Addresses {
    pub(super) fn take(&mut self, subnet: Uuid, address: Ipv4Addr) {
        self.0.entry(subnet).or_default().taken.insert(address.into());
    }

    pub(super) fn free(&mut self, subnet: Uuid, address: Ipv4Addr) {
        let address = u32::from(address);
        if let Some(block) = self.0.get_mut(&subnet) {
            block.taken.remove(&address);
            block.none_free_below = block.none_free_below.min(address);
            if block.taken.is_empty() {
                self.0.remove(&subnet);
            }
        }
    }

    pub(super) fn is_taken(&self, subnet: Uuid, address: Ipv4Addr) -> bool {
        self.0.get(&subnet).is_some_and(|block| block.taken.contains(&address.into()))
    }

    /// The lowest free address of `first..=last` but `gateway`.
    pub(super) fn lowest(
        &mut self,
        subnet: Uuid,
        (first, last): (Ipv4Addr, Ipv4Addr),
        gateway: Ipv4Addr,
    ) -> Option<Ipv4Addr> {
        let block = self.0.entry(subnet).or_default();
        let mut candidate = u32::from(first).max(block.none_free_below);
        for taken in block.taken.range(candidate..).copied().chain(std::iter::once(u32::MAX)) {
            while candidate < taken && candidate <= u32::from(last) {
                if candidate != u32::from(gateway) {
                    block.none_free_below = candidate;
                    return Some(candidate.into());
                }
                candidate += 1;
            }
            candidate = candidate.max(taken.saturating_add(1));
            if candidate > u32::from(last) {
                break;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_address_skips_the_gateway_and_what_is_taken_and_comes_back_when_freed() {
        let (mut addresses, subnet) = (Addresses::default(), Uuid::nil());
        let address = |last| Ipv4Addr::new(10, 0, 0, last);
        let range = (address(1), address(6));
        let mut given = Vec::new();
        while let Some(next) = addresses.lowest(subnet, range, address(3)) {
            addresses.take(subnet, next);
            given.push(next);
        }
        assert_eq!(given, [1, 2, 4, 5, 6].map(address));
        addresses.free(subnet, address(4));
        addresses.free(subnet, address(2));
        assert_eq!(addresses.lowest(subnet, range, address(3)), Some(address(2)));
    }
}
