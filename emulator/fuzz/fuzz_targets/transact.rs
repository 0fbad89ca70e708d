//! Any operations on a database that exercises every type: as many results as there are operations, or one more with the
//! error of the commit; and a transaction with an error leaves every row as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::ovsdb::Server;
use nuage_ovsdb::schema::DatabaseSchema;
use serde_json::{Value, json};

const SCHEMA: &str = include_str!("../../tests/ovsdb_differential_generated/everything.ovsschema");

fuzz_target!(|input: &[u8]| {
    let Ok(Value::Array(transactions)) = serde_json::from_slice::<Value>(input) else { return };
    let json: Value = serde_json::from_str(SCHEMA).expect("the schema is JSON");
    let schema = DatabaseSchema::from_json(&json).expect("a schema");
    let tables: Vec<String> = schema.tables.keys().cloned().collect();
    let server = Server::new(vec![schema], Entropy::seeded(1)).expect("a server");
    let rows = || -> Vec<_> { tables.iter().map(|table| server.rows("Everything", table)).collect() };
    for transaction in transactions.iter().take(16) {
        let operations = transaction.as_array().cloned().unwrap_or_else(|| vec![transaction.clone()]);
        let before = rows();
        let results = server.transact("Everything", &operations);
        if results == [json!({"error": "timed out"})] {
            continue;
        }
        let failed = results.iter().any(|result| result.get("error").is_some());
        let extra = results.len() - operations.len();
        assert!(extra == 0 || (extra == 1 && failed), "{results:?}");
        assert!(!failed || rows() == before, "a failed transaction changed rows: {results:?}");
    }
});
