//! The pods of one namespace in its subnets: who has a place where, when another subnet is wanted and which ones are not
//! wanted any more, by the two formulas of the real monitor. Pure; never talks to anybody.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::Ipv4Net;

/// Another subnet is wanted when more than this part of all places, in percent, would be taken.
const CROWDED: usize = 75;
/// Empty subnets go when less than this part of all places, in percent, is taken.
const SPARSE: usize = 25;
/// Addresses of a subnet that no pod gets: network, broadcast, gateway.
const RESERVED: usize = 3;

/// A pod: its name, and the identity that the API server gave it, as far as that is known. A pod that is made again under
/// the same name is another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pod {
    pub(super) name: String,
    pub(super) uid: Option<String>,
}

/// A subnet in the VSD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subnet {
    pub(super) id: String,
    pub(super) block: Ipv4Net,
}

impl Subnet {
    /// How many pods have room in it.
    fn room(&self) -> usize {
        let bits = u32::from(32 - self.block.prefix_len());
        1_usize.checked_shl(bits).unwrap_or(usize::MAX).saturating_sub(RESERVED)
    }
}

/// A subnet and how many pods it has.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Filled {
    subnet: Subnet,
    pods: usize,
}

/// The subnets of a namespace and the pods in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Slots {
    /// By name. The first in this order that has room is taken: `shop-10` comes before `shop-2`, as in the real one.
    subnets: BTreeMap<String, Filled>,
    pods: BTreeMap<Pod, String>,
}

impl Slots {
    /// Adds a subnet that was made, or found.
    pub(super) fn add(&mut self, name: String, subnet: Subnet) {
        self.subnets.entry(name).or_insert(Filled { subnet, pods: 0 });
    }

    pub(super) fn subnets(&self) -> impl Iterator<Item = (&str, &Subnet)> {
        self.subnets.iter().map(|(name, filled)| (name.as_str(), &filled.subnet))
    }

    /// The subnet where a pod has its place already. One whose identity was not known is taken for it.
    pub(super) fn held(&self, pod: &Pod) -> Option<&str> {
        let exact = self.pods.get(pod);
        let same = || self.named(&pod.name).find(|(known, _)| known.uid.is_none() || pod.uid.is_none());
        exact.or_else(|| same().map(|(_, subnet)| subnet)).map(String::as_str)
    }

    /// Gives a pod a place: the one that it has, or one in the first subnet with room. `None` where all are full.
    pub(super) fn take(&mut self, pod: Pod) -> Option<String> {
        if let Some(held) = self.held(&pod).map(str::to_owned) {
            let nameless = Pod { name: pod.name.clone(), uid: None };
            if pod.uid.is_some() && self.pods.remove(&nameless).is_some() {
                self.pods.insert(pod, held.clone());
            }
            return Some(held);
        }
        let name = self.subnets.iter().find(|(_, filled)| filled.pods < filled.subnet.room())?.0.clone();
        self.put(pod, &name);
        Some(name)
    }

    /// Says that a pod was found in a subnet, whether or not that has room.
    pub(super) fn put(&mut self, pod: Pod, name: &str) {
        let Some(filled) = self.subnets.get_mut(name) else { return };
        if self.pods.insert(pod, name.to_owned()).is_none() {
            filled.pods += 1;
        }
    }

    /// Takes the place of a pod of this name away: of one that is not `living`, if there is one, else of whichever.
    pub(super) fn release(&mut self, name: &str, living: Option<&str>) {
        let all: Vec<Pod> = self.named(name).map(|(pod, _)| pod.clone()).collect();
        let lives = |pod: &&Pod| living.is_some() && pod.uid.as_deref() == living;
        let gone: Vec<&Pod> = all.iter().filter(|pod| !lives(pod)).collect();
        let gone = if gone.is_empty() { all.iter().collect() } else { gone };
        for pod in gone {
            self.drop_pod(pod);
        }
    }

    /// Takes the place of exactly this pod away.
    pub(super) fn drop_pod(&mut self, pod: &Pod) {
        let filled = self.pods.remove(pod).and_then(|name| self.subnets.get_mut(&name));
        if let Some(filled) = filled {
            filled.pods -= 1;
        }
    }

    /// Whether one pod more is so many that another subnet is wanted.
    pub(super) fn crowded(&self) -> bool {
        (self.pods.len() + 1) * 100 > self.room() * CROWDED
    }

    /// Whether no subnet has room.
    pub(super) fn full(&self) -> bool {
        self.subnets.values().all(|filled| filled.pods >= filled.subnet.room())
    }

    /// Whether so few pods are there, counted before one leaves, that empty subnets may go.
    pub(super) fn sparse(&self) -> bool {
        self.subnets.len() > 1 && self.pods.len() * 100 < self.room() * SPARSE
    }

    /// Takes the empty subnets out, but never the last one.
    pub(super) fn take_empty(&mut self) -> Vec<(String, Subnet)> {
        let mut empty: Vec<String> = self
            .subnets
            .iter()
            .filter(|(_, filled)| filled.pods == 0)
            .map(|(name, _)| name.clone())
            .collect();
        if empty.len() == self.subnets.len() {
            empty.remove(0);
        }
        let taken = empty.into_iter().filter_map(|name| self.subnets.remove_entry(&name));
        taken.map(|(name, filled)| (name, filled.subnet)).collect()
    }

    /// The name of the next subnet: one more than the highest number.
    pub(super) fn next(&self, namespace: &str) -> String {
        let numbers = self.subnets.keys().filter_map(|name| number(namespace, name));
        format!("{namespace}-{}", numbers.max().map_or(0, |highest| highest.saturating_add(1)))
    }

    /// Every pod that has a place.
    pub(super) fn pods(&self) -> BTreeSet<Pod> {
        self.pods.keys().cloned().collect()
    }

    fn room(&self) -> usize {
        self.subnets.values().map(|filled| filled.subnet.room()).sum()
    }

    fn named(&self, name: &str) -> impl Iterator<Item = (&Pod, &String)> {
        let first = Pod { name: name.to_owned(), uid: None };
        self.pods.range(first..).take_while(move |(pod, _)| pod.name == name)
    }
}

/// The number of a namespace's subnet: what follows the namespace and a dash.
pub(super) fn number(namespace: &str, subnet: &str) -> Option<u32> {
    subnet.strip_prefix(namespace)?.strip_prefix('-')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn subnet(number: u8) -> Subnet {
        Subnet { id: number.to_string(), block: format!("10.0.{number}.0/28").parse().unwrap() }
    }

    fn pod(name: &str, uid: &str) -> Pod {
        Pod { name: name.to_owned(), uid: (!uid.is_empty()).then(|| uid.to_owned()) }
    }

    /// A namespace with so many subnets of 13 places.
    fn slots(subnets: u8) -> Slots {
        let mut slots = Slots::default();
        for number in 0..subnets {
            slots.add(format!("shop-{number}"), subnet(number));
        }
        slots
    }

    #[test]
    fn the_first_subnet_with_room_is_taken_in_the_order_of_names_and_not_of_numbers() {
        let mut slots = slots(11);
        let taken = |slots: &mut Slots, from: u32| {
            (from..from + 13).map(|n| slots.take(pod(&n.to_string(), "")).unwrap()).collect::<BTreeSet<_>>()
        };
        for (number, name) in ["shop-0", "shop-1", "shop-10", "shop-2"].into_iter().enumerate() {
            let from = 13 * u32::try_from(number).unwrap();
            assert_eq!(taken(&mut slots, from), BTreeSet::from([name.to_owned()]));
        }
    }

    #[test]
    fn another_subnet_is_wanted_above_three_quarters_and_empty_ones_go_below_one() {
        let mut slots = slots(1);
        // 10 of 13 are 77 percent: the tenth is the one too many.
        for number in 0..9 {
            assert!(!slots.crowded(), "{number}");
            slots.take(pod(&number.to_string(), ""));
        }
        assert!(slots.crowded());
        assert!(!slots.sparse(), "one subnet never goes");
        slots.add("shop-1".to_owned(), subnet(1));
        assert!(!slots.crowded() && !slots.sparse());
        // 7 of 26 are 27 percent, 6 are 23.
        for number in 0..2 {
            slots.release(&number.to_string(), None);
        }
        assert!(!slots.sparse());
        slots.release("2", None);
        assert!(slots.sparse());
        assert_eq!(slots.take_empty(), [("shop-1".to_owned(), subnet(1))]);
        assert_eq!(slots.take_empty(), []);
    }

    #[test]
    fn the_last_subnet_stays_though_all_are_empty() {
        let mut slots = slots(3);
        let names: Vec<String> = slots.take_empty().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["shop-1", "shop-2"]);
        assert_eq!(slots.next("shop"), "shop-1");
        assert_eq!(Slots::default().next("shop"), "shop-0");
    }

    #[test]
    fn a_pod_that_asks_again_keeps_its_place_and_one_of_the_same_name_gets_its_own() {
        let mut slots = slots(1);
        slots.take(pod("web-0", "a"));
        slots.take(pod("web-0", "a"));
        assert_eq!(slots.pods().len(), 1);
        slots.take(pod("web-0", "b"));
        assert_eq!(slots.pods().len(), 2, "made again while the old one is still there");
        slots.release("web-0", Some("b"));
        assert_eq!(slots.pods(), BTreeSet::from([pod("web-0", "b")]), "the old one's DEL comes late");
        slots.release("web-0", Some("b"));
        assert_eq!(slots.pods(), BTreeSet::new());
        slots.take(pod("web-0", ""));
        slots.take(pod("web-0", "c"));
        assert_eq!(slots.pods(), BTreeSet::from([pod("web-0", "c")]), "its identity was not known at first");
    }

    proptest! {
        #[test]
        fn what_is_counted_is_what_is_there_whatever_comes_and_goes(
            steps in prop::collection::vec((0_u8..4, 0_u8..40, 0_u8..3), 0..300)
        ) {
            let mut slots = slots(2);
            let mut naive: BTreeMap<Pod, String> = BTreeMap::new();
            for (what, name, uid) in steps {
                let one = pod(&name.to_string(), &(uid + 1).to_string());
                match what {
                    0 | 1 => {
                        let taken = slots.take(one.clone());
                        if let Some(name) = taken {
                            prop_assert_eq!(naive.entry(one).or_insert_with(|| name.clone()), &name);
                        } else {
                            prop_assert!(slots.full());
                        }
                    }
                    2 => {
                        slots.drop_pod(&one);
                        naive.remove(&one);
                    }
                    _ => {
                        let named: Vec<Pod> = naive.keys().filter(|pod| pod.name == one.name).cloned().collect();
                        let gone: Vec<Pod> = named.iter().filter(|pod| **pod != one).cloned().collect();
                        for pod in if gone.is_empty() { named } else { gone } {
                            naive.remove(&pod);
                        }
                        slots.release(&one.name, one.uid.as_deref());
                    }
                }
                prop_assert_eq!(slots.pods(), naive.keys().cloned().collect::<BTreeSet<_>>());
                for (name, filled) in &slots.subnets {
                    let there = naive.values().filter(|subnet| *subnet == name).count();
                    prop_assert_eq!(filled.pods, there);
                    prop_assert!(there <= filled.subnet.room());
                }
            }
        }
    }
}
