//! The emulated OVSDB server under requests that are wrong in any way: it never panics, answers in the shape that clients rely
//! on, and a transaction that failed has changed nothing. The same runs guided by coverage in `emulator/fuzz`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]
#![allow(dead_code, reason = "the generator has more than this test uses")]

#[path = "ovsdb_differential_generated/generator.rs"]
mod generator;
#[path = "ovsdb_differential_generated/values.rs"]
mod values;
#[path = "ovsdb_differential_generated/watched.rs"]
mod watched;

use std::time::Duration;

use generator::{Generator, Subject};
use nuage_emulator::entropy::Entropy;
use nuage_emulator::ovsdb::Server;
use nuage_emulator::vrs::{Vrs, VrsOptions};
use nuage_ovsdb::client::{Client, Limits};
use nuage_ovsdb::schema::DatabaseSchema;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use values::Dice;

const EVERYTHING: &str = include_str!("ovsdb_differential_generated/everything.ovsschema");
const PATIENCE: Duration = Duration::from_secs(30);

fn subject() -> Subject {
    let schema = DatabaseSchema::from_json(&serde_json::from_str(EVERYTHING).unwrap()).unwrap();
    Subject { schema, tables: vec!["root", "kid", "leaf", "need", "few", "pair", "strict", "maps"] }
}

/// Puts something else in one place of a request.
fn damage(dice: &Dice, value: &mut Value) {
    let inner = dice.chance(85);
    match value {
        Value::Array(items) if inner && !items.is_empty() => {
            let at = dice.below(items.len());
            damage(dice, &mut items[at]);
        }
        Value::Object(object) if inner && !object.is_empty() => {
            let at = dice.below(object.len());
            let key = object.keys().nth(at).unwrap().clone();
            match dice.below(8) {
                0 => drop(object.remove(&key)),
                1 => {
                    let value = object.remove(&key).unwrap();
                    object.insert(["op", "where", "uuid", "rows", "\u{0}"][dice.below(5)].to_owned(), value);
                }
                _ => damage(dice, &mut object[&key]),
            }
        }
        other => {
            let odd = [
                json!(null),
                json!(-1),
                json!(u64::MAX),
                json!(1e300),
                json!(""),
                json!([]),
                json!({}),
                json!(["set", []]),
                json!(["map", [[1, 2], [1, 3]]]),
                json!(["uuid", ""]),
                json!(["named-uuid", "n0"]),
                json!(["set", [[[]]]]),
                json!({"op": "delete", "table": "root", "where": []}),
            ];
            *other = dice.pick(&odd).clone();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_transaction_that_fails_changes_nothing_whatever_is_wrong_with_it(seed in any::<u64>()) {
        let subject = subject();
        let server = Server::new(vec![subject.schema.clone()], Entropy::seeded(seed)).unwrap();
        let rows = || -> Vec<_> {
            subject.schema.tables.keys().map(|table| server.rows("Everything", table)).collect()
        };
        let mut generator = Generator::new(seed, &subject, 1);
        let dice = Dice::new(!seed);
        for _ in 0..20 {
            let step = generator.step();
            if step.method != "transact" || step.params.len() < 2 {
                continue;
            }
            let mut operations = json!(step.params[1..]);
            for _ in 0..dice.below(4) {
                damage(&dice, &mut operations);
            }
            let Value::Array(operations) = operations else { continue };
            let before = rows();
            let results = server.transact("Everything", &operations);
            if results == [json!({"error": "timed out"})] {
                continue;
            }
            let errors = results.iter().filter(|result| result.get("error").is_some()).count();
            prop_assert!(errors <= 1, "{results:?}");
            let expected = operations.len();
            prop_assert!(results.len() == expected || (results.len() == expected + 1 && errors == 1), "{results:?}");
            prop_assert!(errors == 0 || rows() == before, "{operations:?}: {results:?}");
        }
    }

    #[test]
    fn no_bytes_of_one_client_harm_another(
        noise in prop::collection::vec(any::<u8>(), 0..60),
        seed in any::<u64>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let subject = subject();
        let mut generator = Generator::new(seed, &subject, 1);
        let dice = Dice::new(!seed);
        let mut bytes = Vec::new();
        for number in 0..8 {
            let step = generator.step();
            let mut params = json!(step.params);
            if let Some(database) = params.get_mut(0).filter(|_| dice.chance(70)) {
                *database = json!("Open_vSwitch");
            }
            if dice.chance(50) {
                damage(&dice, &mut params);
            }
            bytes.extend(json!({"id": number, "method": step.method, "params": params}).to_string().into_bytes());
        }
        let at = dice.below(bytes.len());
        if dice.chance(50) {
            bytes.splice(at..at, noise);
        }
        runtime.block_on(async {
            let vrs = Vrs::new(Entropy::seeded(1), &VrsOptions::default()).unwrap();
            let (mut reader, mut writer) = tokio::io::split(vrs.connect().unwrap());
            let reading = tokio::spawn(async move {
                let mut answers = Vec::new();
                let _ = reader.read_to_end(&mut answers).await;
            });
            let _ = writer.write_all(&bytes).await;
            let client = Client::spawn(vrs.connect().unwrap(), Limits::default());
            client.call("echo", json!([1]), PATIENCE).await.unwrap();
            reading.abort();
        });
    }
}
