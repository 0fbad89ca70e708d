//! OVSDB values and their notation (RFC 7047 section 5.1): atoms, sets and maps. Output is canonical, as the real
//! server prints it: a set of one is a bare atom, sets and maps are sorted. Never checks a constraint of a schema.
//!
//! A switch holds a hundred thousand rows of mostly scalar columns, so a value is small (24 bytes), a scalar needs no
//! allocation of its own, and a copy shares what is behind it.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::text;

/// One scalar value.
#[derive(Clone, Debug)]
pub enum Atom {
    /// A 64-bit signed integer.
    Integer(i64),
    /// A double; never NaN or infinite when it came from the wire.
    Real(f64),
    /// A boolean.
    Boolean(bool),
    /// A string.
    String(Arc<str>),
    /// A row's identifier.
    Uuid(Uuid),
}

impl Atom {
    /// A string.
    pub fn string(text: &str) -> Self {
        Self::String(Arc::from(text))
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Integer(_) => 0,
            Self::Real(_) => 1,
            Self::Boolean(_) => 2,
            Self::String(_) => 3,
            Self::Uuid(_) => 4,
        }
    }

    /// The notation of RFC 7047 `<atom>`. A real without a fraction is written as an integer, as the real server
    /// does (measured on ovsdb-server 3.1).
    pub fn to_json(&self) -> Value {
        match self {
            Self::Integer(integer) => json!(integer),
            Self::Real(real) => text::real_to_json(*real),
            Self::Boolean(boolean) => json!(boolean),
            Self::String(string) => json!(**string),
            Self::Uuid(uuid) => json!(["uuid", uuid.to_string()]),
        }
    }

    /// Appends the notation of RFC 7047 `<atom>`.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Integer(integer) => text::integer(out, *integer),
            Self::Real(real) => text::real(out, *real),
            Self::Boolean(boolean) => out.extend_from_slice(if *boolean { b"true" } else { b"false" }),
            Self::String(string) => text::string(out, string),
            Self::Uuid(uuid) => text::uuid(out, *uuid),
        }
    }
}

impl PartialEq for Atom {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Atom {}

impl PartialOrd for Atom {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Atom {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            // Both zeros are equal, as for the real server; what is no number has a place, so that this is an order.
            (Self::Real(a), Self::Real(b)) => a.partial_cmp(b).unwrap_or_else(|| a.total_cmp(b)),
            (Self::Boolean(a), Self::Boolean(b)) => a.cmp(b),
            (Self::String(a), Self::String(b)) => a.cmp(b),
            (Self::Uuid(a), Self::Uuid(b)) => a.cmp(b),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }
}

/// A pair of a map.
pub type Pair = (Atom, Atom);

/// The value of a column: a set of atoms, or a map. A scalar is a set of exactly one.
///
/// Made by [`Datum::scalar`], [`Datum::set`] and [`Datum::map`] only, which keep this true: [`Datum::Set`] never has
/// exactly one element; elements are sorted and distinct; pairs are sorted by key and keys are distinct.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Datum {
    /// A set of exactly one.
    One(Atom),
    /// Any other set.
    Set(Arc<[Atom]>),
    /// A map.
    Map(Arc<[Pair]>),
}

impl Datum {
    /// A set of exactly one atom.
    pub fn scalar(atom: Atom) -> Self {
        Self::One(atom)
    }

    /// The set of these atoms; what comes twice is in it once.
    pub fn set(mut atoms: Vec<Atom>) -> Self {
        // The stable sort merges runs that are sorted already: one more element of a large set costs no sorting.
        atoms.sort();
        atoms.dedup();
        Self::sorted_set(atoms)
    }

    fn sorted_set(mut atoms: Vec<Atom>) -> Self {
        match atoms.pop() {
            None => Self::Set(Arc::default()),
            Some(only) if atoms.is_empty() => Self::One(only),
            Some(last) => {
                atoms.push(last);
                Self::Set(atoms.into())
            }
        }
    }

    /// The map of these pairs; of a key that comes twice the first one stays.
    pub fn map(mut pairs: Vec<Pair>) -> Self {
        pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
        pairs.dedup_by(|(later, _), (kept, _)| later == kept);
        Self::sorted_map(pairs)
    }

    fn sorted_map(pairs: Vec<Pair>) -> Self {
        Self::Map(if pairs.is_empty() { Arc::default() } else { pairs.into() })
    }

    /// The elements of a set, sorted; nothing of a map.
    pub fn atoms(&self) -> &[Atom] {
        match self {
            Self::One(atom) => std::slice::from_ref(atom),
            Self::Set(atoms) => atoms,
            Self::Map(_) => &[],
        }
    }

    /// The pairs of a map, sorted by key; nothing of a set.
    pub fn pairs(&self) -> &[Pair] {
        match self {
            Self::Map(pairs) => pairs,
            Self::One(_) | Self::Set(_) => &[],
        }
    }

    /// Whether an atom is in a set.
    pub fn contains(&self, atom: &Atom) -> bool {
        self.atoms().binary_search(atom).is_ok()
    }

    /// What a map has under a key.
    pub fn get(&self, key: &Atom) -> Option<&Atom> {
        let pairs = self.pairs();
        pairs.binary_search_by(|(candidate, _)| candidate.cmp(key)).ok().map(|position| &pairs[position].1)
    }

    /// What of it passes: elements of a set are shown alone, pairs of a map with their value.
    #[must_use]
    pub fn filtered(&self, passes: impl Fn(&Atom, Option<&Atom>) -> bool) -> Self {
        match self {
            Self::One(_) | Self::Set(_) => {
                Self::sorted_set(self.atoms().iter().filter(|atom| passes(atom, None)).cloned().collect())
            }
            Self::Map(pairs) => {
                Self::sorted_map(pairs.iter().filter(|(k, v)| passes(k, Some(v))).cloned().collect())
            }
        }
    }

    /// What leads from this value to `new`, as a `modify` of an `update2` tells it: the elements that are in one of two
    /// sets; the pairs of a map that are new or changed, and those whose key is gone as they were.
    #[must_use]
    pub fn difference(&self, new: &Self) -> Self {
        if let (Self::Map(old_pairs), Self::Map(new_pairs)) = (self, new) {
            let fresh = new_pairs.iter().filter(|(key, value)| self.get(key) != Some(value));
            let gone = old_pairs.iter().filter(|(key, _)| new.get(key).is_none());
            return Self::map(fresh.chain(gone).cloned().collect());
        }
        let mut differing = Vec::new();
        self.for_each_change(new, |atom, _| differing.push(atom.clone()));
        Self::sorted_set(differing)
    }

    /// Tells each element that is in one of two sets, in order, and whether it is in `new`. Nothing is told of maps.
    pub fn for_each_change(&self, new: &Self, mut tell: impl FnMut(&Atom, bool)) {
        let (mut gone, mut fresh) = (self.atoms().iter().peekable(), new.atoms().iter().peekable());
        loop {
            let order = match (gone.peek(), fresh.peek()) {
                (Some(old), Some(new)) => old.cmp(new),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return,
            };
            let old = if order.is_le() { gone.next() } else { None };
            let new = if order.is_ge() { fresh.next() } else { None };
            match (old, new) {
                (Some(atom), None) => tell(atom, false),
                (None, Some(atom)) => tell(atom, true),
                _ => {}
            }
        }
    }

    /// The value that [`Datum::difference`] leads to.
    #[must_use]
    pub fn changed_by(&self, difference: &Self) -> Self {
        let (Self::Map(old_pairs), Self::Map(changes)) = (self, difference) else {
            return self.difference(difference);
        };
        let kept = old_pairs.iter().filter(|(key, _)| difference.get(key).is_none());
        let fresh = changes.iter().filter(|(key, value)| self.get(key) != Some(value));
        Self::map(kept.chain(fresh).cloned().collect())
    }

    /// How many elements or pairs it has.
    pub fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Set(atoms) => atoms.len(),
            Self::Map(pairs) => pairs.len(),
        }
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The canonical notation (RFC 7047 `<value>`).
    pub fn to_json(&self) -> Value {
        match self {
            Self::One(only) => only.to_json(),
            Self::Set(atoms) => json!(["set", atoms.iter().map(Atom::to_json).collect::<Vec<_>>()]),
            Self::Map(map) => {
                let pairs: Vec<Value> = map.iter().map(|(k, v)| json!([k.to_json(), v.to_json()])).collect();
                json!(["map", pairs])
            }
        }
    }

    /// Appends the canonical notation (RFC 7047 `<value>`).
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::One(only) => only.write(out),
            Self::Set(atoms) => {
                out.extend_from_slice(br#"["set",["#);
                for (position, atom) in atoms.iter().enumerate() {
                    if position > 0 {
                        out.push(b',');
                    }
                    atom.write(out);
                }
                out.extend_from_slice(b"]]");
            }
            Self::Map(pairs) => {
                out.extend_from_slice(br#"["map",["#);
                for (position, (key, value)) in pairs.iter().enumerate() {
                    out.extend_from_slice(if position > 0 { b",[" } else { b"[" });
                    key.write(out);
                    out.push(b',');
                    value.write(out);
                    out.push(b']');
                }
                out.extend_from_slice(b"]]");
            }
        }
    }
}

/// A row on the wire: column name to value in OVSDB's notation.
pub type Row = BTreeMap<String, Value>;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn atom() -> impl Strategy<Value = Atom> {
        prop_oneof![
            any::<i64>().prop_map(Atom::Integer),
            (-1e12f64..1e12).prop_map(Atom::Real),
            any::<bool>().prop_map(Atom::Boolean),
            "[a-z\"\\\\\u{1}\u{e9}\n]{0,8}".prop_map(|text| Atom::string(&text)),
            any::<u128>().prop_map(|number| Atom::Uuid(Uuid::from_u128(number))),
        ]
    }

    fn written(datum: &Datum) -> Value {
        let mut out = Vec::new();
        datum.write(&mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_value_is_small() {
        assert!(size_of::<Datum>() <= 24, "{}", size_of::<Datum>());
    }

    #[test]
    fn both_zeros_are_one_value() {
        assert_eq!(Datum::set(vec![Atom::Real(0.0), Atom::Real(-0.0)]).len(), 1);
    }

    proptest! {
        #[test]
        fn the_bytes_of_a_value_are_its_json(
            atoms in prop::collection::vec(atom(), 0..5),
            pairs in prop::collection::vec((atom(), atom()), 0..5),
        ) {
            // Reals are written with 15 digits and compared as text elsewhere.
            let exact = |atom: &Atom| !matches!(atom, Atom::Real(_));
            let set = Datum::set(atoms.into_iter().filter(exact).collect());
            prop_assert_eq!(written(&set), set.to_json());
            let map = Datum::map(pairs.into_iter().filter(|(k, v)| exact(k) && exact(v)).collect());
            prop_assert_eq!(written(&map), map.to_json());
        }

        #[test]
        fn a_difference_leads_from_one_value_to_the_other(
            old in prop::collection::btree_map(0i64..6, 0i64..3, 0..5),
            new in prop::collection::btree_map(0i64..6, 0i64..3, 0..5),
        ) {
            let map = |pairs: &BTreeMap<i64, i64>| {
                Datum::map(pairs.iter().map(|(k, v)| (Atom::Integer(*k), Atom::Integer(*v))).collect())
            };
            let set = |pairs: &BTreeMap<i64, i64>| Datum::set(pairs.keys().map(|k| Atom::Integer(*k)).collect());
            prop_assert_eq!(map(&old).changed_by(&map(&old).difference(&map(&new))), map(&new));
            prop_assert_eq!(set(&old).changed_by(&set(&old).difference(&set(&new))), set(&new));
        }

        #[test]
        fn a_set_has_each_atom_once_and_in_order(atoms in prop::collection::vec(atom(), 0..12)) {
            let set = Datum::set(atoms.clone());
            prop_assert!(set.atoms().windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(atoms.iter().all(|atom| set.contains(atom)));
            prop_assert_eq!(matches!(set, Datum::One(_)), set.len() == 1);
        }
    }
}
