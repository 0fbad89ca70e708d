//! Promises of the VSD's events, made at its router: whoever polls is told of every change that it may see, once
//! and in order, however polls and changes interleave; and nobody waits longer than documented.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use nuage_emulator::clock::Clock;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::vsd::Vsd;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceExt as _;

#[derive(Clone)]
struct Client {
    vsd: Vsd,
    user: String,
    organization: String,
}

impl Client {
    fn new() -> Self {
        let clock = Clock::Virtual { epoch: 1_700_000_000_123, start: Instant::now() };
        let vsd = Vsd::new(clock, Entropy::seeded(1));
        Self { vsd, user: "csproot".to_owned(), organization: "csp".to_owned() }
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
        let secret = STANDARD.encode(format!("{}:csproot", self.user));
        let request = Request::builder()
            .method(method)
            .uri(format!("https://vsd/nuage/api/v6/{path}"))
            .header("authorization", format!("XREST {secret}"))
            .header("x-nuage-organization", &self.organization)
            .body(Body::from(body.to_string()));
        let response = self.vsd.router().oneshot(request.unwrap()).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    async fn create(&self, path: &str, body: Value) -> String {
        let (status, created) = self.send(Method::POST, path, &body).await;
        assert_eq!(status, StatusCode::CREATED, "{created}");
        created[0]["ID"].as_str().unwrap().to_owned()
    }

    /// The events of one poll and the place behind them.
    async fn poll(&self, place: Option<&str>) -> (Vec<Value>, String) {
        let query = place.map(|place| format!("?uuid={place}")).unwrap_or_default();
        let (status, told) = self.send(Method::GET, &format!("events{query}"), &Value::Null).await;
        assert_eq!(status, StatusCode::OK);
        (told["events"].as_array().unwrap().clone(), told["uuid"].as_str().unwrap().to_owned())
    }

    /// A place to poll from: what a poll gives in which nothing happens.
    async fn place(&self) -> String {
        let (events, place) = self.poll(None).await;
        assert!(events.is_empty());
        place
    }
}

fn short<'a>(events: &'a [Value]) -> Vec<(&'a str, &'a str, &'a str)> {
    let text = |value: &'a Value| value.as_str().unwrap_or_default();
    events
        .iter()
        .map(|event| {
            assert_eq!(event["entities"].as_array().unwrap().len(), 1);
            (text(&event["type"]), text(&event["entityType"]), text(&event["entities"][0]["name"]))
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_change_is_told_with_the_whole_object_who_did_it_and_when() {
    let client = Client::new();
    let place = client.place().await;
    let enterprise = client.create("enterprises", json!({ "name": "acme" })).await;
    let (events, place) = client.poll(Some(&place)).await;
    assert_eq!(
        short(&events),
        [
            ("CREATE", "enterprise", "acme"),
            ("CREATE", "group", "Administrators"),
            ("CREATE", "group", "Everybody"),
            ("CREATE", "group", "Network Designer"),
        ]
    );
    let event = &events[0];
    let (_, read) = client.send(Method::GET, &format!("enterprises/{enterprise}"), &Value::Null).await;
    assert_eq!(event["entities"][0], read[0]);
    for (member, value) in [
        ("userName", json!("csproot")),
        ("enterpriseName", json!("CSP")),
        ("updateMechanism", json!("DEFAULT")),
        ("eventReceivedTime", json!(1_700_000_025_123_u64)),
        ("assoicatedEvent", json!(false)),
        ("entityVersion", Value::Null),
        ("requestID", events[1]["requestID"].clone()),
    ] {
        assert_eq!(event[member], value, "{member}");
    }

    client.send(Method::PUT, &format!("enterprises/{enterprise}"), &json!({ "description": "d" })).await;
    client.send(Method::PUT, &format!("enterprises/{enterprise}"), &json!({ "name": "" })).await;
    client.send(Method::DELETE, &format!("enterprises/{enterprise}?responseChoice=1"), &Value::Null).await;
    let (events, _) = client.poll(Some(&place)).await;
    let told = short(&events);
    assert_eq!(told[0], ("UPDATE", "enterprise", "acme"));
    assert_eq!(events[0]["entities"][0]["description"], json!("d"));
    assert_eq!(told[1..4].iter().filter(|told| told.0 == "DELETE" && told.1 == "group").count(), 3);
    assert_eq!(
        told[4..],
        [("DELETE", "enterprise", "acme")],
        "after what lay below it, and no refused change"
    );
}

#[tokio::test(start_paused = true)]
async fn a_poll_ends_with_the_documented_time_or_a_quarter_of_a_second_after_something_happened() {
    let client = Client::new();
    let start = Instant::now();
    let (events, place) = client.poll(None).await;
    assert!(events.is_empty());
    assert_eq!(start.elapsed(), Duration::from_secs(25));
    let (_, same) = client.poll(Some(&place)).await;
    assert_eq!(same, place, "an empty reply leaves the listener where it was");

    let start = Instant::now();
    let listener = client.clone();
    let from = place.clone();
    let waiting = tokio::spawn(async move { (listener.poll(Some(&from)).await, start.elapsed()) });
    sleep(Duration::from_secs(3)).await;
    client.create("enterprises", json!({ "name": "a" })).await;
    sleep(Duration::from_millis(200)).await;
    client.create("enterprises", json!({ "name": "b" })).await;
    let ((events, next), elapsed) = waiting.await.unwrap();
    assert_eq!(events.len(), 8, "what happened together is told together");
    assert_eq!(elapsed, Duration::from_millis(3250));
    assert_ne!(next, place);

    let start = Instant::now();
    client.create("enterprises", json!({ "name": "c" })).await;
    assert_eq!(client.poll(Some(&next)).await.0.len(), 4);
    assert_eq!(start.elapsed(), Duration::ZERO, "what is known is told at once");
}

#[tokio::test(start_paused = true)]
async fn a_reply_holds_a_hundred_events_and_the_next_one_goes_on_behind_them() {
    let client = Client::new();
    let mut place = client.place().await;
    for number in 0..60 {
        client.create("enterprises", json!({ "name": format!("e{number:02}") })).await;
    }
    let mut sizes = Vec::new();
    let mut names = Vec::new();
    for _ in 0..3 {
        let (events, next) = client.poll(Some(&place)).await;
        sizes.push(events.len());
        let enterprises = short(&events).into_iter().filter(|told| told.1 == "enterprise");
        names.extend(enterprises.map(|told| told.2.to_owned()));
        place = next;
    }
    assert_eq!(sizes, [100, 100, 40]);
    assert_eq!(names, (0..60).map(|number| format!("e{number:02}")).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_listener_hears_of_its_own_enterprise_and_of_nobody_elses() {
    let client = Client::new();
    let mine = client.create("enterprises", json!({ "name": "mine" })).await;
    let other = client.create("enterprises", json!({ "name": "other" })).await;
    let user = json!({ "userName": "u", "password": "csproot", "firstName": "u", "lastName": "u", "email": "u@mine.invalid" });
    client.create(&format!("enterprises/{mine}/users"), user).await;
    let tenant = Client { user: "u".to_owned(), organization: "mine".to_owned(), ..client.clone() };
    let place = tenant.place().await;
    // A member without a role sees the users and groups of the own enterprise.
    for (enterprise, name) in [(&other, "theirs"), (&mine, "ours")] {
        client.create(&format!("enterprises/{enterprise}/groups"), json!({ "name": name })).await;
    }
    client.send(Method::DELETE, &format!("enterprises/{other}?responseChoice=1"), &Value::Null).await;
    let (events, place) = tenant.poll(Some(&place)).await;
    assert_eq!(short(&events), [("CREATE", "group", "ours")]);
    assert!(tenant.poll(Some(&place)).await.0.is_empty());

    let stranger = Client { user: "nobody".to_owned(), ..client };
    assert_eq!(stranger.send(Method::GET, "events", &Value::Null).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(stranger.send(Method::POST, "events", &Value::Null).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test(start_paused = true)]
async fn a_place_that_nobody_knows_is_a_new_beginning() {
    let client = Client::new();
    client.create("enterprises", json!({ "name": "before" })).await;
    for query in ["?uuid=5fb1c4a5-0000-4000-8000-000000000000", "?uuid=nonsense", "?uuid=", "?other=1"] {
        let (status, told) = client.send(Method::GET, &format!("events{query}"), &Value::Null).await;
        assert_eq!((status, &told["events"]), (StatusCode::OK, &json!([])));
        assert!(told["uuid"].is_string());
    }
    // A client that hangs up before it has heard of its place leaves nothing behind that others would wait for.
    for _ in 0..5000 {
        let _ = timeout(Duration::from_millis(1), client.poll(None)).await;
    }
    let place = client.place().await;
    client.create("enterprises", json!({ "name": "after" })).await;
    assert_eq!(short(&client.poll(Some(&place)).await.0)[0], ("CREATE", "enterprise", "after"));
}

#[tokio::test(start_paused = true)]
async fn members_that_come_and_go_are_an_update_of_the_group() {
    let client = Client::new();
    let enterprise = client.create("enterprises", json!({ "name": "acme" })).await;
    let group = client.send(Method::GET, &format!("enterprises/{enterprise}/groups"), &Value::Null).await.1;
    let group = group[0]["ID"].as_str().unwrap().to_owned();
    let user = json!({ "userName": "u", "password": "p", "firstName": "u", "lastName": "u", "email": "u@mine.invalid" });
    let user = client.create(&format!("enterprises/{enterprise}/users"), user).await;
    let place = client.place().await;
    client.send(Method::PUT, &format!("groups/{group}/users"), &json!([user])).await;
    let (events, place) = client.poll(Some(&place)).await;
    assert_eq!(short(&events), [("UPDATE", "group", "Administrators")]);
    client.send(Method::PUT, &format!("groups/{group}/users"), &json!([user])).await;
    assert!(client.poll(Some(&place)).await.0.is_empty(), "nothing changed");
}

/// What a listener makes of the events: the descriptions of the enterprises that there are.
#[derive(Default)]
struct Mirror(BTreeMap<String, Value>);

impl Mirror {
    fn apply(&mut self, event: &Value) {
        if event["entityType"] != json!("enterprise") {
            return;
        }
        let id = event["entities"][0]["ID"].as_str().unwrap().to_owned();
        let before = match event["type"].as_str().unwrap() {
            "DELETE" => self.0.remove(&id),
            _ => self.0.insert(id, event["entities"][0]["description"].clone()),
        };
        // Told once and in order, a creation is of something new and all else of something known.
        assert!(before.is_none() == (event["type"] == json!("CREATE")), "{event}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Create,
    Update(u8),
    Delete(u8),
    Pause(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Create),
        3 => any::<u8>().prop_map(Step::Update),
        2 => any::<u8>().prop_map(Step::Delete),
        2 => (0..2000_u16).prop_map(Step::Pause),
    ]
}

async fn write(client: Client, steps: Vec<Step>, writer: usize, left: Arc<AtomicUsize>) {
    let mut mine = Vec::new();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Create => {
                let body = json!({ "name": format!("{writer}-{number}") });
                mine.push(client.create("enterprises", body).await);
            }
            Step::Update(which) if !mine.is_empty() => {
                let path = format!("enterprises/{}", mine[usize::from(which) % mine.len()]);
                client.send(Method::PUT, &path, &json!({ "description": format!("{number}") })).await;
            }
            Step::Delete(which) if !mine.is_empty() => {
                let id = mine.swap_remove(usize::from(which) % mine.len());
                client
                    .send(Method::DELETE, &format!("enterprises/{id}?responseChoice=1"), &Value::Null)
                    .await;
            }
            Step::Pause(milliseconds) => sleep(Duration::from_millis(milliseconds.into())).await,
            Step::Update(_) | Step::Delete(_) => tokio::task::yield_now().await,
        }
    }
    left.fetch_sub(1, Ordering::SeqCst);
}

/// Polls until the writers are done and there is nothing more to hear. `losses` says after how many milliseconds
/// the client loses patience in its next polls, again and again; 0 stands for patience.
async fn mirror(client: Client, mut place: String, losses: Vec<u16>, left: Arc<AtomicUsize>) -> Mirror {
    let mut mirror = Mirror::default();
    let mut losses = losses.into_iter().cycle();
    loop {
        let writers = left.load(Ordering::SeqCst);
        let patience = losses.next().filter(|milliseconds| *milliseconds > 0);
        let patience = patience.map_or(Duration::from_mins(1), |limit| Duration::from_millis(limit.into()));
        // The reply is lost on its way, or it never came.
        let Ok((events, next)) = timeout(patience, client.poll(Some(&place))).await else { continue };
        if patience.subsec_millis() % 2 == 1 {
            continue;
        }
        if events.is_empty() && writers == 0 {
            return mirror;
        }
        for event in &events {
            mirror.apply(event);
        }
        place = next;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_change_is_missed_or_told_twice_however_polls_losses_and_writers_interleave(
        writers in prop::collection::vec(prop::collection::vec(step(), 1..25), 1..5),
        listeners in prop::collection::vec(prop::collection::vec(prop_oneof![Just(0_u16), 1..700_u16], 1..5), 1..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let client = Client::new();
            let left = Arc::new(AtomicUsize::new(writers.len()));
            let mut mirrors = Vec::new();
            for mut losses in listeners {
                // Somebody who never has patience would never hear of the end.
                losses.push(0);
                let place = client.place().await;
                mirrors.push(tokio::spawn(mirror(client.clone(), place, losses, Arc::clone(&left))));
            }
            for (number, steps) in writers.into_iter().enumerate() {
                tokio::spawn(write(client.clone(), steps, number, Arc::clone(&left)));
            }
            let mut real = BTreeMap::new();
            for handle in mirrors {
                let told = handle.await.unwrap();
                if real.is_empty() {
                    let enterprises = client.vsd.snapshot("enterprise").into_iter();
                    real = enterprises
                        .filter(|object| object["name"] != json!("CSP"))
                        .map(|object| (object["ID"].as_str().unwrap().to_owned(), object["description"].clone()))
                        .collect();
                }
                assert_eq!(told.0, real);
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_on_several_threads_are_all_heard() {
    let client = Client::new();
    // A first poll that is answered, so that its place is known.
    let first = client.clone();
    let waiting = tokio::spawn(async move { first.poll(None).await });
    while !waiting.is_finished() {
        client
            .create("enterprises", json!({ "name": format!("begin-{:p}-{:?}", &client, Instant::now()) }))
            .await;
        sleep(Duration::from_millis(5)).await;
    }
    let (_, place) = waiting.await.unwrap();
    let (left, mut writers) = (Arc::new(AtomicUsize::new(4)), Vec::new());
    for writer in 0..4 {
        let steps = (0..120).map(|number| if number % 3 == 2 { Step::Update(number) } else { Step::Create });
        writers.push(tokio::spawn(write(client.clone(), steps.collect(), writer, Arc::clone(&left))));
    }
    let mut told = BTreeSet::new();
    let mut place = place;
    while told.len() < 4 * 80 {
        let (events, next) = client.poll(Some(&place)).await;
        for event in &events {
            let name = event["entities"][0]["name"].as_str().unwrap_or_default();
            if event["type"] == json!("CREATE")
                && event["entityType"] == json!("enterprise")
                && !name.starts_with("begin")
            {
                assert!(told.insert(name.to_owned()), "{name} was told twice");
            }
        }
        place = next;
    }
    for writer in writers {
        writer.await.unwrap();
    }
}
