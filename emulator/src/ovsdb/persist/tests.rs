//! What a database file keeps: through torn tails, failing media and compaction. Peers that read it are in `emulator/tests`.

use std::io;
use std::sync::{Arc, Mutex};

use nuage_ovsdb::schema::DatabaseSchema;
use serde_json::{Value, json};

use super::super::Server;
use super::*;
use crate::entropy::Entropy;

/// A disk and what the system still holds in memory. Shared, so that it outlives the server that uses it.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<Platter>>);

#[derive(Default)]
struct Platter {
    /// What the system shows of the file.
    cache: Vec<u8>,
    /// Which bytes of it a sync would still write.
    dirty: Vec<bool>,
    /// What a power failure leaves.
    disk: Vec<u8>,
    calls: usize,
    /// Which call fails.
    failing: Option<usize>,
}

impl Platter {
    /// Counts a call; true if it is to fail.
    fn call(&mut self) -> bool {
        self.calls += 1;
        self.failing == Some(self.calls)
    }

    fn write(&mut self, bytes: &[u8]) {
        self.cache.extend_from_slice(bytes);
        self.dirty.resize(self.cache.len(), true);
    }
}

fn broken() -> io::Error {
    io::Error::other("the disk is broken")
}

impl Disk {
    fn of(bytes: &[u8]) -> Self {
        let disk = Self::default();
        disk.0.lock().unwrap().write(bytes);
        disk.0.lock().unwrap().disk = bytes.to_vec();
        disk
    }

    fn failing_at(call: usize) -> Self {
        let disk = Self::default();
        disk.0.lock().unwrap().failing = Some(call);
        disk
    }

    fn content(&self) -> Vec<u8> {
        self.0.lock().unwrap().cache.clone()
    }

    fn after_power_failure(&self) -> Self {
        Self::of(&self.0.lock().unwrap().disk)
    }
}

impl Medium for Disk {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.content())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut platter = self.0.lock().unwrap();
        let fails = platter.call();
        platter.write(&bytes[..if fails { bytes.len() / 2 } else { bytes.len() }]);
        if fails { Err(broken()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut platter = self.0.lock().unwrap();
        let fails = platter.call();
        let Platter { cache, dirty, disk, .. } = &mut *platter;
        // A system that could not write forgets that it had to: the next sync will not try those bytes again.
        if !fails {
            disk.resize(cache.len(), 0);
            for (position, _) in dirty.iter().enumerate().filter(|(_, dirty)| **dirty) {
                disk[position] = cache[position];
            }
        }
        dirty.fill(false);
        if fails { Err(broken()) } else { Ok(()) }
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut platter = self.0.lock().unwrap();
        if platter.call() {
            return Err(broken());
        }
        let length = usize::try_from(length).unwrap();
        platter.cache.truncate(length);
        platter.dirty.truncate(length);
        Ok(())
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut platter = self.0.lock().unwrap();
        if platter.call() {
            return Err(broken());
        }
        platter.cache = bytes.to_vec();
        platter.dirty = vec![false; bytes.len()];
        platter.disk = bytes.to_vec();
        Ok(())
    }
}

fn schema() -> DatabaseSchema {
    let json = json!({"name": "T", "version": "1.0.0", "tables": {
        "rows": {"isRoot": true, "columns": {
            "name": {"type": "string"}, "number": {"type": "integer"}, "fleeting": {"type": "string", "ephemeral": true},
            "tags": {"type": {"key": "string", "min": 0, "max": "unlimited"}},
            "words": {"type": {"key": "string", "value": "string", "min": 0, "max": "unlimited"}},
            "kid": {"type": {"key": {"type": "uuid", "refTable": "kids"}, "min": 0, "max": 1}}
        }},
        "kids": {"columns": {"number": {"type": "integer"}}}
    }});
    DatabaseSchema::from_json(&json).unwrap()
}

fn server(disk: &Disk) -> Result<Server, OpenError> {
    // Another run makes other identifiers.
    let seed = disk.content().len() as u64;
    let server = Server::new(vec![schema()], Entropy::seeded(seed)).unwrap();
    server.persist("T", Box::new(disk.clone()), Clock::System)?;
    Ok(server)
}

fn insert(name: &str, durable: bool) -> Vec<Value> {
    vec![
        json!({"op": "insert", "table": "rows", "row": {
            "name": name, "fleeting": "gone", "tags": ["set", ["a", name]], "words": ["map", [["k", name]]]
        }}),
        json!({"op": "commit", "durable": durable}),
    ]
}

fn accepted(results: &[Value]) -> bool {
    results.iter().all(|result| result.get("error").is_none())
}

/// All rows but for their versions, which are no part of the file.
fn rows(server: &Server) -> Vec<Value> {
    let table = |name: &str| {
        let rows = server.rows("T", name).into_iter();
        rows.map(|(_, mut row)| {
            row.remove("_version");
            json!(row)
        })
        .collect::<Vec<Value>>()
    };
    [table("rows"), table("kids")].concat()
}

fn names(server: &Server) -> Vec<String> {
    let rows = server.rows("T", "rows").into_iter();
    let mut names: Vec<String> =
        rows.filter_map(|(_, row)| row["name"].as_str().map(str::to_owned)).collect();
    names.sort();
    names
}

/// Inserts, changes of every kind, a reference, a deletion.
fn story() -> Vec<Vec<Value>> {
    let first = json!([["name", "==", "one"]]);
    vec![
        insert("one", false),
        vec![
            json!({"op": "mutate", "table": "rows", "where": first, "mutations": [
                ["tags", "delete", "a"], ["tags", "insert", ["set", ["b", "c"]]], ["number", "+=", 5],
                ["words", "insert", ["map", [["x", "y"]]]], ["words", "delete", ["set", ["k"]]]
            ]}),
            json!({"op": "comment", "comment": "first"}),
            json!({"op": "comment", "comment": "second"}),
        ],
        vec![
            json!({"op": "insert", "table": "kids", "uuid-name": "kid", "row": {"number": 7}}),
            json!({"op": "insert", "table": "rows", "row": {"name": "two", "kid": ["named-uuid", "kid"]}}),
        ],
        vec![
            json!({"op": "update", "table": "rows", "where": first, "row": {"fleeting": "only this", "number": 0}}),
        ],
        vec![json!({"op": "delete", "table": "rows", "where": first})],
    ]
}

#[test]
fn what_was_committed_is_there_again_but_for_what_is_ephemeral() {
    let disk = Disk::default();
    let before = server(&disk).unwrap();
    for operations in &story()[..4] {
        assert!(accepted(&before.transact("T", operations)));
    }
    let mut expected = rows(&before);
    let after = server(&disk).unwrap();
    assert!(expected[0]["fleeting"] == "only this" || expected[1]["fleeting"] == "only this");
    expected
        .iter_mut()
        .filter(|row| row.get("fleeting").is_some())
        .for_each(|row| row["fleeting"] = json!(""));
    assert_eq!(rows(&after), expected);
}

#[test]
fn a_commit_of_what_does_not_last_writes_nothing() {
    let disk = Disk::default();
    let server = server(&disk).unwrap();
    server.transact("T", &insert("one", false));
    let before = disk.content();
    let fleeting = json!({"op": "update", "table": "rows", "where": [], "row": {"fleeting": "x"}});
    server.transact("T", &[fleeting, json!({"op": "comment", "comment": "nothing lasts"})]);
    server.transact("T", &[json!({"op": "select", "table": "rows", "where": []})]);
    assert_eq!(disk.content(), before);
}

#[test]
fn a_file_torn_at_any_byte_tells_the_commits_that_are_whole_and_goes_on() {
    let disk = Disk::default();
    let original = server(&disk).unwrap();
    let (mut ends, mut states) = (vec![disk.content().len()], vec![Vec::new()]);
    for operations in story() {
        assert!(accepted(&original.transact("T", &operations)));
        ends.push(disk.content().len());
        states.push(rows(&original));
    }
    let content = disk.content();
    let forget = |rows: &[Value]| -> Vec<Value> {
        let mut rows = rows.to_vec();
        rows.iter_mut()
            .filter(|row| row.get("fleeting").is_some())
            .for_each(|row| row["fleeting"] = json!(""));
        rows
    };
    for cut in ends[0]..=content.len() {
        let torn = Disk::of(&content[..cut]);
        let whole = ends.iter().rposition(|end| *end <= cut).unwrap();
        let opened = server(&torn).unwrap();
        assert_eq!(rows(&opened), forget(&states[whole]), "cut at {cut}");
        assert!(accepted(&opened.transact("T", &insert("later", true))));
        let again = server(&torn.after_power_failure()).unwrap();
        assert_eq!(rows(&again).len(), states[whole].len() + 1, "cut at {cut}");
        assert!(names(&again).contains(&"later".to_owned()), "cut at {cut}");
    }
}

#[test]
fn a_file_torn_within_its_schema_is_refused_and_left_alone() {
    let disk = Disk::default();
    server(&disk).unwrap();
    let content = disk.content();
    for cut in 1..content.len() {
        let torn = Disk::of(&content[..cut]);
        assert!(matches!(server(&torn), Err(OpenError::Format(_))), "cut at {cut}");
        assert_eq!(torn.content(), &content[..cut]);
    }
    let foreign = String::from_utf8(content).unwrap().replace("\"T\"", "\"U\"");
    let json = foreign.lines().nth(1).unwrap();
    let mut bytes = Vec::new();
    record::write(&mut bytes, json.as_bytes());
    assert!(matches!(server(&Disk::of(&bytes)), Err(OpenError::Another(name)) if name == "U"));
}

#[test]
fn a_damaged_record_ends_the_story_there() {
    let disk = Disk::default();
    let original = server(&disk).unwrap();
    let mut ends = Vec::new();
    for name in ["one", "two", "three"] {
        original.transact("T", &insert(name, true));
        ends.push(disk.content().len());
    }
    let mut content = disk.content();
    content[ends[0] + 80] ^= 1;
    let damaged = Disk::of(&content);
    let opened = server(&damaged).unwrap();
    assert_eq!(names(&opened), ["one"]);
    opened.transact("T", &insert("four", true));
    assert_eq!(names(&server(&damaged.after_power_failure()).unwrap()), ["four", "one"]);
}

/// Commits until the disk has been called often enough; gives which were acknowledged, durable and at all.
fn commit_many(server: &Server) -> (Vec<String>, Vec<String>) {
    let (mut durable, mut all) = (Vec::new(), Vec::new());
    for number in 0..12 {
        let (name, is_durable) = (format!("row{number:02}"), number % 3 == 2);
        let results = server.transact("T", &insert(&name, is_durable));
        if accepted(&results) {
            all.push(name.clone());
            // A sync keeps what was written before it, too.
            if is_durable {
                durable.clone_from(&all);
            }
        } else {
            assert_eq!(results.len(), 3, "one error after the results: {results:?}");
            assert_eq!(results[2]["error"], "I/O error");
        }
    }
    (durable, all)
}

#[test]
fn no_durable_commit_that_was_acknowledged_is_lost_whichever_call_of_the_disk_fails() {
    let healthy = Disk::default();
    commit_many(&server(&healthy).unwrap());
    let calls = healthy.0.lock().unwrap().calls;
    assert!(calls > 16, "{calls}");
    for failing in 1..=calls {
        let disk = Disk::failing_at(failing);
        let Ok(server_of_it) = server(&disk) else {
            assert_eq!(failing, 1, "only the first write decides whether there is a server");
            continue;
        };
        let (durable, all) = commit_many(&server_of_it);
        assert_eq!(all.len(), 11, "only one commit is refused when call {failing} fails");
        assert_eq!(names(&server_of_it), all, "a refused commit is no part of the state");
        assert_eq!(names(&server(&disk).unwrap()), all, "the file as the system shows it, call {failing}");
        let survivors = names(&server(&disk.after_power_failure()).unwrap());
        assert!(
            durable.iter().all(|name| survivors.contains(name)),
            "{durable:?} of {survivors:?}, call {failing}"
        );
    }
}

#[test]
fn a_file_that_is_mostly_history_becomes_short() {
    let disk = Disk::default();
    let original = server(&disk).unwrap();
    original.transact("T", &insert("one", false));
    let long = "x".repeat(1 << 20);
    let mut longest = 0;
    for number in 0..16 {
        let words = json!(["map", [["long", format!("{number}{long}")]]]);
        original
            .transact("T", &[json!({"op": "update", "table": "rows", "where": [], "row": {"words": words}})]);
        longest = longest.max(disk.content().len());
    }
    assert!(longest < 12 << 20, "{longest}");
    let mut expected = rows(&original);
    expected[0]["fleeting"] = json!("");
    assert_eq!(rows(&server(&disk).unwrap()), expected);
}

#[test]
fn a_compaction_that_fails_costs_nothing_but_space() {
    let disk = Disk::default();
    let original = server(&disk).unwrap();
    let long = "x".repeat(11 << 20);
    // The schema, the insert, and then the compaction.
    disk.0.lock().unwrap().failing = Some(3);
    assert!(accepted(&original.transact("T", &insert(&long, false))));
    assert!(disk.content().len() > 11 << 20);
    assert!(accepted(&original.transact("T", &insert("two", true))));
    assert_eq!(names(&server(&disk).unwrap()).len(), 2);
}
