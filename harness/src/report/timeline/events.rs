//! What the lines of a trace mean for a timeline. A line that means nothing special is a mark in its node's lane; none is an error.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Band, Builder, Group, Item, Kind};

/// Events that calls show better.
const SHOWN_BY_CALLS: [&str; 8] = ["add", "deleted", "del_again", "gc", "status", "check", "killed", "end"];
/// What went wrong.
const TROUBLE: [&str; 5] = ["add_failed", "del_failed", "given_up", "violation", "sandbox_died"];

/// What is open: pods that are up, by node and name, and faults that are on.
#[derive(Default)]
struct Open {
    up: BTreeMap<(String, String), (u64, String)>,
    faults: BTreeMap<(String, String), Vec<u64>>,
}

/// Reads the lines of a trace.
pub(super) fn read(builder: &mut Builder, trace: &[String]) {
    let mut open = Open::default();
    // Of several runs in one trace each begins at nought.
    let (mut base, mut last) = (0, 0);
    for line in trace {
        let event: Value = serde_json::from_str(line).unwrap_or_default();
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        let name = text("event");
        if name == "begin" && last > 0 {
            open.close_all(builder, last);
            base = last;
        }
        let time = base + event["t"].as_u64().unwrap_or_default().saturating_mul(1000);
        last = time;
        let (node, pod) = (text("node"), text("pod"));
        match name.as_str() {
            "begin" => {}
            "added" => {
                let about = format!("{} on {}", text("address"), text("port"));
                builder.changes.push((time, 1));
                open.up.insert((node, pod), (time, about));
            }
            "del" | "forgotten" | "sandbox_died" => {
                open.close(builder, &(node.clone(), pod.clone()), time);
                if name != "del" {
                    builder.put_pod(&pod, mark(&event, &name, time));
                }
            }
            "power_off" => {
                let there: Vec<_> = open.up.keys().filter(|(up, _)| *up == node).cloned().collect();
                for key in &there {
                    open.close(builder, key, time);
                }
                builder.put_runtime(&node, mark(&event, &name, time));
            }
            "fault" => open.faults.entry((text("fault"), node)).or_default().push(time),
            "fault_over" => open.fault_over(builder, (text("fault"), node), time),
            "audit_killed" => {
                builder.put(Group::Components, 6, &format!("audit {node}"), mark(&event, &name, time));
            }
            known if SHOWN_BY_CALLS.contains(&known) => {}
            _ if !pod.is_empty() => builder.put_pod(&pod, mark(&event, &name, time)),
            _ if !node.is_empty() => builder.put_runtime(&node, mark(&event, &name, time)),
            _ => builder.put(Group::Components, 0, "run", mark(&event, &name, time)),
        }
    }
    open.close_all(builder, last);
}

fn mark(event: &Value, name: &str, time: u64) -> Item {
    let told = event.as_object().into_iter().flatten();
    let told = told.filter(|(key, value)| !matches!(key.as_str(), "t" | "event" | "pod") && !value.is_null());
    let told: Vec<String> = told
        .map(|(key, value)| {
            format!("{key} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        })
        .collect();
    Item {
        lane: 0,
        row: 0,
        kind: Kind::Mark,
        what: name.replace('_', " "),
        detail: told.join(", "),
        trouble: TROUBLE.contains(&name),
        begin: time,
        end: time,
    }
}

impl Open {
    fn close(&mut self, builder: &mut Builder, key: &(String, String), time: u64) {
        let Some((begin, about)) = self.up.remove(key) else { return };
        builder.changes.push((time, -1));
        let (node, pod) = key;
        builder.put_pod(
            pod,
            Item {
                lane: 0,
                row: 0,
                kind: Kind::Up,
                what: "up".to_owned(),
                detail: format!("{about}, {node}"),
                trouble: false,
                begin,
                end: time,
            },
        );
    }

    fn fault_over(&mut self, builder: &mut Builder, (fault, node): (String, String), time: u64) {
        let key = (fault, node);
        if let Some(begin) = self.faults.get_mut(&key).and_then(Vec::pop) {
            let (fault, node) = key;
            builder.bands.push(Band { fault, node, begin, end: time });
        }
    }

    fn close_all(&mut self, builder: &mut Builder, time: u64) {
        let up: Vec<_> = self.up.keys().cloned().collect();
        for key in &up {
            self.close(builder, key, time);
        }
        for ((fault, node), begins) in std::mem::take(&mut self.faults) {
            for begin in begins {
                builder.bands.push(Band { fault: fault.clone(), node: node.clone(), begin, end: time });
            }
        }
    }
}
