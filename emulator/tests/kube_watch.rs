//! The API's watch in process: from a version on, with bookmarks, by selection, and its end where history ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use nuage_emulator::clock::Clock;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::kube::Kube;
use serde_json::{Value, json};
use tower::ServiceExt as _;

fn kube() -> Kube {
    let kube = Kube::new(Clock::starting_at(0), Entropy::seeded(1));
    kube.add_token("t");
    kube
}

async fn get(kube: &Kube, path: &str) -> (StatusCode, Body) {
    let request =
        Request::builder().uri(path).header("authorization", "Bearer t").body(Body::empty()).unwrap();
    let response = kube.router().oneshot(request).await.unwrap();
    (response.status(), response.into_body())
}

async fn json(kube: &Kube, path: &str) -> (StatusCode, Value) {
    let (status, body) = get(kube, path).await;
    (status, serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap())
}

async fn event(body: &mut Body) -> Option<Value> {
    let frame = body.frame().await?.unwrap();
    Some(serde_json::from_slice(&frame.into_data().unwrap()).unwrap())
}

fn pod(name: &str, node: &str) -> Value {
    json!({"kind": "Pod", "metadata": {"name": name}, "spec": {"nodeName": node}})
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_what_happens_after_a_list_in_its_order() {
    let kube = kube();
    kube.create(pod("a", "node-1")).unwrap();
    let (_, list) = json(&kube, "/api/v1/pods").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    let (_, mut body) = get(&kube, &format!("/api/v1/pods?watch=true&resourceVersion={version}")).await;
    kube.create(pod("b", "node-1")).unwrap();
    kube.update("Pod", "default", "b", |pod| pod["status"]["phase"] = json!("Running")).unwrap();
    kube.delete("Pod", "default", "a").unwrap();
    for (kind, name) in [("ADDED", "b"), ("MODIFIED", "b"), ("DELETED", "a")] {
        let event = event(&mut body).await.unwrap();
        assert_eq!((&event["type"], &event["object"]["metadata"]["name"]), (&json!(kind), &json!(name)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_enters_or_leaves_a_selection_is_added_or_deleted() {
    let kube = kube();
    kube.create(pod("a", "")).unwrap();
    let (_, mut body) = get(&kube, "/api/v1/pods?watch=1&fieldSelector=spec.nodeName%3Dnode-1").await;
    kube.update("Pod", "default", "a", |pod| pod["spec"]["nodeName"] = json!("node-1")).unwrap();
    assert_eq!(event(&mut body).await.unwrap()["type"], "ADDED");
    kube.update("Pod", "default", "a", |pod| pod["spec"]["nodeName"] = json!("node-2")).unwrap();
    assert_eq!(event(&mut body).await.unwrap()["type"], "DELETED");
    let (_, here) = json(&kube, "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-2").await;
    assert_eq!(here["items"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_watch_gets_bookmarks_and_ends_when_its_time_is_up() {
    let kube = kube();
    let (_, mut body) =
        get(&kube, "/api/v1/pods?watch=true&allowWatchBookmarks=true&timeoutSeconds=100").await;
    assert_eq!(event(&mut body).await.unwrap()["type"], "BOOKMARK");
    assert_eq!(event(&mut body).await, None);
}

#[tokio::test(start_paused = true)]
async fn who_watches_one_node_keeps_up_with_the_version_however_much_happens_on_others() {
    let kube = kube();
    let path = "/api/v1/pods?watch=true&allowWatchBookmarks=true&fieldSelector=spec.nodeName%3Dnode-1";
    let (_, mut body) = get(&kube, path).await;
    kube.create(pod("a", "node-1")).unwrap();
    kube.create(pod("b", "node-2")).unwrap();
    // More than is remembered.
    for number in 0..5000 {
        kube.update("Pod", "default", "b", |pod| pod["status"]["number"] = json!(number)).unwrap();
    }
    assert_eq!(event(&mut body).await.unwrap()["object"]["metadata"]["name"], "a");
    let bookmark = event(&mut body).await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    let version = bookmark["object"]["metadata"]["resourceVersion"].as_str().unwrap();
    let (status, _) = get(&kube, &format!("{path}&resourceVersion={version}")).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_forgotten_is_gone() {
    let kube = kube();
    for _ in 0..5000 {
        kube.create(pod("a", "")).unwrap();
        kube.delete("Pod", "default", "a").unwrap();
    }
    let (status, answer) = json(&kube, "/api/v1/pods?watch=true&resourceVersion=1").await;
    assert_eq!((status, answer["reason"].as_str()), (StatusCode::GONE, Some("Expired")));
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_wrongly_is_refused_with_a_status() {
    let kube = kube();
    for (path, code) in [
        ("/api/v1/pods?labelSelector=a%20b", 400),
        ("/api/v1/pods?fieldSelector=spec.color%3Dred", 400),
        ("/api/v1/pods?watch=true&resourceVersion=x", 400),
        ("/api/v1/namespaces/default/pods/none", 404),
        ("/api/v1/secrets", 404),
    ] {
        let (status, answer) = json(&kube, path).await;
        assert_eq!((status.as_u16(), &answer["kind"]), (code, &json!("Status")), "{path}");
    }
    let request = Request::builder().uri("/api/v1/pods").body(Body::empty()).unwrap();
    assert_eq!(kube.router().oneshot(request).await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(start_paused = true)]
async fn services_and_network_policies_are_each_in_their_group() {
    let (kube, policies) = (kube(), "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies");
    let (_, mut body) = get(&kube, "/apis/networking.k8s.io/v1/networkpolicies?watch=true").await;
    kube.create(
        json!({"kind": "NetworkPolicy", "metadata": {"name": "closed"}, "spec": {"podSelector": {}}}),
    )
    .unwrap();
    let told = event(&mut body).await.unwrap();
    assert_eq!(
        (&told["type"], &told["object"]["apiVersion"]),
        (&json!("ADDED"), &json!("networking.k8s.io/v1"))
    );
    let (_, list) = json(&kube, policies).await;
    assert_eq!(
        (&list["kind"], &list["apiVersion"]),
        (&json!("NetworkPolicyList"), &json!("networking.k8s.io/v1"))
    );
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let (_, groups) = json(&kube, "/apis").await;
    assert_eq!(groups["groups"][0]["name"], "networking.k8s.io");
    for path in [
        "/api/v1/networkpolicies",
        "/api/v1/namespaces/default/networkpolicies/closed",
        "/apis/networking.k8s.io/v1/pods",
        "/apis/networking.k8s.io/v1/namespaces/default/services",
    ] {
        assert_eq!(json(&kube, path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(json(&kube, &format!("{policies}/closed")).await.0, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_service_gets_an_address_of_its_own_unless_it_has_or_wants_none() {
    let kube = kube();
    let service = |name: &str, spec: Value| {
        let made = json!({"kind": "Service", "metadata": {"name": name}, "spec": spec});
        kube.create(made).unwrap()["spec"]["clusterIP"].clone()
    };
    assert_eq!(service("a", json!({"clusterIP": "10.96.0.1"})), "10.96.0.1");
    assert_eq!(service("b", json!({})), "10.96.0.2");
    assert_eq!(service("c", json!({"clusterIP": "None"})), "None");
    assert_eq!(service("d", json!({"type": "ExternalName", "externalName": "x"})), Value::Null);
    assert_eq!(service("e", Value::Null), "10.96.0.3");
    kube.delete("Service", "default", "b").unwrap();
    assert_eq!(service("f", json!({"type": "NodePort"})), "10.96.0.2");
}

#[tokio::test(start_paused = true)]
async fn a_body_in_protobuf_is_refused_by_its_kind() {
    let kube = kube();
    let request = Request::post("/api/v1/namespaces")
        .header("authorization", "Bearer t")
        .header("content-type", "application/vnd.kubernetes.protobuf")
        .body(Body::from("k8s\0"))
        .unwrap();
    let response = kube.router().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}
