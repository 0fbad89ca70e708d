//! Whatever comes as a body, at whatever path and with whatever method: the VSD answers in its own form, never with a
//! failure of its own, and what it refuses changes nothing. The fuzz target `body` does the same guided by coverage.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use axum::body::Body;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use nuage_emulator::clock::Clock;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::http::PeerCertificate;
use nuage_emulator::vsd::{Site, Vsd};
use proptest::prelude::*;
use serde_json::{Map, Value};
use tower::ServiceExt as _;

/// Entities whose objects are compared before and after a refusal.
const WATCHED: [&str; 8] =
    ["enterprise", "domaintemplate", "domain", "zone", "subnet", "vport", "container", "user"];
/// The user whom each request comes from.
const ASKER: &str = "asker";
/// Names that bodies are made of: what behaviours look at, what every object has, and what nothing has.
const NAMES: [&str; 22] = [
    "name",
    "ID",
    "parentID",
    "externalID",
    "description",
    "templateID",
    "address",
    "netmask",
    "gateway",
    "type",
    "UUID",
    "orchestrationID",
    "interfaces",
    "attachedNetworkID",
    "VPortID",
    "IPAddress",
    "MAC",
    "userName",
    "password",
    "permittedAction",
    "permittedEntityID",
    "bogus",
];
const TEXTS: [&str; 14] = [
    "",
    "x",
    "10.1.0.0",
    "255.255.255.0",
    "255.0.255.0",
    "0.0.0.0",
    "255.255.255.255",
    "VM",
    "CONTAINER",
    "SOFTWARE",
    "ALL",
    "null",
    "\u{0}",
    "\u{1f600}",
];

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(&TEXTS[..]).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        // Stands for the ID of an object that there is.
        (0_usize..64).prop_map(|number| Value::from(format!("ID {number}"))),
    ]
}

fn body() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 48, 8, |inner| {
        let member = (proptest::sample::select(&NAMES[..]), inner.clone());
        let members = proptest::collection::vec(member, 0..8);
        let object = members.prop_map(|members| {
            Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        });
        prop_oneof![3 => object, 1 => proptest::collection::vec(inner, 0..4).prop_map(Value::from)]
    })
}

fn method() -> impl Strategy<Value = Method> {
    proptest::sample::select(vec![
        Method::POST,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::GET,
    ])
}

/// Paths with the number of an object, and resources of children.
fn path() -> impl Strategy<Value = (usize, &'static str)> {
    let children = vec![
        "",
        "/",
        "/domains",
        "/zones",
        "/subnets",
        "/vports",
        "/containers",
        "/containerinterfaces",
        "/users",
        "/groups",
        "/policygroups",
        "/permissions",
        "/metadatas",
        "/domaintemplates",
        "/zonetemplates",
        "/l2domains",
        "/jobs",
        "/nothing",
    ];
    (0_usize..64, proptest::sample::select(children))
}

/// A VSD with a site in it, and the paths and IDs of its objects.
fn site() -> (Vsd, Vec<(String, String)>) {
    let clock = Clock::Virtual { epoch: 1_700_000_000_000, start: tokio::time::Instant::now() };
    let vsd = Vsd::new(clock, Entropy::seeded(1));
    let name = str::to_owned;
    let site = Site {
        enterprise: name("e"),
        domain: name("d"),
        zone: name("z"),
        subnet: name("s"),
        address: "10.20.0.0/24".parse().unwrap(),
    };
    vsd.bootstrap(&site).unwrap();
    vsd.certificate_user(ASKER).unwrap();
    let mut objects = vec![(String::new(), String::new())];
    for entity in WATCHED {
        // Who asks must not come to be somebody that is not known.
        for object in vsd.snapshot(entity).iter().filter(|object| object["userName"] != ASKER) {
            objects.push((format!("{entity}s"), object["ID"].as_str().unwrap().to_owned()));
        }
    }
    (vsd, objects)
}

/// Puts real IDs in the place of their numbers.
fn with_ids(value: Value, objects: &[(String, String)]) -> Value {
    match value {
        Value::String(text) => {
            let number = text.strip_prefix("ID ").and_then(|number| number.parse::<usize>().ok());
            let id = number.map(|number| objects[number % objects.len()].1.clone());
            Value::from(id.unwrap_or(text))
        }
        Value::Array(items) => items.into_iter().map(|item| with_ids(item, objects)).collect(),
        Value::Object(members) => {
            let members = members.into_iter().map(|(name, value)| (name, with_ids(value, objects)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        other => other,
    }
}

async fn exchange(vsd: &Vsd, method: &Method, path: &str, body: String) -> (StatusCode, Vec<u8>) {
    let url = format!("https://vsd/nuage/api/v6{path}");
    let mut request = Request::builder().method(method).uri(url).header("X-Nuage-PatchType", "add");
    let certificate = PeerCertificate { common_name: ASKER.to_owned() };
    request.extensions_mut().unwrap().insert(certificate);
    let response = vsd.router().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    (parts.status, body.collect().await.unwrap().to_bytes().to_vec())
}

fn watched(vsd: &Vsd) -> Vec<Vec<Value>> {
    WATCHED.iter().map(|entity| vsd.snapshot(entity)).collect()
}

async fn holds(requests: Vec<(Method, (usize, &'static str), bool, Value)>) {
    let (vsd, objects) = site();
    for (method, (number, child), confirmed, body) in requests {
        let (resource, id) = &objects[number % objects.len()];
        let object = if id.is_empty() { String::new() } else { format!("/{resource}/{id}") };
        let query = if confirmed { "?responseChoice=1" } else { "" };
        let path = format!("{object}{child}{query}");
        let before = watched(&vsd);
        let (status, answer) = exchange(&vsd, &method, &path, with_ids(body, &objects).to_string()).await;
        assert!(!status.is_server_error(), "{method} {path}: {status}");
        let json: Value =
            if answer.is_empty() { Value::Null } else { serde_json::from_slice(&answer).unwrap() };
        if status.is_success() {
            let envelope = json["responseMetadata"]["total"].is_u64();
            assert!(json.is_null() || json.is_array() || envelope, "{method} {path}: {json}");
        } else {
            let text = &json["errors"][0]["descriptions"][0]["description"];
            assert!(text.is_string(), "{method} {path}: {status} {json}");
            assert!(before == watched(&vsd), "{method} {path} is refused and changes something");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn every_request_has_an_answer_in_form_and_a_refused_one_changes_nothing(
        requests in proptest::collection::vec((method(), path(), any::<bool>(), body()), 1..12)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(holds(requests));
    }
}
