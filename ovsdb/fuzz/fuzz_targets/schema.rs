//! A schema that is accepted is printed as one that means the same; values of its columns are read and printed alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nuage_ovsdb::schema::DatabaseSchema;

fuzz_target!(|input: &[u8]| {
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(input) else { return };
    let Ok(schema) = DatabaseSchema::from_json(&json) else { return };
    let printed = schema.to_json();
    let again = DatabaseSchema::from_json(&printed).expect("a printed schema is one");
    assert_eq!(again, schema);
    for column in schema.tables.values().flat_map(|table| table.columns.values()) {
        let datum = column.kind.default_datum();
        if let Ok(read) = column.kind.read(&datum.to_json(), &mut |_| None) {
            assert_eq!(read, datum);
        }
    }
});
