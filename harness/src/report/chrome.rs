//! A timeline as the trace files that Perfetto (ui.perfetto.dev) and <chrome://tracing> open, and back: a process a group, a
//! thread a lane's row. What is read is what was written; anything else is refused, never guessed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::timeline::{Band, GROUPS, Item, KINDS, Kind, Lane, MAX_ROWS, Timeline};

/// What a file of this form says it is.
const SCHEMA: &str = "nuage-harness/trace/1";
/// Faults and the number of addresses are shown first.
const RUN: u64 = 1;
const RUN_NAME: &str = "faults";
const FIRST_GROUP: u64 = 2;
const COUNTER: &str = "addresses in use";

/// The file's text: one event a line.
pub fn document(timeline: &Timeline) -> String {
    let mut events = names(timeline);
    let threads = fault_threads(timeline);
    events.extend(timeline.bands.iter().map(|band| {
        let thread = threads[&(band.fault.as_str(), band.node.as_str())];
        json!({
            "ph": "X", "cat": "fault", "name": band.fault, "ts": band.begin, "dur": band.end - band.begin,
            "pid": RUN, "tid": thread, "args": {"node": band.node}
        })
    }));
    events.extend(timeline.addresses.iter().map(|(time, count)| {
        json!({"ph": "C", "name": COUNTER, "ts": time, "pid": RUN, "args": {"addresses": count}})
    }));
    if let Some((time, invariant)) = &timeline.violation {
        let name = format!("{invariant} violated");
        events.push(
            json!({"ph": "i", "s": "g", "cat": "violation", "name": name, "ts": time, "pid": RUN, "tid": 0,
            "args": {"invariant": invariant}}),
        );
    }
    events.extend(timeline.items.iter().map(|item| item_event(timeline, item)));
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    let about = json!({
        "schema": SCHEMA, "scenario": timeline.scenario, "seed": timeline.seed.to_string(), "end": timeline.end,
        "left_out": timeline.left_out
    });
    format!(
        "{{\"displayTimeUnit\":\"ms\",\"otherData\":{about},\"traceEvents\":[\n{}\n]}}\n",
        lines.join(",\n")
    )
}

fn item_event(timeline: &Timeline, item: &Item) -> Value {
    let mut event = json!({
        "cat": name_of(&KINDS, item.kind), "name": item.what, "ts": item.begin, "pid": process(timeline, item.lane),
        "tid": thread(item.lane, item.row), "args": {"detail": item.detail, "trouble": item.trouble}
    });
    if item.kind == Kind::Mark && item.begin == item.end {
        event["ph"] = json!("i");
        event["s"] = json!("t");
    } else {
        event["ph"] = json!("X");
        event["dur"] = json!(item.end - item.begin);
    }
    event
}

/// The names of processes and threads, and the order in which they are shown.
fn names(timeline: &Timeline) -> Vec<Value> {
    let meta = |name: &str, pid: u64, tid: u64, args: Value| json!({"ph": "M", "name": name, "pid": pid, "tid": tid, "args": args});
    let mut events = vec![meta("process_name", RUN, 0, json!({"name": RUN_NAME}))];
    for (number, (_, name)) in (FIRST_GROUP..).zip(GROUPS) {
        events.push(meta("process_name", number, 0, json!({"name": name})));
    }
    for pid in RUN..FIRST_GROUP + GROUPS.len() as u64 {
        events.push(meta("process_sort_index", pid, 0, json!({"sort_index": pid})));
    }
    for ((fault, node), thread) in fault_threads(timeline) {
        events.push(meta("thread_name", RUN, thread, json!({"name": format!("{fault} {node}").trim_end()})));
    }
    let mut rows: BTreeMap<usize, u32> = (0..timeline.lanes.len()).map(|lane| (lane, 0)).collect();
    for item in &timeline.items {
        let deepest = rows.entry(item.lane).or_default();
        *deepest = item.row.max(*deepest);
    }
    for (lane, deepest) in rows {
        let Some(Lane { name, .. }) = timeline.lanes.get(lane) else { continue };
        for row in 0..=deepest {
            let (pid, tid) = (process(timeline, lane), thread(lane, row));
            events.push(meta("thread_name", pid, tid, json!({"name": name, "row": row})));
            events.push(meta("thread_sort_index", pid, tid, json!({"sort_index": tid})));
        }
    }
    events
}

/// The threads of faults, by name and node.
fn fault_threads(timeline: &Timeline) -> BTreeMap<(&str, &str), u64> {
    let mut threads: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for band in &timeline.bands {
        threads.insert((&band.fault, &band.node), 0);
    }
    threads.values_mut().zip(1..).for_each(|(thread, number)| *thread = number);
    threads
}

fn process(timeline: &Timeline, lane: usize) -> u64 {
    let group = timeline.lanes.get(lane).map(|lane| lane.group);
    let number = GROUPS.iter().position(|(known, _)| Some(*known) == group).unwrap_or_default();
    FIRST_GROUP + number as u64
}

fn thread(lane: usize, row: u32) -> u64 {
    lane as u64 * u64::from(MAX_ROWS) + u64::from(row) + 1
}

fn name_of<T: Copy + PartialEq>(names: &[(T, &'static str)], what: T) -> &'static str {
    names.iter().find(|(known, _)| *known == what).map_or("", |(_, name)| name)
}

/// Reads a file that [`document`] has made.
///
/// # Errors
/// What is wrong with it.
pub fn read(text: &str) -> Result<Timeline, String> {
    let document: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let about = &document["otherData"];
    if about["schema"] != SCHEMA {
        return Err(format!("no trace of this harness: its schema is {}, not {SCHEMA:?}", about["schema"]));
    }
    let number = |value: &Value| value.as_u64().ok_or_else(|| format!("{value} is no number"));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut timeline = Timeline {
        scenario: text(&about["scenario"]),
        seed: text(&about["seed"]).parse().map_err(|_| "no seed".to_owned())?,
        end: number(&about["end"])?,
        left_out: number(&about["left_out"])?,
        ..Timeline::default()
    };
    for event in document["traceEvents"].as_array().into_iter().flatten() {
        let phase = event["ph"].as_str().unwrap_or_default();
        if phase == "M" {
            if event["name"] == "thread_name" && event["args"]["row"] == 0 {
                lane(&mut timeline, event)?;
            }
            continue;
        }
        let begin = number(&event["ts"])?;
        let end = begin.saturating_add(event["dur"].as_u64().unwrap_or_default());
        match (phase, event["cat"].as_str().unwrap_or_default()) {
            ("C", _) => timeline.addresses.push((begin, number(&event["args"]["addresses"])?)),
            ("i", "violation") => timeline.violation = Some((begin, text(&event["args"]["invariant"]))),
            ("X", "fault") => {
                let (fault, node) = (text(&event["name"]), text(&event["args"]["node"]));
                timeline.bands.push(Band { fault, node, begin, end });
            }
            (_, kind) => {
                let kind = KINDS.iter().find(|(_, name)| *name == kind);
                let (kind, _) = kind.ok_or_else(|| format!("{} is no kind of event", event["cat"]))?;
                let thread = number(&event["tid"])?.checked_sub(1).ok_or("an event of no lane")?;
                let lane = usize::try_from(thread / u64::from(MAX_ROWS)).unwrap_or(usize::MAX);
                if lane >= timeline.lanes.len() {
                    return Err(format!("an event of lane {lane}, which there is not"));
                }
                timeline.items.push(Item {
                    lane,
                    row: u32::try_from(thread % u64::from(MAX_ROWS)).unwrap_or_default(),
                    kind: *kind,
                    what: text(&event["name"]),
                    detail: text(&event["args"]["detail"]),
                    trouble: event["args"]["trouble"] == true,
                    begin,
                    end,
                });
            }
        }
    }
    Ok(timeline)
}

/// The next lane, as the name of its first row tells it.
fn lane(timeline: &mut Timeline, event: &Value) -> Result<(), String> {
    let group = event["pid"].as_u64().and_then(|pid| pid.checked_sub(FIRST_GROUP));
    let group = group.and_then(|group| GROUPS.get(usize::try_from(group).ok()?));
    let (group, _) = group.ok_or_else(|| format!("a lane of process {}", event["pid"]))?;
    if event["tid"].as_u64() != Some(thread(timeline.lanes.len(), 0)) {
        return Err(format!("a lane out of order: {}", event["tid"]));
    }
    let name = event["args"]["name"].as_str().unwrap_or_default().to_owned();
    timeline.lanes.push(Lane { group: *group, name });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::one;
    use super::super::timeline::Group;
    use super::*;

    fn restarted() -> Timeline {
        let more = "hold = \"20s\"\n[[fault]]\nkind = \"vrs.restart\"\nat = \"5s\"\nfor = \"2s\"\n";
        Timeline::of(&one(more, 1).0)
    }

    #[test]
    fn a_timeline_that_is_written_and_read_again_is_the_same() {
        let mut timeline = restarted();
        assert_eq!(read(&document(&timeline)).unwrap(), timeline);
        timeline.violation = Some((7, "x".to_owned()));
        timeline.items[0].what = "\"\\</script>\u{202e}\n".to_owned();
        assert_eq!(read(&document(&timeline)).unwrap(), timeline);
    }

    /// The trace event format: what a viewer needs of each phase, times that nest in each thread, a name for each thread.
    #[test]
    fn a_trace_has_what_the_trace_event_format_wants() {
        let document: Value = serde_json::from_str(&document(&restarted())).unwrap();
        let events = document["traceEvents"].as_array().unwrap();
        let mut named = std::collections::BTreeSet::new();
        let mut ends: BTreeMap<(u64, u64), u64> = BTreeMap::new();
        let mut phases = std::collections::BTreeSet::new();
        for event in events {
            let phase = event["ph"].as_str().unwrap();
            phases.insert(phase);
            assert!(event["name"].is_string() && event["pid"].is_u64(), "{event}");
            if phase == "M" {
                named.insert((event["pid"].as_u64().unwrap(), event["tid"].as_u64().unwrap()));
                continue;
            }
            assert!(event["ts"].is_u64(), "{event}");
            if phase == "X" {
                let place = (event["pid"].as_u64().unwrap(), event["tid"].as_u64().unwrap());
                let (begin, length) = (event["ts"].as_u64().unwrap(), event["dur"].as_u64().unwrap());
                assert!(named.contains(&place), "{event}");
                let before = ends.insert(place, begin + length).unwrap_or_default();
                assert!(before <= begin, "overlaps in its thread: {event}");
            }
            if phase == "i" {
                assert!(["t", "g"].contains(&event["s"].as_str().unwrap()), "{event}");
            }
        }
        assert_eq!(phases.into_iter().collect::<Vec<_>>(), ["C", "M", "X", "i"]);
    }

    #[test]
    fn what_is_no_trace_of_ours_is_refused() {
        for text in ["", "{}", "{\"otherData\":{\"schema\":\"nuage-harness/trace/1\"}}"] {
            assert!(read(text).is_err(), "{text}");
        }
        let mut timeline = restarted();
        timeline.lanes.push(Lane { group: Group::Pods, name: "x".to_owned() });
        let whole = document(&timeline);
        assert!(read(&whole.replace("\"cat\":\"ADD\"", "\"cat\":\"other\"")).is_err());
        assert!(read(&whole.replace("\"pid\":4", "\"pid\":9")).is_err());
    }
}
