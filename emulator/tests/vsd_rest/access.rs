//! Who may come in, and who may do what.

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request, StatusCode};
use nuage_emulator::http::{PeerCertificate, PeerOrganization};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::client::{Answer, Client, Tree, tree};

/// The headers of a user of an enterprise, all with the same password.
fn login(user: &str, enterprise: &str) -> Vec<(String, String)> {
    let encoded = STANDARD.encode(format!("{user}:secret"));
    vec![
        ("Authorization".to_owned(), format!("XREST {encoded}")),
        ("X-Nuage-Organization".to_owned(), enterprise.to_owned()),
    ]
}

impl Tree {
    /// Makes a user of an enterprise and puts it into the enterprise's group of that name, if one is given.
    async fn user(&self, enterprise: &str, name: &str, group: Option<&str>) -> String {
        let user = json!({ "userName": name, "password": "secret", "firstName": "F", "lastName": "L", "email": "e" });
        let id = self.client.post(&format!("enterprises/{enterprise}/users"), user).await.id();
        if let Some(group) = group {
            let path = format!("enterprises/{enterprise}/groups");
            let found = self.client.filtered(&path, &format!("name == '{group}'")).await.one();
            let members = format!("groups/{}/users", found["ID"].as_str().unwrap());
            let body = Body::from(json!([id]).to_string());
            let added =
                self.client.send(Method::PATCH, &members, &[("X-Nuage-PatchType", "add")], body).await;
            assert_eq!(added.status, StatusCode::NO_CONTENT);
        }
        id
    }

    async fn act(&self, user: &str, method: Method, path: &str, body: Value) -> Answer {
        self.act_of(user, "acme", method, path, body).await
    }

    async fn act_of(&self, user: &str, enterprise: &str, method: Method, path: &str, body: Value) -> Answer {
        let client = Client { vsd: self.client.vsd.clone(), headers: login(user, enterprise), version: "v6" };
        client.send(method, path, &[], Body::from(body.to_string())).await
    }

    async fn get(&self, user: &str, path: &str) -> Answer {
        self.act(user, Method::GET, path, Value::Null).await
    }
}

const CSP: &str = "76046673-d0ea-4a67-b6af-2829952f0812";

#[tokio::test(start_paused = true)]
async fn an_administrator_does_everything_in_the_own_enterprise_and_sees_no_other() {
    let tree = tree().await;
    let other = tree.client.post("enterprises", json!({ "name": "other" })).await.id();
    tree.user(&tree.enterprise, "ann", Some("Administrators")).await;
    assert_eq!(tree.get("ann", "me").await.one()["role"], json!("ORGADMIN"));
    assert_eq!(tree.get("ann", "enterprises").await.names(), ["acme"]);
    assert_eq!(tree.get("ann", "enterprises").await.header("x-nuage-count"), "1");
    let zones = format!("domains/{}/zones", tree.domain);
    assert_eq!(tree.act("ann", Method::POST, &zones, json!({ "name": "mine" })).await.status, 201);
    assert_eq!(tree.get("ann", "zones").await.names(), ["mine", "z"]);
    let description = json!({ "description": "x" });
    let own = format!("enterprises/{}", tree.enterprise);
    assert_eq!(tree.act("ann", Method::PUT, &own, description.clone()).await.status, 204);
    assert_eq!(tree.act("ann", Method::DELETE, &own, Value::Null).await.status, StatusCode::FORBIDDEN);
    for (method, path, body) in [
        (Method::GET, format!("enterprises/{other}"), Value::Null),
        (Method::GET, format!("enterprises/{other}/domains"), Value::Null),
        (Method::PUT, format!("enterprises/{other}"), description),
        (Method::POST, format!("enterprises/{other}/groups"), json!({ "name": "g" })),
        (Method::POST, "enterprises".to_owned(), json!({ "name": "third" })),
        (Method::POST, "users".to_owned(), json!({ "userName": "x" })),
    ] {
        let answer = tree.act("ann", method.clone(), &path, body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path}");
        assert!(answer.json()["errors"][0]["descriptions"][0]["title"].is_string());
    }
}

#[tokio::test(start_paused = true)]
async fn permissions_decide_what_a_member_does_each_with_what_those_below_it_give() {
    let tree = tree().await;
    let bob = tree.user(&tree.enterprise, "bob", None).await;
    let domain = format!("domains/{}", tree.domain);
    let ports = format!("subnets/{}/vports", tree.subnet);
    assert_eq!(tree.get("bob", "domains").await.body.len(), 0);
    assert_eq!(tree.get("bob", &domain).await.status, StatusCode::FORBIDDEN);
    let permission = json!({ "permittedEntityID": bob, "permittedAction": "READ" });
    let permission = tree.client.post(&format!("{domain}/permissions"), permission).await.id();
    let mut allowed = Vec::new();
    for action in ["READ", "USE", "EXTEND", "DEPLOY", "ALL"] {
        let change = json!({ "permittedAction": action });
        tree.client.put(&format!("permissions/{permission}"), change).await;
        let name = json!({ "name": action, "type": "VM" });
        let attempts = [
            tree.get("bob", &format!("subnets/{}", tree.subnet)).await.status,
            tree.act("bob", Method::POST, &ports, name).await.status,
            tree.act("bob", Method::POST, &format!("{domain}/zones"), json!({ "name": action })).await.status,
            tree.act("bob", Method::PUT, &domain, json!({ "description": action })).await.status,
        ];
        allowed.push(attempts.iter().filter(|status| status.is_success()).count());
    }
    assert_eq!(allowed, [1, 2, 3, 4, 4]);
    assert_eq!(tree.act("bob", Method::DELETE, &domain, Value::Null).await.status, 300, "may, if confirmed");
    let grant = json!({ "permittedEntityID": bob, "permittedAction": "ALL" });
    let elsewhere = format!("enterprises/{}/permissions", tree.enterprise);
    assert_eq!(tree.act("bob", Method::POST, &elsewhere, grant).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test(start_paused = true)]
async fn a_permission_of_a_group_is_one_of_its_members_and_who_makes_an_object_owns_it() {
    let tree = tree().await;
    let bob = tree.user(&tree.enterprise, "bob", None).await;
    tree.user(&tree.enterprise, "eve", None).await;
    let group = json!({ "name": "team" });
    let group = tree.client.post(&format!("enterprises/{}/groups", tree.enterprise), group).await.id();
    tree.client.put(&format!("groups/{group}/users"), json!([bob])).await;
    let permission = json!({ "permittedEntityID": group, "permittedAction": "EXTEND" });
    tree.client.post(&format!("domains/{}/permissions", tree.domain), permission).await.id();
    let zones = format!("domains/{}/zones", tree.domain);
    let zone = tree.act("bob", Method::POST, &zones, json!({ "name": "bobs" })).await.id();
    assert_eq!(tree.get("eve", &format!("zones/{zone}")).await.status, StatusCode::FORBIDDEN);
    let zone = format!("zones/{zone}?responseChoice=1");
    assert_eq!(tree.act("bob", Method::DELETE, &zone, Value::Null).await.status, StatusCode::NO_CONTENT);
    let foreign = format!("zones/{}?responseChoice=1", tree.zone);
    assert_eq!(tree.act("bob", Method::DELETE, &foreign, Value::Null).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test(start_paused = true)]
async fn designers_make_domains_and_members_instances_of_templates_that_they_may_use() {
    let tree = tree().await;
    tree.user(&tree.enterprise, "dan", Some("Network Designer")).await;
    let bob = tree.user(&tree.enterprise, "bob", None).await;
    let domains = format!("enterprises/{}/domains", tree.enterprise);
    let templates = format!("enterprises/{}/domaintemplates", tree.enterprise);
    let made = tree.act("dan", Method::POST, &templates, json!({ "name": "dans" })).await;
    assert_eq!(made.status, StatusCode::CREATED);
    let groups = format!("enterprises/{}/groups", tree.enterprise);
    assert_eq!(tree.act("dan", Method::POST, &groups, json!({ "name": "g" })).await.status, 403);
    let domain = json!({ "name": "bobs", "templateID": tree.template });
    assert_eq!(tree.act("bob", Method::POST, &domains, domain.clone()).await.status, StatusCode::FORBIDDEN);
    let permission = json!({ "permittedEntityID": bob, "permittedAction": "INSTANTIATE" });
    tree.client.post(&format!("domaintemplates/{}/permissions", tree.template), permission).await.id();
    assert_eq!(tree.act("bob", Method::POST, &domains, domain).await.status, StatusCode::CREATED);
    assert_eq!(tree.get("bob", "domains").await.names(), ["bobs"]);
}

#[tokio::test(start_paused = true)]
async fn the_operators_people_see_everything_and_change_what_their_role_allows() {
    let tree = tree().await;
    tree.user(CSP, "op", Some("Operator Group")).await;
    tree.user(CSP, "cms", Some("CMS Group")).await;
    tree.user(CSP, "guest", None).await;
    let act = async |user: &str, method: Method, path: &str, body: Value| {
        tree.act_of(user, "csp", method, path, body).await.status.as_u16()
    };
    let configuration = tree.client.get("systemconfigs").await.one();
    let configuration = format!("systemconfigs/{}", configuration["ID"].as_str().unwrap());
    let named = || json!({ "name": "new" });
    for (user, statuses) in
        [("op", [200, 201, 403, 401]), ("cms", [200, 403, 403, 201]), ("guest", [200, 403, 403, 401])]
    {
        let machine = json!({ "name": "m", "UUID": user });
        let got = [
            act(user, Method::GET, &format!("domains/{}", tree.domain), Value::Null).await,
            act(user, Method::POST, &format!("domains/{}/zones", tree.domain), named()).await,
            act(user, Method::PUT, &configuration, json!({ "pageSize": 40 })).await,
            act(user, Method::POST, "vms", machine).await,
        ];
        assert_eq!(got, statuses, "{user}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cloud_manager_acts_for_a_user_who_then_owns_what_is_made() {
    let tree = tree().await;
    let bob = tree.user(&tree.enterprise, "bob", None).await;
    tree.user(CSP, "cms", Some("CMS Group")).await;
    tree.user(CSP, "guest", None).await;
    let post = async |user: &str, proxied: &str| {
        let client = Client { vsd: tree.client.vsd.clone(), headers: login(user, "csp"), version: "v6" };
        let machine = Body::from(json!({ "name": "m", "UUID": format!("{user} {proxied}") }).to_string());
        client.send(Method::POST, "vms", &[("X-Nuage-ProxyUser", proxied)], machine).await
    };
    let made = post("cms", "bob@ACME").await;
    assert_eq!((made.status, &made.one()["owner"]), (StatusCode::CREATED, &json!(bob)));
    assert_eq!(post("cms", "nobody@acme").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(post("guest", "bob@acme").await.status, StatusCode::FORBIDDEN);
    assert_eq!(tree.get("bob", "vms").await.names(), ["m"]);
}

#[tokio::test(start_paused = true)]
async fn who_is_disabled_or_in_a_restricted_group_does_not_come_in() {
    let tree = tree().await;
    let bob = tree.user(&tree.enterprise, "bob", Some("Everybody")).await;
    assert_eq!(tree.get("bob", "me").await.status, StatusCode::OK);
    let key = tree.get("bob", "me").await.one()["APIKey"].as_str().unwrap().to_owned();
    let groups = tree.client.get(&format!("enterprises/{}/groups", tree.enterprise)).await.json();
    let everybody = groups.as_array().unwrap().iter().find(|group| group["name"] == "Everybody").unwrap();
    let everybody = format!("groups/{}", everybody["ID"].as_str().unwrap());
    tree.client.put(&everybody, json!({ "accountRestrictions": true })).await;
    assert_eq!(tree.get("bob", "me").await.status, StatusCode::UNAUTHORIZED);
    let later = 1_700_000_000_123_u64 + 60_000;
    tree.client.put(&everybody, json!({ "restrictionDate": later })).await;
    assert_eq!(tree.get("bob", "me").await.status, StatusCode::OK, "not yet");
    tokio::time::advance(std::time::Duration::from_secs(61)).await;
    assert_eq!(tree.get("bob", "me").await.status, StatusCode::UNAUTHORIZED);
    tree.client.put(&everybody, json!({ "accountRestrictions": false })).await;
    assert_eq!(tree.get("bob", "me").await.status, StatusCode::OK);

    tree.client.put(&format!("users/{bob}"), json!({ "disablePasswordAuth": true })).await;
    assert_eq!(tree.get("bob", "me").await.status, StatusCode::UNAUTHORIZED);
    let encoded = STANDARD.encode(format!("bob:{key}"));
    let mut headers = login("bob", "acme");
    headers[0].1 = format!("XREST {encoded}");
    let by_key = Client { vsd: tree.client.vsd.clone(), headers, version: "v6" };
    assert_eq!(by_key.get("me").await.status, StatusCode::OK, "a key is no password");
    tree.client.put(&format!("users/{bob}"), json!({ "disabled": true })).await;
    assert_eq!(by_key.get("me").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(start_paused = true)]
async fn a_certificates_organisation_is_the_enterprise_of_its_user() {
    let tree = tree().await;
    let bob = tree.user(&tree.enterprise, "bob", None).await;
    let other = tree.client.post("enterprises", json!({ "name": "other" })).await.id();
    let namesake = tree.user(&other, "bob", None).await;
    let ask = async |organization: &str| {
        let mut request = Request::get("https://vsd/nuage/api/v6/me").body(Body::empty()).unwrap();
        request.extensions_mut().insert(PeerCertificate { common_name: "bob".to_owned() });
        request.extensions_mut().insert(PeerOrganization(organization.to_owned()));
        let response = tree.client.vsd.router().oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        (status.as_u16(), body[0]["ID"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(ask("Acme").await, (200, bob.clone()));
    assert_eq!(ask("other").await, (200, namesake));
    assert_eq!(ask("csp").await.0, 401);
    tree.client.put(&format!("users/{bob}"), json!({ "disableCertificateAuth": true })).await;
    assert_eq!(ask("acme").await.0, 401);
}

#[tokio::test(start_paused = true)]
async fn api_keys_live_as_long_as_the_system_configuration_says() {
    let tree = tree().await;
    let configuration = tree.client.get("systemconfigs").await.one();
    let path = format!("systemconfigs/{}", configuration["ID"].as_str().unwrap());
    let refused = tree.client.put(&path, json!({ "APIKeyValidity": 10 })).await;
    assert_eq!(
        (refused.status, &refused.json()["errors"][0]["property"]),
        (StatusCode::CONFLICT, &json!("APIKeyValidity"))
    );
    assert_eq!(tree.client.put(&path, json!({ "APIKeyValidity": 600 })).await.status, 204);
    let me = tree.client.get("me").await.one();
    assert_eq!(me["APIKeyExpiry"], json!(1_700_000_000_123_u64 + 600_000));
}

#[tokio::test(start_paused = true)]
async fn who_polls_for_events_hears_of_what_may_be_seen_and_of_nothing_else() {
    let tree = tree().await;
    let bob = tree.user(&tree.enterprise, "bob", None).await;
    let zones = format!("domains/{}/zones", tree.domain);
    let seen = tree.client.post(&zones, json!({ "name": "seen" })).await.id();
    let permission = json!({ "permittedEntityID": bob, "permittedAction": "READ" });
    tree.client.post(&format!("zones/{seen}/permissions"), permission).await.id();
    let place = tree.get("bob", "events").await.json()["uuid"].as_str().unwrap().to_owned();

    tree.client.post(&zones, json!({ "name": "unseen" })).await.id();
    tree.client.put(&format!("zones/{seen}"), json!({ "description": "x" })).await;
    tree.client.put(&format!("enterprises/{}", tree.enterprise), json!({ "description": "x" })).await;
    let other = tree.client.post("enterprises", json!({ "name": "other" })).await.id();
    tree.client.put(&format!("domains/{}", tree.domain), json!({ "description": "x" })).await;
    let told = tree.get("bob", &format!("events?uuid={place}")).await.json();
    let told: Vec<_> = told["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (event["entityType"].as_str().unwrap(), event["entities"][0]["ID"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("zone", seen.as_str()), ("enterprise", tree.enterprise.as_str())]);
    assert_ne!(other, tree.enterprise);
}
