//! `harness explain`: what a kind of load, fault, expectation or an invariant is, from the entry that defines it.

use serde_json::json;

use super::{HOLDS, INVALID, complain, say};
use crate::scenario::catalogue::{Entry, entries};
use crate::scenario::suggestion;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A load, fault, expectation or invariant, or "scenario" or "cluster"; everything there is if left out
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// One JSON object, for scripts
    #[arg(long)]
    json: bool,
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
        say(&format!("{} ({})\n  {}", entry.name, entry.place(), entry.about));
        for key in &entry.keys {
            say(&format!("    {:16} {}; {}", key.name, key.takes.describe(), key.otherwise()));
            say(&format!("    {:16}   {}", "", key.about));
        }
    }
    HOLDS
}

fn to_json(entry: &Entry) -> serde_json::Value {
    let keys: Vec<_> = entry
        .keys
        .iter()
        .map(|key| {
            json!({
                "name": key.name, "about": key.about, "takes": key.takes.describe(), "default": key.otherwise(),
                "needed": key.is_needed(),
            })
        })
        .collect();
    json!({"name": entry.name, "sort": entry.place(), "about": entry.about, "keys": keys})
}
