//! The JSON schema of scenarios, for editors that complete and check TOML while it is written. It is made of the catalogue
//! and holds nothing of its own; what only a whole scenario can tell, `harness check` does.

use serde_json::{Map, Value, json};

use super::catalogue::{Entry, Sort, entries};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema.
pub fn schema() -> Value {
    let entries = entries();
    let of = |sort: Sort| entries.iter().filter(move |entry| entry.sort == sort);
    let list = |sort: Sort| {
        let kinds: Vec<Value> = of(sort).map(kind).collect();
        json!({"type": "array", "items": {"oneOf": kinds}})
    };
    let mut root = of(Sort::Scenario).next().map(|entry| table(entry, false)).unwrap_or_default();
    root["$schema"] = json!(DIALECT);
    root["title"] = json!("A scenario of nuage-cni's harness");
    if let Some(cluster) = of(Sort::Cluster).next() {
        root["properties"]["cluster"] = table(cluster, false);
    }
    root["properties"]["load"] = list(Sort::Load);
    root["properties"]["load"]["minItems"] = json!(1);
    root["properties"]["fault"] = list(Sort::Fault);
    root["properties"]["expect"] = list(Sort::Expectation);
    if let Some(needed) = root["required"].as_array_mut() {
        needed.push(json!("load"));
    }
    root
}

fn kind(entry: &Entry) -> Value {
    table(entry, true)
}

fn table(entry: &Entry, has_kind: bool) -> Value {
    let mut properties: Map<String, Value> =
        entry.keys.iter().map(|key| (key.name.to_owned(), key.schema())).collect();
    let mut needed: Vec<&str> = entry.keys.iter().filter(|key| key.is_needed()).map(|key| key.name).collect();
    if has_kind {
        properties.insert("kind".to_owned(), json!({"const": entry.name, "description": entry.about}));
        needed.insert(0, "kind");
    }
    json!({
        "type": "object",
        "description": entry.about,
        "properties": properties,
        "required": needed,
        "additionalProperties": false,
    })
}
