//! The one thing that a VSD must never do: hand an address out twice. Random interleavings of creations, with and
//! without a static address, and deletions, against a model of what is free.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use nuage_emulator::clock::Clock;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::vsd::{Site, Vsd};
use proptest::prelude::*;
use serde_json::{Value, json};
use tower::ServiceExt as _;

#[derive(Clone, Debug)]
enum Step {
    /// A container, perhaps with a static address (its last byte), of so many interfaces.
    Create(Option<u8>, usize),
    /// Deletes one of the containers.
    Delete(prop::sample::Index),
    /// Deletes one interface of one of the containers.
    Detach(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (prop::option::weighted(0.3, 0..20_u8), 1..3_usize).prop_map(|(fixed, n)| Step::Create(fixed, n)),
        2 => any::<prop::sample::Index>().prop_map(Step::Delete),
        1 => any::<prop::sample::Index>().prop_map(Step::Detach),
    ]
}

async fn send(vsd: &Vsd, method: Method, path: &str, body: &Value) -> (StatusCode, Value) {
    let secret = format!("XREST {}", STANDARD.encode("csproot:csproot"));
    let request = Request::builder()
        .method(method)
        .uri(format!("https://vsd/nuage/api/v6/{path}"))
        .header("authorization", secret)
        .header("x-nuage-organization", "csp")
        .body(Body::from(body.to_string()));
    let response = vsd.router().oneshot(request.unwrap()).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

/// The addresses of the stored interfaces by interface, which are all different.
fn handed_out(vsd: &Vsd) -> BTreeMap<String, String> {
    let text = |object: &Value, attribute: &str| object[attribute].as_str().unwrap().to_owned();
    let interfaces = vsd.snapshot("containerinterface");
    let by_address: BTreeMap<_, _> =
        interfaces.iter().map(|interface| (text(interface, "IPAddress"), text(interface, "ID"))).collect();
    assert_eq!(by_address.len(), interfaces.len(), "an address was handed out twice");
    by_address.into_iter().map(|(address, id)| (id, address)).collect()
}

/// The addresses that a /28 gives: all hosts but the gateway.
fn lowest_free(taken: &BTreeMap<String, String>) -> Option<String> {
    (2..15).map(|last| format!("10.0.0.{last}")).find(|address| !taken.values().any(|other| other == address))
}

async fn run(steps: Vec<Step>) {
    let clock = Clock::Virtual { epoch: 0, start: tokio::time::Instant::now() };
    let vsd = Vsd::new(clock, Entropy::seeded(1));
    let names = ["e", "d", "z", "s"].map(str::to_owned);
    let [enterprise, domain, zone, subnet] = names;
    let address = "10.0.0.0/28".parse().unwrap();
    vsd.bootstrap(&Site { enterprise, domain, zone, subnet, address }).unwrap();
    let subnet = vsd.snapshot("subnet")[0]["ID"].clone();
    let mut containers: Vec<Value> = Vec::new();
    for (number, step) in steps.into_iter().enumerate() {
        let before = handed_out(&vsd);
        match step {
            Step::Create(fixed, interfaces) => {
                let fixed = fixed.map(|last| format!("10.0.0.{last}"));
                let interface = |nth| json!({ "attachedNetworkID": subnet, "IPAddress": fixed.clone().filter(|_| nth == 0) });
                let interfaces: Vec<Value> = (0..interfaces).map(interface).collect();
                let body = json!({ "name": "c", "UUID": number.to_string(), "orchestrationID": "o", "interfaces": interfaces });
                let (status, answer) = send(&vsd, Method::POST, "containers", &body).await;
                let after = handed_out(&vsd);
                if status == StatusCode::CREATED {
                    assert_eq!(after.len(), before.len() + interfaces.len());
                    let first = answer[0]["interfaces"].as_array().unwrap().iter();
                    let expected = fixed.clone().or_else(|| lowest_free(&before)).unwrap();
                    assert!(
                        first.into_iter().any(|interface| interface["IPAddress"] == expected),
                        "{answer}"
                    );
                    containers.push(answer[0].clone());
                } else {
                    assert_eq!(after, before, "a refusal changes nothing");
                    let code = answer["internalErrorCode"].as_u64();
                    match code {
                        Some(2702) => assert!(before.len() + interfaces.len() > 13),
                        Some(2704) => {
                            let fixed = fixed.unwrap();
                            assert!(fixed == "10.0.0.1" || before.values().any(|taken| *taken == fixed));
                        }
                        _ => assert!(
                            ["10.0.0.0", "10.0.0.15"].contains(&fixed.unwrap().as_str())
                                || answer["errors"][0]["property"] == "IPAddress"
                        ),
                    }
                }
            }
            Step::Delete(index) if !containers.is_empty() => {
                let container = containers.swap_remove(index.index(containers.len()));
                let path = format!("containers/{}", container["ID"].as_str().unwrap());
                assert_eq!(send(&vsd, Method::DELETE, &path, &Value::Null).await.0, StatusCode::NO_CONTENT);
            }
            Step::Detach(index) if !before.is_empty() => {
                let id = before.keys().nth(index.index(before.len())).unwrap();
                let path = format!("containerinterfaces/{id}");
                assert_eq!(send(&vsd, Method::DELETE, &path, &Value::Null).await.0, StatusCode::NO_CONTENT);
                assert!(!handed_out(&vsd).contains_key(id));
            }
            _ => {}
        }
        assert_eq!(vsd.snapshot("vport").len(), handed_out(&vsd).len(), "each interface has one vPort");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_address_is_handed_out_twice_under_interleaved_creations_and_deletions(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(run(steps));
    }
}

/// A client that makes and deletes pods of both kinds in a dual-stack subnet. What it was given stands in `held` from
/// the answer until before the deletion is sent: whoever else is given the same meanwhile was given it twice.
async fn churn(vsd: Vsd, subnet: Value, worker: usize, held: Arc<Mutex<BTreeSet<String>>>) -> usize {
    let (mut mine, mut given) = (Vec::new(), 0);
    for round in 0..40 {
        let (path, uuid) = (["containers", "vms"][round % 2], format!("{worker}-{round}"));
        // Some ask for an address that others may have, or want, at the same moment.
        let fixed = (round % 5 == 0).then(|| format!("10.0.1.{}", 2 + (worker + round) % 12));
        let interface = json!({ "attachedNetworkID": subnet, "IPAddress": fixed });
        let body = json!({ "name": "p", "UUID": uuid, "orchestrationID": "o", "interfaces": [interface] });
        let (status, answer) = send(&vsd, Method::POST, path, &body).await;
        if status == StatusCode::CREATED {
            let interface = &answer[0]["interfaces"][0];
            let pair = ["IPAddress", "IPv6Address"].map(|one| interface[one].as_str().unwrap().to_owned());
            for address in &pair {
                assert!(held.lock().unwrap().insert(address.clone()), "{address} was handed out twice");
            }
            mine.push((format!("{path}/{}", answer[0]["ID"].as_str().unwrap()), pair));
            given += 1;
        } else {
            assert!(matches!(answer["internalErrorCode"].as_u64(), Some(2702 | 2704)), "{answer}");
        }
        tokio::task::yield_now().await;
        if mine.len() > 2 || status != StatusCode::CREATED {
            let Some((path, pair)) = mine.pop() else { continue };
            for address in &pair {
                held.lock().unwrap().remove(address);
            }
            assert_eq!(send(&vsd, Method::DELETE, &path, &Value::Null).await.0, StatusCode::NO_CONTENT);
        }
    }
    given
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_address_of_either_family_is_handed_out_twice_to_clients_that_ask_at_once() {
    let vsd = Vsd::new(Clock::System, Entropy::seeded(1));
    let names = ["e", "d", "z", "s"].map(str::to_owned);
    let [enterprise, domain, zone, subnet] = names;
    vsd.bootstrap(&Site { enterprise, domain, zone, subnet, address: "10.0.0.0/28".parse().unwrap() })
        .unwrap();
    let zone = vsd.snapshot("zone")[0]["ID"].as_str().unwrap().to_owned();
    let dual = json!({ "name": "dual", "IPType": "DUALSTACK", "address": "10.0.1.0", "netmask": "255.255.255.240",
                       "IPv6Address": "2001:db8::/64" });
    let (_, made) = send(&vsd, Method::POST, &format!("zones/{zone}/subnets"), &dual).await;
    let held = Arc::new(Mutex::new(BTreeSet::new()));
    let workers: Vec<_> = (0..8)
        .map(|worker| tokio::spawn(churn(vsd.clone(), made[0]["ID"].clone(), worker, Arc::clone(&held))))
        .collect();
    let mut given = 0;
    for worker in workers {
        given += worker.await.unwrap();
    }
    assert!(given > 20, "{given}");
}
