//! Filters of real collections: an index never changes what a filter selects, and no filter breaks the server.

use axum::body::Body;
use http::{HeaderValue, Method, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::client::{Client, tree};

/// Texts that collide often.
fn text() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "A", "a b", "7", "007", "", "null", "O'Hara", "ü"])
        .prop_map(str::to_owned)
}

/// Filters of which an index answers some, a part of others and nothing of the rest.
fn filter(ids: usize) -> impl Strategy<Value = String> {
    let attribute =
        prop::sample::select(vec!["name", "externalID", "description", "ID", "parentID", "missing"]);
    let quoted = |text: String| format!("\"{text}\"");
    let value = prop_oneof![
        6 => text().prop_map(quoted),
        1 => Just("null".to_owned()),
        1 => Just("7".to_owned()),
        2 => (0..ids).prop_map(|number| format!("\"<{number}>\"")),
    ];
    let one =
        (attribute.clone(), prop::sample::select(vec!["==", "!=", "IS", "==[c]", "CONTAINS"]), value.clone())
            .prop_map(|(attribute, operator, value)| format!("{attribute} {operator} {value}"));
    let several = (attribute, prop::collection::vec(value, 1..4))
        .prop_map(|(attribute, values)| format!("{attribute} IN {{{}}}", values.join(",")));
    prop_oneof![3 => one, 1 => several].prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) and ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) or ({b})")),
            inner.prop_map(|a| format!("not ({a})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn an_index_never_changes_what_a_filter_selects(
        names in prop::collection::vec((text(), prop::option::of(text()), prop::option::of(text())), 1..12),
        filters in prop::collection::vec(filter(12), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let client = Client::new();
            let mut ids = Vec::new();
            for (number, (name, external, description)) in names.iter().enumerate() {
                // Templates of different enterprises may have the same name.
                let enterprise = client.post("enterprises", json!({ "name": format!("e{number}") })).await.id();
                let name = if name.is_empty() { "x" } else { name };
                let body = json!({ "name": name, "externalID": external, "description": description });
                let template = client.post(&format!("enterprises/{enterprise}/domaintemplates"), body.clone()).await;
                if template.status == StatusCode::CREATED {
                    ids.push(template.id());
                }
                let _ = client.post(&format!("enterprises/{enterprise}/domaintemplates"), body).await;
                let domain = json!({ "name": name, "externalID": external, "templateID": ids.last() });
                let _ = client.post(&format!("enterprises/{enterprise}/domains"), domain).await;
                ids.push(enterprise);
            }
            for filter in filters {
                let mut filter = filter;
                for (number, id) in ids.iter().enumerate() {
                    filter = filter.replace(&format!("<{number}>"), id);
                }
                for collection in ["domains", "enterprises"] {
                    let filtered = |filter: String| {
                        let client = &client;
                        async move {
                            let value = HeaderValue::from_bytes(filter.as_bytes()).unwrap();
                            let answer = client.send_filter(collection, value).await;
                            assert_eq!(answer.header("x-nuage-filtertype"), "predicate", "{filter}");
                            answer
                        }
                    };
                    // No index can answer a negation.
                    let scanned = filtered(format!("not (not ({filter}))")).await;
                    let found = filtered(filter.clone()).await;
                    let list = |value: Value| value.as_array().cloned().unwrap_or_default();
                    prop_assert_eq!(list(found.json()), list(scanned.json()), "{}", filter);
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn whatever_stands_in_a_filter_header_the_answer_is_a_list_or_400(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let Ok(value) = HeaderValue::from_bytes(&bytes) else { return };
            let answer = Client::new().send_filter("enterpriseprofiles", value).await;
            assert!([StatusCode::OK, StatusCode::BAD_REQUEST].contains(&answer.status), "{}", answer.status);
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_filter_that_had_to_be_a_predicate_and_is_none_is_400_and_so_is_one_without_bounds() {
    let client = tree().await.client;
    for (filter, kind, expected) in [
        ("name ==", "predicate", StatusCode::BAD_REQUEST),
        ("name ==", "", StatusCode::OK),
        ("name == 'acme'", "Predicate", StatusCode::OK),
        ("name == 'acme'", "text", StatusCode::OK),
        (&"(".repeat(100), "", StatusCode::BAD_REQUEST),
        (&"x".repeat(8193), "", StatusCode::BAD_REQUEST),
    ] {
        let headers = [("X-Nuage-Filter", filter), ("X-Nuage-FilterType", kind)];
        let answer = client.send(Method::GET, "enterprises", &headers, Body::empty()).await;
        assert_eq!(answer.status, expected, "{filter}");
        assert_eq!(answer.header("x-nuage-filter"), filter, "it comes back with whatever reply");
    }
}
