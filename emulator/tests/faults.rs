//! The faults of a running emulator: turned on and off by its own command line, and met by whoever talks to it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

#[path = "support/emulator.rs"]
mod emulator;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use nuage_emulator::clock::Clock;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::faults::http::{Api, layered};
use nuage_emulator::faults::{CERTAIN, Faults, Setting, Value as Given, Values};
use nuage_emulator::http::{HttpService, PeerCertificate, TlsIdentity, in_process, remote};
use nuage_emulator::kube::Kube;
use nuage_emulator::pki::Pki;
use nuage_ovsdb::client::{Client, Limits};
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tower::ServiceExt as _;

struct Emulator {
    process: emulator::Emulator,
    endpoints: Value,
}

impl Emulator {
    fn start(directory: &Path, arguments: &[&str]) -> Self {
        let process = emulator::Emulator::start(&directory.join("site"), arguments);
        let endpoints = std::fs::read(process.site.join("endpoints.json")).unwrap();
        Self { process, endpoints: serde_json::from_slice(&endpoints).unwrap() }
    }

    /// Calls `emulator fault` with these words.
    fn fault(&self, words: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_emulator"))
            .arg("fault")
            .args(words.split_whitespace())
            .arg("--dir")
            .arg(&self.process.site)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn told(&self, words: &str) -> Value {
        let output = self.fault(&format!("{words} --json"));
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn refused(&self, words: &str, why: &str) {
        let output = self.fault(words);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(why), "{words}: {text}");
    }

    async fn switch(&self, node: usize) -> Client {
        let endpoint = self.endpoints["nodes"][node]["vrs"].as_str().unwrap();
        let stream = UnixStream::connect(endpoint.strip_prefix("unix:").unwrap()).await.unwrap();
        Client::spawn(stream, Limits::default())
    }

    fn trust(&self) -> TlsIdentity {
        let pki = Pki::open(&self.process.site.join("pki")).unwrap();
        TlsIdentity { authorities: pki.authority.into_bytes(), client: None }
    }

    /// The status that the VSD gives a stranger: 401 where nothing is wrong.
    async fn vsd(&self) -> Result<u16, String> {
        let url = format!("{}/v6/me", self.endpoints["vsd"].as_str().unwrap());
        let request = http::Request::builder().uri(url).body(Bytes::new()).unwrap();
        let response = remote(&self.trust()).unwrap().oneshot(request).await;
        response.map(|response| response.status().as_u16()).map_err(|error| format!("{error:?}"))
    }
}

const PATIENCE: Duration = Duration::from_secs(10);

async fn controllers(client: &Client) -> Value {
    let select = json!(["Open_vSwitch", {"op": "select", "table": "Controller", "where": [], "columns": ["role", "is_connected"]}]);
    client.call("transact", select, PATIENCE).await.unwrap()[0]["rows"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_emulator_has_its_faults_turned_on_and_off() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = Emulator::start(directory.path(), &["--nodes", "2", "--only", "vrs,vsd"]);
    let admin = Path::new(emulator.endpoints["admin"].as_str().unwrap());
    assert_eq!(std::fs::metadata(admin).unwrap().permissions().mode() & 0o777, 0o600);

    let list = emulator.told("list");
    let names: Vec<&str> =
        list["faults"].as_array().unwrap().iter().map(|fault| fault["name"].as_str().unwrap()).collect();
    let all: Vec<&str> = nuage_emulator::faults::ALL.iter().map(|fault| fault.name).collect();
    assert_eq!((names, &list["on"]), (all, &json!([])));
    let text = String::from_utf8(emulator.fault("list").stdout).unwrap();
    assert!(
        text.contains("vrs.slow") && text.contains("delay=") && text.contains("no fault is on"),
        "{text}"
    );

    // An operation of one node's switch fails twice, then never.
    emulator.told("on vrs.operation_error --node node-2 --times 2 op=select table=Bridge error=aborted");
    let select =
        || json!(["Open_vSwitch", {"op": "select", "table": "Bridge", "where": [], "columns": ["name"]}]);
    let (first, second) = (emulator.switch(0).await, emulator.switch(1).await);
    for (client, wanted) in [
        (&first, Value::Null),
        (&second, json!("aborted")),
        (&second, json!("aborted")),
        (&second, Value::Null),
    ] {
        let answer = client.call("transact", select(), PATIENCE).await.unwrap();
        assert_eq!(answer[0]["error"], wanted);
    }
    // It has run out, so it is not on any more, but what it did is counted.
    let list = emulator.told("list");
    let hits = list["faults"].as_array().unwrap().iter().find(|fault| fault["name"] == "vrs.operation_error");
    assert_eq!((&hits.unwrap()["hits"], &list["on"]), (&json!(2), &json!([])));

    // A state of one switch comes and goes with the fault.
    let master = json!({"role": "master", "is_connected": true});
    assert_eq!(controllers(&first).await, master);
    emulator.told("on vrs.controller_lost --node node-1");
    assert_eq!(controllers(&first).await, json!({"role": "slave", "is_connected": false}));
    assert_eq!(controllers(&second).await, master);
    emulator.told("off vrs.controller_lost");
    assert_eq!(controllers(&first).await, master);

    // A switch that is away takes its connections along and takes no new ones; then it is back.
    emulator.told("on vrs.restart --node node-1");
    assert!(first.call("echo", json!([]), PATIENCE).await.is_err());
    assert!(emulator.switch(0).await.call("echo", json!([]), PATIENCE).await.is_err());
    assert!(second.call("echo", json!([]), PATIENCE).await.is_ok());
    emulator.told("off --all");
    assert_eq!(controllers(&emulator.switch(0).await).await, master);

    assert_eq!(emulator.vsd().await, Ok(401));
    emulator.told("on vsd.unavailable path=/me");
    assert_eq!(emulator.vsd().await, Ok(503));
    emulator.told("off vsd.unavailable");
    emulator.told("on vsd.wrong_certificate --times 1");
    let error = emulator.vsd().await.unwrap_err();
    assert!(error.contains("UnknownIssuer"), "{error}");
    emulator.told("on vsd.down");
    emulator.vsd().await.expect_err("no connection");
    emulator.told("off --all");
    assert_eq!(emulator.vsd().await, Ok(401));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_in_words_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = Emulator::start(directory.path(), &["--only", "vrs"]);
    emulator.refused("on vrs.slwo", "vrs.slow");
    emulator.refused("off vrs.slwo", "vrs.slow");
    emulator.refused("on vrs.slow speed=3s", "it has: delay");
    emulator.refused("on vrs.slow delay=soon", "a duration like 2s");
    emulator.refused("on vrs.slow --chance 2", "from 0 to 1");
    emulator.refused("on vrs.slow --chance 0", "never strikes");
    emulator.refused("on vrs.slow --for never", "like 10s");
    emulator.refused("on vrs.slow --node node-7", "no node \"node-7\"");
    emulator.refused("off", "required");
    assert_eq!(emulator.told("list")["on"], json!([]));
    let socket = emulator.endpoints["admin"].as_str().unwrap();
    let talk = |bytes: &'static [u8]| async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = UnixStream::connect(socket).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    for bytes in [&b"nonsense\n"[..], b"{\"verb\":\"dance\"}\n", b"{\"verb\":\"list\",\"more\":1}\n", b"\n"] {
        assert!(talk(bytes).await.contains("no request"), "{bytes:?}");
    }
}

/// A Kubernetes API in this process with two pods, and its faults.
struct Served {
    kube: Kube,
    faults: Faults,
    http: HttpService,
}

impl Served {
    fn new() -> Self {
        let kube = Kube::new(Clock::starting_at(0), Entropy::seeded(1));
        let faults = Faults::new(Entropy::seeded(2));
        kube.add_token("t");
        for name in ["one", "two"] {
            pod(&kube, name);
        }
        let http = in_process(layered(kube.router(), Api::Kube, &faults), None);
        Self { kube, faults, http }
    }

    fn on(&self, name: &str) -> u64 {
        self.faults.on(name, Setting::default()).unwrap()
    }

    async fn get(&self, path: &str) -> http::Response<nuage_emulator::http::BoxBody> {
        let request = http::Request::builder()
            .uri(format!("http://kube{path}"))
            .header("Authorization", "Bearer t")
            .body(Bytes::new())
            .unwrap();
        self.http.clone().oneshot(request).await.unwrap()
    }

    async fn names(&self) -> Vec<String> {
        let list = json_of(self.get(PODS).await).await;
        let items = list["items"].as_array().unwrap().clone();
        items.iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }
}

const PODS: &str = "/api/v1/namespaces/default/pods";

fn pod(kube: &Kube, name: &str) {
    kube.create(json!({"kind": "Pod", "metadata": {"namespace": "default", "name": name}})).unwrap();
}

async fn json_of(response: http::Response<nuage_emulator::http::BoxBody>) -> Value {
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_api_server_tells_lists_that_are_stale_or_empty() {
    let api = Served::new();
    assert_eq!(api.names().await, ["one", "two"]);
    let stale = api.on("kube.stale_list");
    assert_eq!(api.names().await, ["one", "two"]);
    pod(&api.kube, "three");
    assert_eq!(api.names().await, ["one", "two"], "as it was");
    assert_eq!(api.faults.off(stale), Some(1));
    assert_eq!(api.names().await.len(), 3);
    let empty = api.on("kube.empty_list");
    assert!(api.names().await.is_empty());
    assert_eq!(json_of(api.get(&format!("{PODS}/one")).await).await["metadata"]["name"], "one", "no list");
    api.faults.off(empty);
    assert_eq!(api.names().await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_watch_is_gone_or_leaves_events_out() {
    let api = Served::new();
    let gone = api.on("kube.gone");
    let response = api.get(&format!("{PODS}?watch=true&resourceVersion=1")).await;
    assert_eq!(response.status(), 410);
    assert_eq!(json_of(response).await["reason"], "Expired");
    api.faults.off(gone);
    // A watch that began before the gap.
    let version =
        json_of(api.get(PODS).await).await["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let mut watch = api.get(&format!("{PODS}?watch=true&resourceVersion={version}")).await.into_body();
    let mut next = async || {
        let frame = watch.frame().await.unwrap().unwrap().into_data().unwrap();
        serde_json::from_slice::<Value>(&frame).unwrap()["object"]["metadata"]["name"].clone()
    };
    pod(&api.kube, "three");
    assert_eq!(next().await, "three");
    api.faults.on("kube.watch_gap", Setting { times: Some(1), ..Setting::default() }).unwrap();
    pod(&api.kube, "four");
    // The watcher has to be asked for the event before it can be lost.
    let waiting = tokio::time::timeout(Duration::from_secs(1), next());
    assert!(waiting.await.is_err(), "the event was told");
    pod(&api.kube, "five");
    assert_eq!(next().await, "five");
}

#[tokio::test(start_paused = true)]
async fn refusals_have_the_form_of_their_service_and_bodies_break_off() {
    let api = Served::new();
    for (fault, status, reason) in [
        ("kube.unauthorized", 401, "Unauthorized"),
        ("kube.token_expired", 401, "Unauthorized"),
        ("kube.forbidden", 403, "Forbidden"),
        ("kube.conflict", 409, "Conflict"),
        ("kube.throttled", 429, "TooManyRequests"),
        ("kube.error", 500, "InternalError"),
        ("kube.unavailable", 503, "ServiceUnavailable"),
    ] {
        let id = api.on(fault);
        let response = api.get(PODS).await;
        assert_eq!(response.status(), status, "{fault}");
        let retry = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(retry.as_deref(), (status == 429).then_some("1"), "{fault}");
        let body = json_of(response).await;
        assert_eq!(
            (&body["kind"], &body["reason"], &body["code"]),
            (&json!("Status"), &json!(reason), &json!(status))
        );
        api.faults.off(id);
    }
    let id = api.on("kube.truncated");
    api.get(PODS).await.into_body().collect().await.expect_err("the body breaks off");
    api.faults.off(id);
    let values = Values::default().with("delay", Given::Span(Duration::from_secs(3), Duration::from_secs(3)));
    api.faults.on("kube.slow", Setting { values, chance: CERTAIN, ..Setting::default() }).unwrap();
    let began = tokio::time::Instant::now();
    assert_eq!(api.get(PODS).await.status(), 200);
    assert!(began.elapsed() >= Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_one_node_is_met_by_its_certificate_and_its_token_alone() {
    let api = Served::new();
    let nodes = Some(vec!["node-1".to_owned()]);
    api.faults.on("kube.error", Setting { nodes, ..Setting::default() }).unwrap();
    for (name, status) in [("node-1", 500), ("node-2", 200)] {
        let peer = PeerCertificate { common_name: name.to_owned() };
        let http = in_process(layered(api.kube.router(), Api::Kube, &api.faults), Some(peer));
        let request = http::Request::builder().uri(format!("http://kube{PODS}")).body(Bytes::new()).unwrap();
        assert_eq!(http.oneshot(request).await.unwrap().status(), status, "{name}");
    }
    assert_eq!(api.get(PODS).await.status(), 200, "a token of nobody's");
    api.faults.introduce("t", "node-1");
    assert_eq!(api.get(PODS).await.status(), 500);
}
