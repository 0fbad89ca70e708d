//! A client of the VSD's router, and a small site to begin with.

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use nuage_emulator::clock::Clock;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::vsd::Vsd;
use serde_json::{Value, json};
use tower::ServiceExt as _;

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn one(&self) -> Value {
        let Value::Array(items) = self.json() else { panic!("no array: {:?}", self.json()) };
        assert_eq!(items.len(), 1);
        items[0].clone()
    }

    pub(crate) fn id(&self) -> String {
        assert_eq!(self.status, StatusCode::CREATED, "{}", self.json());
        self.one()["ID"].as_str().unwrap().to_owned()
    }

    pub(crate) fn code(&self) -> Option<u64> {
        self.json()["internalErrorCode"].as_u64()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn refused(&self, code: u64) {
        assert_eq!((self.status, self.code()), (StatusCode::CONFLICT, Some(code)), "{}", self.json());
        assert!(self.json()["errors"][0]["descriptions"][0]["description"].is_string());
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let Value::Array(items) = self.json() else { return Vec::new() };
        items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    }
}

pub(crate) struct Client {
    pub(crate) vsd: Vsd,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) version: &'static str,
}

pub(crate) fn secret(scheme: &str, user: &str, secret: &str) -> Vec<(String, String)> {
    let encoded = STANDARD.encode(format!("{user}:{secret}"));
    vec![
        ("Authorization".to_owned(), format!("{scheme} {encoded}")),
        ("X-Nuage-Organization".to_owned(), "csp".to_owned()),
    ]
}

impl Client {
    pub(crate) fn new() -> Self {
        let clock = Clock::Virtual { epoch: 1_700_000_000_123, start: tokio::time::Instant::now() };
        let vsd = Vsd::new(clock, Entropy::seeded(1));
        Self { vsd, headers: secret("XREST", "csproot", "csproot"), version: "v6" }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Answer {
        let url = format!("https://vsd/nuage/api/{}/{path}", self.version);
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.exchange(request.body(body).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], Body::empty()).await
    }

    pub(crate) async fn filtered(&self, path: &str, filter: &str) -> Answer {
        self.send(Method::GET, path, &[("X-Nuage-Filter", filter)], Body::from("null")).await
    }

    /// A list by a filter that need not be text.
    pub(crate) async fn send_filter(&self, path: &str, filter: HeaderValue) -> Answer {
        let url = format!("https://vsd/nuage/api/{}/{path}", self.version);
        let mut request = Request::builder().uri(url).header("X-Nuage-Filter", filter);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        self.exchange(request.body(Body::empty()).unwrap()).await
    }

    async fn exchange(&self, request: Request<Body>) -> Answer {
        let response = self.vsd.router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, &[], Body::from(body.to_string())).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, &[], Body::from(body.to_string())).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], Body::from("null")).await
    }
}

pub(crate) struct Tree {
    pub(crate) client: Client,
    pub(crate) enterprise: String,
    pub(crate) template: String,
    pub(crate) domain: String,
    pub(crate) zone: String,
    pub(crate) subnet: String,
}

pub(crate) async fn tree() -> Tree {
    let client = Client::new();
    let enterprise = client.post("enterprises", json!({ "name": "acme" })).await.id();
    let template =
        client.post(&format!("enterprises/{enterprise}/domaintemplates"), json!({ "name": "t" })).await;
    let template = template.id();
    // Without the hidden zone, so that tests count what they made.
    let domain = json!({ "name": "d", "templateID": template, "createBackHaulSubnet": false });
    let domain = client.post(&format!("enterprises/{enterprise}/domains"), domain).await.id();
    let zone = client.post(&format!("domains/{domain}/zones"), json!({ "name": "z" })).await.id();
    let subnet = json!({ "name": "s", "address": "10.1.0.0", "netmask": "255.255.255.248" });
    let subnet = client.post(&format!("zones/{zone}/subnets"), subnet).await.id();
    Tree { client, enterprise, template, domain, zone, subnet }
}

impl Tree {
    pub(crate) async fn subnet(&self, name: &str, address: &str, netmask: &str) -> Answer {
        let body = json!({ "name": name, "address": address, "netmask": netmask });
        self.client.post(&format!("zones/{}/subnets", self.zone), body).await
    }

    pub(crate) async fn container(&self, name: &str, address: Option<&str>) -> Answer {
        let interface = json!({ "MAC": "02:00:00:00:00:01", "attachedNetworkID": self.subnet, "IPAddress": address,
                                "name": format!("nu{name}"), "VPortName": format!("nu{name}") });
        let uuid = format!("uuid-{name}");
        let body = json!({ "name": name, "UUID": uuid, "orchestrationID": uuid, "interfaces": [interface] });
        self.client.post("containers", body).await
    }
}

pub(crate) fn address(answer: &Answer) -> String {
    answer.one()["interfaces"][0]["IPAddress"].as_str().unwrap().to_owned()
}
