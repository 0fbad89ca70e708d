//! The tables that kubectl shows: columns and cells made by the server, as kubectl asks for them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::store::Resource;

/// Whether a client asks for tables.
pub(super) fn wanted(accept: &str) -> bool {
    accept.split(',').any(|kind| kind.contains("as=Table") && kind.contains("v=v1;"))
}

/// Objects as a table; `now` in milliseconds since 1970.
pub(super) fn table(resource: Resource, objects: &[Value], metadata: &Value, now: u64) -> Value {
    let columns: &[&str] = match resource {
        Resource::Pods => &["Name", "Ready", "Status", "Restarts", "Age", "IP", "Node"],
        Resource::Nodes => &["Name", "Status", "Roles", "Age", "Version"],
        Resource::Events => &["Last Seen", "Type", "Reason", "Object", "Message"],
        Resource::Namespaces => &["Name", "Status", "Age"],
        Resource::Services => &["Name", "Type", "Cluster-IP", "Age"],
        Resource::NetworkPolicies => &["Name", "Pod-Selector", "Age"],
    };
    let definitions: Vec<Value> = columns
        .iter()
        .map(|name| {
            let wide = matches!(*name, "IP" | "Node");
            json!({"name": name, "type": "string", "format": "", "description": "", "priority": i32::from(wide)})
        })
        .collect();
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let cells: Vec<Value> = columns.iter().map(|column| json!(cell(object, column, now))).collect();
            let metadata = json!({
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]
            });
            json!({"cells": cells, "object": metadata})
        })
        .collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": definitions, "rows": rows
    })
}

fn cell(object: &Value, column: &str, now: u64) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("<none>").to_owned();
    match column {
        "Name" => text(&object["metadata"]["name"]),
        "Status" if object["kind"] == "Node" => "Ready".to_owned(),
        "Status" => text(&object["status"]["phase"]),
        "Ready" => {
            let containers = object["spec"]["containers"].as_array().map_or(0, Vec::len);
            let ready = if object["status"]["phase"] == "Running" { containers } else { 0 };
            format!("{ready}/{containers}")
        }
        "Restarts" => "0".to_owned(),
        "IP" => text(&object["status"]["podIP"]),
        "Node" => text(&object["spec"]["nodeName"]),
        "Type" if object["kind"] == "Event" => text(&object["type"]),
        "Type" => text(&object["spec"]["type"]),
        "Cluster-IP" => text(&object["spec"]["clusterIP"]),
        "Pod-Selector" => {
            let labels = object["spec"]["podSelector"]["matchLabels"].as_object();
            let pairs = labels.into_iter().flatten().map(|(key, value)| format!("{key}={}", text(value)));
            let pairs: Vec<String> = pairs.collect();
            if pairs.is_empty() { "<none>".to_owned() } else { pairs.join(",") }
        }
        "Version" => text(&object["status"]["nodeInfo"]["kubeletVersion"]),
        "Last Seen" => age(&text(&object["lastTimestamp"]), now),
        "Reason" => text(&object["reason"]),
        "Message" => text(&object["message"]),
        "Object" => {
            let about = &object["involvedObject"];
            format!("{}/{}", text(&about["kind"]).to_lowercase(), text(&about["name"]))
        }
        "Age" => age(&text(&object["metadata"]["creationTimestamp"]), now),
        _ => "<none>".to_owned(),
    }
}

/// How long ago, as kubectl shows it.
fn age(created: &str, now: u64) -> String {
    let Ok(created) = created.parse::<Timestamp>() else { return "<unknown>".to_owned() };
    let now = i64::try_from(now / 1000).unwrap_or(i64::MAX);
    match now.saturating_sub(created.as_second()).max(0) {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds @ 7200..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}
