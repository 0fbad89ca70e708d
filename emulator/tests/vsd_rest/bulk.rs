//! Several objects in one request, parts of objects, and how much a list holds.

use axum::body::Body;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::{Client, Tree, tree};

fn entries(answer: &Value) -> Vec<(u64, Value)> {
    let response = answer["response"].as_array().unwrap();
    response.iter().map(|entry| (entry["status"].as_u64().unwrap(), entry["data"].clone())).collect()
}

#[tokio::test(start_paused = true)]
async fn several_objects_are_made_at_once_and_each_says_how_it_went() {
    let Tree { client, domain, .. } = tree().await;
    let zones = format!("domains/{domain}/zones");
    let made = client.post(&zones, json!([{ "name": "a" }, { "name": "b" }])).await;
    assert_eq!(made.status, StatusCode::OK);
    assert_eq!(made.json()["responseMetadata"], json!({ "total": 2, "success": 2, "failure": 0 }));
    let names: Vec<_> =
        entries(&made.json()).into_iter().map(|(code, zone)| (code, zone["name"].clone())).collect();
    assert_eq!(names, [(201, json!("a")), (201, json!("b"))]);

    let mixed = client.post(&zones, json!([{ "name": "a" }, { "name": "c" }, 7])).await;
    assert_eq!(mixed.status, StatusCode::MULTI_STATUS);
    assert_eq!(mixed.json()["responseMetadata"], json!({ "total": 3, "success": 1, "failure": 2 }));
    let entries = entries(&mixed.json());
    assert_eq!(entries.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [409, 201, 400]);
    assert_eq!(entries[0].1["internalErrorCode"], json!(2510));
    assert_eq!(client.get(&zones).await.names(), ["a", "b", "c", "z"], "what succeeded stays");
}

#[tokio::test(start_paused = true)]
async fn several_objects_are_changed_and_deleted_at_the_root_path_of_their_entity() {
    let Tree { client, domain, subnet, .. } = tree().await;
    let zones = format!("domains/{domain}/zones");
    let made = client.post(&zones, json!([{ "name": "a" }, { "name": "b" }])).await.json();
    let ids: Vec<String> =
        entries(&made).iter().map(|(_, zone)| zone["ID"].as_str().unwrap().to_owned()).collect();
    let bodies = json!([{ "ID": ids[0], "description": "x" }, { "ID": "none", "description": "x" }]);
    let changed = client.put("zones", bodies).await;
    assert_eq!(changed.status, StatusCode::MULTI_STATUS);
    let statuses: Vec<u64> = entries(&changed.json()).into_iter().map(|(status, _)| status).collect();
    assert_eq!(statuses, [200, 404]);
    assert_eq!(client.get(&format!("zones/{}", ids[0])).await.one()["description"], json!("x"));

    let deleted = client.delete(&format!("zones?responseChoice=1&id={}&id={}", ids[0], ids[1])).await;
    assert_eq!(deleted.status, StatusCode::OK);
    assert_eq!(entries(&deleted.json()), [(204, Value::Null), (204, Value::Null)]);
    assert_eq!(client.get(&zones).await.names(), ["z"]);

    // vPorts have no root collection, and yet are changed and deleted so.
    let port =
        client.post(&format!("subnets/{subnet}/vports"), json!({ "name": "p", "type": "VM" })).await.id();
    assert_eq!(client.put("vports", json!([{ "ID": port, "name": "q" }])).await.status, StatusCode::OK);
    assert_eq!(client.delete(&format!("vports?id={port}")).await.status, StatusCode::OK);
    assert_eq!(client.get(&format!("vports/{port}")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn a_bulk_request_is_bounded_and_asks_for_each_object_what_is_asked_for_one() {
    let Tree { client, enterprise, domain, .. } = tree().await;
    let many: Vec<Value> = (0..1_001).map(|number| json!({ "name": format!("z{number}") })).collect();
    let zones = format!("domains/{domain}/zones");
    assert_eq!(client.post(&zones, Value::Array(many)).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(client.get(&zones).await.names(), ["z"]);
    let asked = client.delete(&format!("enterprises?id={enterprise}")).await;
    assert_eq!(asked.status, StatusCode::MULTI_STATUS);
    assert_eq!(entries(&asked.json())[0].0, 300);
    assert_eq!(client.put("licenses", json!([{ "ID": "x" }])).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test(start_paused = true)]
async fn attributes_are_selected_and_grouped() {
    let Tree { client, domain, .. } = tree().await;
    let zones = format!("domains/{domain}/zones");
    for (name, description) in [("a", "x"), ("b", "y"), ("c", "x")] {
        client.post(&zones, json!({ "name": name, "description": description })).await.id();
    }
    let ask = |headers: &'static [(&'static str, &'static str)]| {
        let (client, zones) = (&client, &zones);
        async move { client.send(Method::GET, zones, headers, Body::empty()).await }
    };
    let selected = ask(&[("X-Nuage-Attributes", "name, description")]).await.json();
    let keys: Vec<&String> = selected[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["ID", "description", "name"]);
    let grouped = ask(&[
        ("X-Nuage-GroupBy", "true"),
        ("X-Nuage-Attributes", "description"),
        ("X-Nuage-OrderBy", "description DESC"),
    ])
    .await;
    assert_eq!(
        grouped.json(),
        json!([{ "description": "y" }, { "description": "x" }, { "description": null }])
    );
    assert_eq!(grouped.header("x-nuage-count"), "3");
}

#[tokio::test(start_paused = true)]
async fn a_list_holds_what_the_system_configuration_says() {
    let client = Client::new();
    for number in 0..60 {
        client.post("enterprises", json!({ "name": format!("e{number:02}") })).await.id();
    }
    assert_eq!(client.get("enterprises").await.names().len(), 60);
    let filtered = client.filtered("enterprises", "name beginswith 'e'").await;
    assert_eq!((filtered.names().len(), filtered.header("x-nuage-count")), (50, "60"), "the first page");
    assert_eq!((filtered.header("x-nuage-page"), filtered.header("x-nuage-pagesize")), ("-1", "50"));

    let configuration = client.get("systemconfigs").await.one();
    assert_eq!((&configuration["pageSize"], &configuration["maxResponse"]), (&json!(50), &json!(500)));
    let id = configuration["ID"].as_str().unwrap();
    let changes = json!({ "pageSize": 10, "pageMaxSize": 20, "maxResponse": 30 });
    assert_eq!(client.put(&format!("systemconfigs/{id}"), changes).await.status, StatusCode::NO_CONTENT);
    assert_eq!(client.get("enterprises").await.names().len(), 30);
    assert_eq!(client.filtered("enterprises", "name beginswith 'e'").await.names().len(), 10);
    let headers = [("X-Nuage-Page", "0"), ("X-Nuage-PageSize", "400")];
    let page = client.send(Method::GET, "enterprises", &headers, Body::empty()).await;
    assert_eq!((page.names().len(), page.header("x-nuage-pagesize")), (20, "20"));
    client.put(&format!("systemconfigs/{id}"), json!({ "pageSize": 0 })).await;
    assert_eq!(client.post("systemconfigs", json!({})).await.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test(start_paused = true)]
async fn a_browser_of_another_origin_may_ask_and_reads_the_headers() {
    let mut client = Client::new();
    client.headers.clear();
    let asked = client.send(Method::OPTIONS, "enterprises", &[], Body::empty()).await;
    assert_eq!((asked.status, asked.body.len()), (StatusCode::OK, 0));
    assert!(asked.header("access-control-allow-methods").contains("PATCH"));
    assert!(asked.header("access-control-allow-headers").contains("X-Nuage-Organization"));
    let client = Client::new();
    let answer = client.get("enterprises").await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(answer.header("access-control-expose-headers").contains("X-Nuage-Count"));
    let refused = client.delete("enterprises").await;
    assert_eq!((refused.status.as_u16(), refused.header("allow")), (405, "GET, HEAD, POST"));
}
