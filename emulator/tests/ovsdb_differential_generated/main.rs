//! The emulated OVSDB server beside the real one under generated load: transactions, monitors of all kinds, locks and waits on
//! several sessions, right and wrong. Every answer and every update must be the same but for random identifiers.
//!
//! `NUAGE_DIFFERENTIAL_CASES` (transactions a schema), `NUAGE_DIFFERENTIAL_SEED` and `NUAGE_DIFFERENTIAL_TOLD` (differences until it
//! stops) ask for more or others; `ci/differential` sets them.
//!
//! What is left out, because the real server is nondeterministic there or crashes (ovsdb-server 3.1):
//! - which of several violations of one kind a commit is refused for: that too comes from a hash, and is counted;
//! - two mistakes in one request: which is found first comes from a hash;
//! - arithmetic on several rows: which row fails first comes from a hash;
//! - a waiting transaction that writes: its updates are merged with those of the commit that it waited for, or not;
//! - `monitor` with fewer than three parameters, and a negative integer `*=` 0: the real server crashes;
//! - a condition that adds a column to what several monitors of the same columns share: the real server reads beyond an array
//!   (see `watched`);
//! - `_version` without `_uuid` in a select: such rows cannot be told apart.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

mod connections;
mod driver;
mod generator;
mod normal;
#[allow(dead_code, reason = "the test of database files uses the rest")]
mod peers;
#[allow(clippy::needless_pass_by_value, reason = "what json! makes is handed over as it is")]
mod regressions;
#[allow(clippy::needless_pass_by_value, reason = "what json! makes is handed over as it is")]
mod schemas;
mod values;
mod watched;

use driver::Driver;
use generator::Subject;
use nuage_ovsdb::schema::DatabaseSchema;
use serde_json::Value;

/// Transactions of a run that nobody asked more of, by schema.
const CASES: usize = 1200;
/// Requests on the same rows, before both begin anew.
const SCRIPT: usize = 40;
/// Differences after which it stops.
const TOLD: usize = 12;

/// Every type, every constraint, every kind of reference.
const EVERYTHING: &str = include_str!("everything.ovsschema");

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn compare(test: &str, schema: &str, tables: Vec<&'static str>) {
    let schema: Value = serde_json::from_str(schema).unwrap();
    let Some(mut driver) = Driver::start(test, &schema) else { return };
    let subject = Subject { schema: DatabaseSchema::from_json(&schema).unwrap(), tables };
    let cases = usize::try_from(number("NUAGE_DIFFERENTIAL_CASES", CASES as u64)).unwrap();
    let mut seed = number("NUAGE_DIFFERENTIAL_SEED", 1);
    let told = usize::try_from(number("NUAGE_DIFFERENTIAL_TOLD", TOLD as u64)).unwrap();
    let mut differences = Vec::new();
    while driver.transactions < cases && differences.len() < told {
        differences.extend(driver.script(seed, SCRIPT, &subject).err());
        if !driver.real_lives() {
            differences.push(format!("seed {seed}: the real server crashed"));
            break;
        }
        seed += 1;
    }
    let Driver { transactions, tolerated, .. } = driver;
    eprintln!(
        "{test}: {transactions} transactions, {} differences, {tolerated} tolerated",
        differences.len()
    );
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
    assert!(
        tolerated * 10 < transactions,
        "{tolerated} of {transactions} answers were tolerated: the script is too wild"
    );
}

#[test]
fn generated_transactions_on_every_type_and_constraint_are_answered_as_by_the_real_server() {
    compare(
        "generated_transactions_on_every_type_and_constraint_are_answered_as_by_the_real_server",
        EVERYTHING,
        vec!["root", "root", "root", "kid", "kid", "leaf", "need", "few", "pair", "strict", "maps"],
    );
}

#[test]
fn generated_transactions_on_the_switch_are_answered_as_by_the_real_server() {
    compare(
        "generated_transactions_on_the_switch_are_answered_as_by_the_real_server",
        nuage_emulator::vrs::SCHEMA,
        vec![
            "Open_vSwitch",
            "Bridge",
            "Bridge",
            "Port",
            "Port",
            "Interface",
            "Interface",
            "Controller",
            "Mirror",
            "QoS",
            "Queue",
            "Nuage_Port_Table",
            "Nuage_Port_Table",
            "Nuage_VM_Table",
        ],
    );
}
