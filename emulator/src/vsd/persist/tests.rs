//! Whatever call of the disk fails first, and whatever of the writes since the last sync it then turns out to have
//! kept: what was acknowledged is there, and what was not is there wholly or not at all.

use std::io;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;
use serde_json::{Value, json};

use super::*;
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::vsd::Vsd;
use crate::vsd::behaviour::CSPROOT;
use crate::vsd::error::Refusal;
use crate::vsd::model::Name;
use crate::vsd::store::Values;

#[derive(Clone, Debug)]
enum Write {
    Bytes(u64, Vec<u8>),
    Length(u64),
}

impl Write {
    fn apply(&self, image: &mut Vec<u8>) {
        match self {
            Self::Bytes(offset, bytes) => {
                let start = usize::try_from(*offset).unwrap();
                if image.len() < start + bytes.len() {
                    image.resize(start + bytes.len(), 0);
                }
                image[start..start + bytes.len()].copy_from_slice(bytes);
            }
            Self::Length(length) => image.resize(usize::try_from(*length).unwrap(), 0),
        }
    }
}

/// A disk that can be torn out.
#[derive(Debug, Default)]
struct Medium {
    /// What a reader sees.
    seen: Vec<u8>,
    /// What surely lasts.
    synced: Vec<u8>,
    /// What may last, since then.
    unsynced: Vec<Write>,
    /// Calls that change anything so far, and the one that fails with all that follow.
    calls: usize,
    fails: Option<usize>,
}

impl Medium {
    fn holding(image: Vec<u8>) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { seen: image.clone(), synced: image, ..Self::default() }))
    }

    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        match self.fails {
            Some(fails) if self.calls > fails => Err(io::Error::other("torn out")),
            _ => Ok(()),
        }
    }

    fn write(&mut self, write: Write) {
        write.apply(&mut self.seen);
        self.unsynced.push(write);
    }

    /// What it may hold after a crash: of the unsynced writes those whose bit is set, the last one half.
    fn image(&self, bits: u64) -> Vec<u8> {
        let mut image = self.synced.clone();
        for (number, write) in self.unsynced.iter().enumerate() {
            if bits >> (number % 64) & 1 == 1 {
                match write {
                    Write::Bytes(offset, bytes) if number + 1 == self.unsynced.len() && bits & 2 == 0 => {
                        Write::Bytes(*offset, bytes[..bytes.len() / 2].to_vec()).apply(&mut image);
                    }
                    write => write.apply(&mut image),
                }
            }
        }
        image
    }
}

#[derive(Debug)]
struct Faulty(Arc<Mutex<Medium>>);

impl StorageBackend for Faulty {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let medium = self.0.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        let found = medium.seen.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut medium = self.0.lock().unwrap();
        medium.call()?;
        medium.write(Write::Length(length));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut medium = self.0.lock().unwrap();
        medium.call()?;
        medium.synced = medium.seen.clone();
        medium.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut medium = self.0.lock().unwrap();
        let called = medium.call();
        // One that fails may have been done all the same.
        medium.write(Write::Bytes(offset, bytes.to_vec()));
        called
    }
}

fn open(medium: &Arc<Mutex<Medium>>) -> Result<Vsd, OpenError> {
    let clock = Clock::Virtual { epoch: 1_700_000_000_000, start: tokio::time::Instant::now() };
    Vsd::kept(clock, Entropy::seeded(7), Faulty(Arc::clone(medium)))
}

/// All that can be seen of a VSD.
fn state(vsd: &Vsd) -> Vec<Value> {
    let mut all: Vec<Value> = ["enterprise", "group", "user", "domaintemplate"]
        .iter()
        .flat_map(|entity| vsd.snapshot(entity))
        .collect();
    let engine = vsd.lock();
    let groups = engine.store.all("group").iter();
    all.extend(groups.map(|group| json!(format!("{:?}", engine.store.members(*group, "user")))));
    all
}

fn first(vsd: &Vsd, entity: Name, name: &str) -> Option<Uuid> {
    let attribute = if entity == "user" { "userName" } else { "name" };
    vsd.lock().store.valued(entity, attribute, name).iter().next().copied()
}

fn body(value: Value) -> Map {
    let Value::Object(body) = value else { panic!("an object") };
    body
}

type Map = serde_json::Map<String, Value>;

const STEPS: usize = 7;

/// One change of a client.
fn step(vsd: &Vsd, number: usize) -> Result<(), Refusal> {
    let enterprise = first(vsd, "enterprise", "acme");
    let (group, user) = (first(vsd, "group", "Everybody"), first(vsd, "user", "u"));
    vsd.lock().change(CSPROOT, |engine| match (number, enterprise) {
        (0, _) => engine.create("enterprise", None, &body(json!({ "name": "acme" }))).map(drop),
        (1, Some(acme)) => {
            let user = json!({ "userName": "u", "password": "p", "firstName": "u", "lastName": "u", "email": "u@x.invalid" });
            engine.create("user", Some(("enterprise", acme)), &body(user)).map(drop)
        }
        (2, Some(_)) => {
            engine.store.link(group.unwrap(), user.unwrap());
            Ok(())
        }
        (3, Some(acme)) => engine.update("enterprise", acme, &body(json!({ "description": "x".repeat(255) })), true),
        (4, Some(acme)) => {
            engine.create("domaintemplate", Some(("enterprise", acme)), &body(json!({ "name": "t" }))).map(drop)
        }
        (5, Some(acme)) => engine.delete("enterprise", acme, true),
        (_, _) => engine.create("enterprise", None, &body(json!({ "name": "after" }))).map(drop),
    })
}

#[test]
fn no_acknowledged_change_is_lost_whichever_call_of_the_disk_fails_and_none_is_there_in_part() {
    // What there is after each step, and how many calls of the disk all of it takes.
    let medium = Medium::holding(Vec::new());
    let vsd = open(&medium).unwrap();
    let mut states = vec![state(&vsd)];
    for number in 0..STEPS {
        step(&vsd, number).unwrap();
        states.push(state(&vsd));
    }
    let calls = medium.lock().unwrap().calls;
    assert!(calls > 4 * STEPS, "{calls} calls");

    for fails in 0..calls {
        let medium = Medium::holding(Vec::new());
        medium.lock().unwrap().fails = Some(fails);
        let mut acknowledged = None;
        if let Ok(vsd) = open(&medium) {
            acknowledged = Some(0);
            for number in 0..STEPS {
                let before = state(&vsd);
                match step(&vsd, number) {
                    Ok(()) => acknowledged = Some(number + 1),
                    Err(refusal) => {
                        assert_eq!(refusal.status, 503);
                        assert_eq!(state(&vsd), before, "what could not be kept is not there");
                        assert_eq!(step(&vsd, number).unwrap_err().status, 503, "nor is anything else");
                        break;
                    }
                }
            }
        }
        for bits in [0, u64::MAX, 0x5555_5555_5555_5555, 0x9249_2492_4924_9249, 0xfffe, 1] {
            let after = Medium::holding(medium.lock().unwrap().image(bits));
            let vsd = match open(&after) {
                Ok(vsd) => vsd,
                // Not even begun: a file comes into its place only when it is.
                Err(_) if acknowledged.is_none() => continue,
                Err(error) => panic!("call {fails}, {bits:x}: {error}"),
            };
            let found = state(&vsd);
            let least = acknowledged.unwrap_or(0);
            // The change after the last acknowledged one may be there: nobody was told.
            assert!(
                states.iter().skip(least).take(2).any(|state| *state == found),
                "call {fails}, {bits:x}: {acknowledged:?} was acknowledged, and something else is there"
            );
        }
    }
}

#[test]
fn what_is_kept_comes_back_with_its_indexes_members_and_numbers() {
    let medium = Medium::holding(Vec::new());
    let vsd = open(&medium).unwrap();
    for number in 0..5 {
        step(&vsd, number).unwrap();
    }
    let numbers = vsd.lock().numbers.clone();
    let before = format!("{:?}", vsd.lock().store);
    drop(vsd);
    let vsd = open(&medium).unwrap();
    assert_eq!(format!("{:?}", vsd.lock().store), before);
    assert_eq!(vsd.lock().numbers, numbers);
}

#[test]
fn what_is_something_else_is_refused_and_left_alone() {
    let nonsense = Medium::holding(vec![7; 10_000]);
    assert!(open(&nonsense).is_err());
    assert_eq!(nonsense.lock().unwrap().seen, vec![7; 10_000]);

    let later = Medium::holding(Vec::new());
    drop(open(&later).unwrap());
    let database = Database::builder().create_with_backend(Faulty(Arc::clone(&later))).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(FORMAT).unwrap().insert((), 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(open(&later).unwrap_err().to_string().contains("format 2"));
}

#[test]
fn bytes_that_are_no_object_are_told_and_never_a_panic() {
    let model = Model::load();
    let object = Object {
        id: Uuid::nil(),
        entity: "zone",
        parent: Some(("domain", Uuid::max())),
        created: 1000,
        updated: 2000,
        owner: Uuid::from_u128(3),
        updated_by: Uuid::from_u128(4),
        values: Values::from([("name", json!("z")), ("description", json!("\u{fc}"))]),
    };
    let bytes = record::write(&object);
    assert_eq!(record::read(Uuid::nil(), &bytes, &model).unwrap(), object);
    for length in 0..bytes.len() {
        record::read(Uuid::nil(), &bytes[..length], &model).unwrap_err();
    }
    let mut renamed = bytes;
    let name = renamed.windows(4).position(|part| part == b"zone").unwrap();
    renamed[name..name + 4].copy_from_slice(b"tree");
    assert!(record::read(Uuid::nil(), &renamed, &model).unwrap_err().contains("tree"));
}
