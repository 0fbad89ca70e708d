//! Any JSON as a schema: refused in words or taken, and what is taken is printed as what it is.
#![allow(clippy::unwrap_used, reason = "a test")]

use nuage_ovsdb::schema::DatabaseSchema;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// JSON from the words that schemas are made of.
fn word() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "integer",
        "real",
        "boolean",
        "string",
        "uuid",
        "unlimited",
        "weak",
        "strong",
        "set",
        "map",
        "t",
        "c",
        "_c",
        "1.2.3",
        "",
    ]);
    prop_oneof![
        names.prop_map(|name| json!(name)),
        (-2i64..9).prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        any::<bool>().prop_map(|flag| json!(flag)),
        Just(Value::Null),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    word().prop_recursive(3, 24, 4, |inner| {
        let keys = prop::sample::select(vec![
            "type",
            "key",
            "value",
            "min",
            "max",
            "enum",
            "refTable",
            "minInteger",
            "columns",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((keys, inner), 0..4).prop_map(|members| Value::Object(
                members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
            )),
        ]
    })
}

/// A schema that is mostly right.
fn schema() -> impl Strategy<Value = Value> {
    let base = prop_oneof![
        4 => prop::sample::select(vec!["integer", "real", "boolean", "string", "uuid"]).prop_map(|name| json!(name)),
        1 => Just(json!({"type": "uuid", "refTable": "t"})),
        1 => Just(json!({"type": "uuid", "refTable": "t", "refType": "weak"})),
        1 => Just(json!({"type": "integer", "enum": ["set", [1, 2]]})),
        1 => Just(json!({"type": "string", "minLength": 1, "maxLength": 4})),
        1 => (0i64..5, 5i64..9).prop_map(|(min, max)| json!({"type": "integer", "minInteger": min, "maxInteger": max})),
        1 => any_json(),
    ];
    let max = prop_oneof![Just(json!("unlimited")), (0u64..4).prop_map(|max| json!(max)), any_json()];
    let kind = prop_oneof![
        base.clone(),
        (base.clone(), prop::option::of(base), 0u64..3, max).prop_map(|(key, value, min, max)| {
            let mut kind = json!({"key": key, "min": min, "max": max});
            if let Some(value) = value {
                kind["value"] = value;
            }
            kind
        }),
    ];
    let column = (kind, prop::option::of(any::<bool>()), prop::option::of(any::<bool>())).prop_map(
        |(kind, mutable, ephemeral)| {
            let mut column = json!({"type": kind});
            let flags = [("mutable", mutable), ("ephemeral", ephemeral)];
            for (name, flag) in flags {
                if let Some(flag) = flag {
                    column[name] = json!(flag);
                }
            }
            column
        },
    );
    let indexes = prop_oneof![3 => Just(json!([["a"]])), 1 => Just(json!([["a", "b"]])), 1 => any_json()];
    (prop::collection::btree_map("[ab]", column, 0..3), prop::option::of(indexes), prop::option::of(0u64..4))
        .prop_map(|(columns, indexes, rows)| {
            let columns: Map<String, Value> = columns.into_iter().collect();
            let mut table = json!({"columns": columns, "isRoot": true});
            if let Some(indexes) = indexes {
                table["indexes"] = indexes;
            }
            if let Some(rows) = rows {
                table["maxRows"] = json!(rows);
            }
            json!({"name": "d", "version": "1.0.0", "tables": {"t": table}})
        })
}

fn is_kept_or_refused(json: &Value) -> Result<bool, TestCaseError> {
    let Ok(schema) = DatabaseSchema::from_json(json) else { return Ok(false) };
    let again = DatabaseSchema::from_json(&schema.to_json());
    prop_assert_eq!(again.as_ref().ok(), Some(&schema), "{}", schema.to_json());
    Ok(true)
}

proptest! {
    #[test]
    fn a_schema_that_is_taken_is_printed_as_what_it_is(json in schema()) {
        is_kept_or_refused(&json)?;
    }

    #[test]
    fn any_json_is_a_schema_or_an_error(json in any_json()) {
        is_kept_or_refused(&json)?;
        is_kept_or_refused(&json!({"name": "d", "version": "1.0.0", "tables": {"t": {"columns": {"c": {"type": json}}}}}))?;
    }
}

#[test]
fn a_schema_as_simple_as_can_be_is_taken() {
    assert!(is_kept_or_refused(&json!({"name": "d", "version": "1.0.0", "tables": {}})).unwrap());
}
