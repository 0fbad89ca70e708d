//! `harness explain`: what a kind of load, fault, expectation or an invariant is, from the entry that defines it.

use serde_json::json;

use super::{HOLDS, INVALID, complain, say};
use crate::scenario::registry::Kind;
use crate::scenario::{Cluster, Key, keys_of, suggestion};
use crate::{expect, fault, invariant, load};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A load, fault, expectation or invariant; everything there is if left out
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// One JSON object, for scripts
    #[arg(long)]
    json: bool,
}

/// What can be explained.
struct Entry {
    sort: &'static str,
    name: &'static str,
    about: String,
    keys: Vec<Key>,
}

fn entries() -> Vec<Entry> {
    let cluster = Entry {
        sort: "[cluster]",
        name: "cluster",
        about: "What is simulated.".to_owned(),
        keys: keys_of(Cluster::read),
    };
    let invariants = invariant::ALL.iter().map(|invariant| Entry {
        sort: "invariant, checked after every event",
        name: invariant.name,
        about: invariant.meaning.to_owned(),
        keys: Vec::new(),
    });
    let mut entries = vec![cluster];
    entries.extend(kinds("[[load]]", load::KINDS));
    entries.extend(kinds("[[fault]]", fault::KINDS));
    entries.extend(kinds("[[expect]]", expect::KINDS));
    entries.extend(invariants);
    entries
}

fn kinds<T: ?Sized>(sort: &'static str, kinds: &'static [Kind<T>]) -> impl Iterator<Item = Entry> {
    kinds.iter().map(move |kind| Entry {
        sort,
        name: kind.name,
        about: kind.about.to_owned(),
        keys: kind.keys(),
    })
}

pub(super) fn run(arguments: &Arguments) -> u8 {
    let entries = entries();
    let wanted: Vec<&Entry> = match &arguments.name {
        Some(name) => entries.iter().filter(|entry| entry.name == name).collect(),
        None => entries.iter().collect(),
    };
    if let (Some(name), true) = (&arguments.name, wanted.is_empty()) {
        let hint = suggestion(name, entries.iter().map(|entry| entry.name));
        complain(&format!("nothing is called \"{name}\"{hint}"));
        return INVALID;
    }
    if arguments.json {
        let list: Vec<_> = wanted.iter().map(|entry| to_json(entry)).collect();
        say(&format!("{:#}", json!({ "entries": list })));
        return HOLDS;
    }
    for entry in wanted {
        say(&format!("{} ({})\n  {}", entry.name, entry.sort, entry.about));
        for key in &entry.keys {
            let default =
                key.default.as_ref().map_or("needed".to_owned(), |default| format!("default {default}"));
            say(&format!("    {:16} {}; {default}", key.name, key.takes));
        }
    }
    HOLDS
}

fn to_json(entry: &Entry) -> serde_json::Value {
    let keys: Vec<_> = entry
        .keys
        .iter()
        .map(|key| json!({"name": key.name, "takes": key.takes, "default": key.default}))
        .collect();
    json!({"name": entry.name, "sort": entry.sort, "about": entry.about, "keys": keys})
}
