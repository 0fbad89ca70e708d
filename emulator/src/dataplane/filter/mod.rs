//! The packet filters of a node as data, and how to get from those that it has to others, as nftables' JSON
//! (libnftables-json(5)). Pure. A container that comes or goes changes elements of sets, never a rule.

mod base;
mod expression;
mod policy;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// The name of both tables.
const TABLE: &str = "nuage";

/// The family of a table: what a rule sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    /// Frames in a bridge.
    Bridge,
    /// Their packets.
    Inet,
}

impl Family {
    fn word(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Inet => "inet",
        }
    }
}

/// A set, or a map.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Set {
    /// `type`, and what else it is declared with.
    declaration: Map<String, Value>,
    /// Of ranges: changed as a whole.
    whole: bool,
    /// By their text.
    elements: BTreeMap<String, Value>,
}

/// A chain with its rules, each a list of expressions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Chain {
    /// Where packets enter it; nothing: by other chains.
    hook: Map<String, Value>,
    rules: Vec<Value>,
}

type Name = (Family, String);

/// All filters of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ruleset {
    sets: BTreeMap<Name, Set>,
    chains: BTreeMap<Name, Chain>,
    /// Named, so that they go on counting when the rules around them change.
    counters: BTreeSet<String>,
}

impl Ruleset {
    fn set(&mut self, family: Family, name: &str, kind: &[&str]) {
        self.declare(family, name, &json!({ "type": one_or_list(kind) }));
    }

    fn map(&mut self, family: Family, name: &str, kind: &[&str], to: &str) {
        self.declare(family, name, &json!({ "type": one_or_list(kind), "map": to }));
    }

    /// A set of ranges.
    fn ranges(&mut self, family: Family, name: &str, kind: &str) {
        self.declare(family, name, &json!({ "type": kind, "flags": ["interval"] }));
    }

    fn declare(&mut self, family: Family, name: &str, declaration: &Value) {
        let declaration = declaration.as_object().cloned().unwrap_or_default();
        let whole = declaration.contains_key("flags");
        let set = Set { declaration, whole, elements: BTreeMap::new() };
        self.sets.entry((family, name.to_owned())).or_insert(set);
    }

    fn element(&mut self, family: Family, name: &str, element: Value) {
        if let Some(set) = self.sets.get_mut(&(family, name.to_owned())) {
            set.elements.insert(element.to_string(), element);
        }
    }

    fn chain(&mut self, family: Family, name: &str, rules: Vec<Value>) {
        self.chains.insert((family, name.to_owned()), Chain { hook: Map::new(), rules });
    }

    /// A chain that packets enter at a hook, at a priority; what no rule decides goes on.
    fn hook(&mut self, family: Family, name: &str, (hook, priority): (&str, i32), rules: Vec<Value>) {
        let hook = json!({ "type": "filter", "hook": hook, "prio": priority, "policy": "accept" });
        let chain = Chain { hook: hook.as_object().cloned().unwrap_or_default(), rules };
        self.chains.insert((family, name.to_owned()), chain);
    }
}

fn one_or_list(kind: &[&str]) -> Value {
    match kind {
        [one] => json!(one),
        several => json!(several),
    }
}

/// The commands, one transaction, that make `want` of `have`; none where they are alike.
pub(super) fn difference(have: &Ruleset, want: &Ruleset) -> Vec<Value> {
    let mut commands = Vec::new();
    if have.chains.is_empty() {
        for family in [Family::Bridge, Family::Inet] {
            commands.push(json!({ "add": { "table": { "family": family.word(), "name": TABLE } } }));
        }
    }
    declare(have, want, &mut commands);
    elements(have, want, &mut commands);
    rules(have, want, &mut commands);
    forget(have, want, &mut commands);
    commands
}

fn named(family: Family, name: &str, more: Map<String, Value>) -> Value {
    let mut all = Map::from_iter([
        ("family".to_owned(), json!(family.word())),
        ("table".to_owned(), json!(TABLE)),
        ("name".to_owned(), json!(name)),
    ]);
    all.extend(more);
    Value::Object(all)
}

fn declare(have: &Ruleset, want: &Ruleset, commands: &mut Vec<Value>) {
    for (key @ (family, name), set) in &want.sets {
        if !have.sets.contains_key(key) {
            let kind = if set.declaration.contains_key("map") { "map" } else { "set" };
            let declared = named(*family, name, set.declaration.clone());
            commands.push(json!({ "add": { kind: declared } }));
        }
    }
    for name in want.counters.difference(&have.counters) {
        commands.push(json!({ "add": { "counter": named(Family::Inet, name, Map::new()) } }));
    }
    for (key @ (family, name), chain) in &want.chains {
        if !have.chains.contains_key(key) {
            commands.push(json!({ "add": { "chain": named(*family, name, chain.hook.clone()) } }));
        }
    }
}

/// What is to go first: an element may come back under the same key.
fn elements(have: &Ruleset, want: &Ruleset, commands: &mut Vec<Value>) {
    let nothing = BTreeMap::new();
    for (key @ (family, name), set) in &want.sets {
        let before = have.sets.get(key).map_or(&nothing, |set| &set.elements);
        if *before == set.elements {
            continue;
        }
        let missing = |from: &BTreeMap<String, Value>, other: &BTreeMap<String, Value>| -> Vec<Value> {
            let missing = from.iter().filter(|(text, _)| !other.contains_key(*text));
            missing.map(|(_, element)| element.clone()).collect()
        };
        let (gone, new) = if set.whole {
            commands.push(json!({ "flush": { "set": named(*family, name, Map::new()) } }));
            (Vec::new(), set.elements.values().cloned().collect())
        } else {
            (missing(before, &set.elements), missing(&set.elements, before))
        };
        for (verb, elements) in [("delete", gone), ("add", new)] {
            if !elements.is_empty() {
                let elements = Map::from_iter([("elem".to_owned(), Value::Array(elements))]);
                commands.push(json!({ verb: { "element": named(*family, name, elements) } }));
            }
        }
    }
}

fn rules(have: &Ruleset, want: &Ruleset, commands: &mut Vec<Value>) {
    for (key @ (family, name), chain) in &want.chains {
        let before = have.chains.get(key);
        if before.is_some_and(|before| before.rules == chain.rules) {
            continue;
        }
        if before.is_some() {
            commands.push(json!({ "flush": { "chain": named(*family, name, Map::new()) } }));
        }
        for rule in &chain.rules {
            commands.push(json!({ "add": { "rule": {
                "family": family.word(), "table": TABLE, "chain": name, "expr": rule,
            } } }));
        }
    }
}

/// Chains refer to each other and to sets and counters: all are emptied before the first one goes.
fn forget(have: &Ruleset, want: &Ruleset, commands: &mut Vec<Value>) {
    let gone: Vec<&Name> = have.chains.keys().filter(|key| !want.chains.contains_key(*key)).collect();
    for verb in ["flush", "delete"] {
        for (family, name) in &gone {
            commands.push(json!({ verb: { "chain": named(*family, name, Map::new()) } }));
        }
    }
    for (key @ (family, name), set) in &have.sets {
        if !want.sets.contains_key(key) {
            let kind = if set.declaration.contains_key("map") { "map" } else { "set" };
            commands.push(json!({ "delete": { kind: named(*family, name, Map::new()) } }));
        }
    }
    for name in have.counters.difference(&want.counters) {
        commands.push(json!({ "delete": { "counter": named(Family::Inet, name, Map::new()) } }));
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::dataplane::mac::Mac;

    fn with(ports: &[&str]) -> Ruleset {
        let mut all = Ruleset::base();
        all.subnet(5, Some((7, &["10.0.0.1/24".parse().unwrap()])));
        for (nth, port) in (2..).zip(ports) {
            all.port(port, Mac([2, 0, 0, 0, 0, nth]), &BTreeSet::from([IpAddr::from([10, 0, 0, nth])]));
        }
        all
    }

    fn words(commands: &[Value]) -> Vec<String> {
        let word = |command: &Value| {
            let (verb, what) = command.as_object().unwrap().iter().next().unwrap();
            format!("{verb} {}", what.as_object().unwrap().keys().next().unwrap())
        };
        commands.iter().map(word).collect()
    }

    #[test]
    fn a_container_that_comes_or_goes_changes_elements_of_sets_and_nothing_else() {
        let (one, two) = (with(&["a"]), with(&["a", "b"]));
        assert_eq!(words(&difference(&one, &two)), ["add element"; 3]);
        assert_eq!(words(&difference(&two, &one)), ["delete element"; 3]);
        assert!(difference(&two, &two.clone()).is_empty());
    }

    #[test]
    fn the_first_filters_are_declared_before_they_are_named() {
        let words = words(&difference(&Ruleset::default(), &with(&["a"])));
        let last = |word: &str| words.iter().rposition(|one| one == word).unwrap();
        let first = |word: &str| words.iter().position(|one| one == word).unwrap();
        assert_eq!(words[..2], ["add table", "add table"]);
        for declared in ["add set", "add map", "add chain"] {
            assert!(
                last(declared) < first("add rule") && last(declared) < first("add element"),
                "{declared}"
            );
        }
    }

    #[test]
    fn what_goes_is_emptied_before_it_is_removed_and_outlives_what_names_it() {
        let words = words(&difference(&with(&["a"]), &Ruleset::base()));
        assert_eq!(words[words.len() - 2..], ["flush chain", "delete chain"]);
        assert!(words[..words.len() - 2].iter().all(|word| word == "delete element"), "{words:?}");
    }
}
