//! Promises of the VSC, against the emulated VRS and the emulated VSD, over OVSDB's bytes in memory.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::StatusCode;
use nuage_emulator::clock::Clock;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::http::{HttpService, PeerCertificate, in_process};
use nuage_emulator::vrs::{DATABASE, Vrs, VrsOptions};
use nuage_emulator::vsc::{Connecting, Controller, Follower, Stream, prepare};
use nuage_emulator::vsd::{Site, Vsd, client};
use nuage_ovsdb::client::{Client, Limits};
use serde_json::{Value, json};

const URL: &str = "https://vsd/nuage/api/v6";

struct World {
    vsd: Vsd,
    vrs: Vrs,
    faults: Faults,
    _controller: tokio::task::JoinHandle<()>,
}

#[derive(Clone, Default)]
struct Faults {
    /// The VSD answers 503.
    unavailable: Arc<AtomicBool>,
    /// Milliseconds that the VSD takes for each answer.
    delay: Arc<AtomicU64>,
}

struct Pod<'a> {
    name: &'a str,
    subnet: &'a str,
    metadata: Value,
}

impl<'a> Pod<'a> {
    fn new(name: &'a str) -> Self {
        Self { name, subnet: "s", metadata: json!(["map", []]) }
    }
}

fn site(subnet: &str, address: &str) -> Site {
    Site {
        enterprise: "acme".to_owned(),
        domain: "cluster".to_owned(),
        zone: "shop".to_owned(),
        subnet: subnet.to_owned(),
        address: address.parse().unwrap(),
    }
}

fn vsd() -> Vsd {
    let clock = Clock::Virtual { epoch: 0, start: tokio::time::Instant::now() };
    let vsd = Vsd::new(clock, Entropy::seeded(1));
    vsd.bootstrap(&site("s", "10.1.0.0/24")).unwrap();
    vsd
}

fn peer(vsd: &Vsd, faults: &Faults) -> HttpService {
    let faults = faults.clone();
    let router =
        vsd.router().layer(from_fn(move |request: Request, next: Next| fail(faults.clone(), request, next)));
    in_process(router, Some(PeerCertificate { common_name: "csproot".to_owned() }))
}

async fn fail(faults: Faults, request: Request, next: Next) -> Response {
    tokio::time::sleep(Duration::from_millis(faults.delay.load(Ordering::Relaxed))).await;
    if !faults.unavailable.load(Ordering::Relaxed) {
        return next.run(request).await;
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

fn run(controller: Controller, vrs: &Vrs) -> tokio::task::JoinHandle<()> {
    let vrs = vrs.clone();
    tokio::spawn(async move {
        let connect = move || -> Connecting {
            let stream = vrs.connect();
            Box::pin(async move {
                let stream = stream.ok_or(std::io::ErrorKind::ConnectionRefused)?;
                Ok(Box::new(stream) as Box<dyn Stream>)
            })
        };
        match controller.run(connect).await {}
    })
}

fn world() -> World {
    let (vsd, faults) = (vsd(), Faults::default());
    let options = VrsOptions { empty: false, system_id: "node-1".to_owned() };
    let vrs = Vrs::new(Entropy::seeded(2), &options).unwrap();
    let follower = Follower::new(peer(&vsd, &faults), URL);
    let controller = run(Controller::new(peer(&vsd, &faults), URL).following(&follower), &vrs);
    tokio::spawn(async move { match follower.run().await {} });
    World { vsd, vrs, faults, _controller: controller }
}

impl World {
    fn transact(&self, operations: &[Value]) {
        for result in self.vrs.server().transact(DATABASE, operations) {
            assert!(result.get("error").is_none_or(Value::is_null), "{result}");
        }
    }

    fn insert_port(&self, pod: &Pod<'_>) {
        self.transact(&[json!({ "op": "insert", "table": "Nuage_Port_Table", "row": {
            "name": format!("nu{}", pod.name), "mac": "02:00:00:00:00:01", "bridge": "alubr0",
            "nuage_domain": "cluster", "nuage_zone": "shop", "nuage_network": pod.subnet,
            "nuage_network_type": "ipv4", "vm_domain": 4, "metadata": pod.metadata,
        } })]);
    }

    fn insert_entity(&self, pod: &Pod<'_>) {
        self.transact(&[json!({ "op": "insert", "table": "Nuage_VM_Table", "row": {
            "type": 4, "event": 2, "event_type": 0, "state": 1, "reason": 1, "domain": 4,
            "vm_uuid": format!("uuid-{}", pod.name), "vm_name": pod.name, "nuage_user": "admin",
            "nuage_enterprise": "acme", "ports": format!("nu{}", pod.name),
        } })]);
    }

    fn add(&self, pod: &Pod<'_>) {
        self.insert_port(pod);
        self.insert_entity(pod);
    }

    fn delete(&self, table: &str, column: &str, value: &str) {
        self.transact(&[json!({ "op": "delete", "table": table, "where": [[column, "==", value]] })]);
    }

    fn port(&self, name: &str) -> Value {
        let rows = self.vrs.server().rows(DATABASE, "Nuage_Port_Table");
        let row = rows.into_iter().find(|(_, row)| row["name"] == format!("nu{name}"));
        serde_json::to_value(row.unwrap_or_else(|| panic!("no port of {name}")).1).unwrap()
    }

    fn address(&self, name: &str) -> String {
        self.port(name)["ip_addr"].as_str().unwrap().to_owned()
    }

    fn containers(&self) -> Vec<String> {
        let containers = self.vsd.snapshot("container");
        let mut names: Vec<String> =
            containers.iter().map(|container| container["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }
}

/// Lets everything that is not waiting for a later time happen: virtual time moves only when all tasks wait.
async fn settled() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

#[tokio::test(start_paused = true)]
async fn a_port_is_resolved_when_its_row_and_an_entity_that_lists_it_are_there() {
    let world = world();
    let pod = Pod::new("a");
    world.insert_port(&pod);
    settled().await;
    assert_eq!(world.address("a"), "");
    world.insert_entity(&pod);
    settled().await;
    let port = world.port("a");
    assert_eq!((&port["ip_addr"], &port["subnet_mask"]), (&json!("10.1.0.2"), &json!("255.255.255.0")));
    assert_eq!(port["gateway"], json!("10.1.0.1"));
    let (subnet, domain) = (world.vsd.snapshot("subnet").remove(0), world.vsd.snapshot("domain").remove(0));
    assert_eq!((&port["evpn_id"], &port["vrf_id"]), (&subnet["serviceID"], &domain["serviceID"]));
    let container = world.vsd.snapshot("container").remove(0);
    assert_eq!((&container["UUID"], &container["VRSID"]), (&json!("uuid-a"), &json!("node-1")));
    assert_eq!(container["userName"], json!("admin"));
    let vport = world.vsd.snapshot("vport").remove(0);
    assert_eq!((&vport["name"], &vport["active"]), (&json!("nua"), &json!(true)));
    assert_eq!(container["interfaces"][0]["MAC"], json!("02:00:00:00:00:01"));
}

#[tokio::test(start_paused = true)]
async fn the_entity_may_come_first_and_one_that_is_only_defined_resolves_once_it_starts() {
    let world = world();
    let pod = Pod::new("a");
    world.insert_entity(&pod);
    world.transact(&[
        json!({ "op": "update", "table": "Nuage_VM_Table", "where": [], "row": { "event": 0 } }),
    ]);
    settled().await;
    world.insert_port(&pod);
    settled().await;
    assert_eq!(world.address("a"), "");
    world.transact(&[
        json!({ "op": "update", "table": "Nuage_VM_Table", "where": [], "row": { "event": 2 } }),
    ]);
    settled().await;
    assert_eq!(world.address("a"), "10.1.0.2");
}

#[tokio::test(start_paused = true)]
async fn an_entity_that_goes_takes_its_objects_along_and_leaves_its_port_row() {
    let world = world();
    for name in ["a", "b"] {
        world.add(&Pod::new(name));
    }
    settled().await;
    assert_eq!((world.address("a"), world.address("b")), ("10.1.0.2".to_owned(), "10.1.0.3".to_owned()));
    world.delete("Nuage_VM_Table", "vm_uuid", "uuid-a");
    settled().await;
    assert_eq!(world.containers(), ["b"]);
    assert_eq!(world.vsd.snapshot("vport").len(), 1);
    assert_eq!(world.port("a")["name"], json!("nua"));
    world.delete("Nuage_Port_Table", "name", "nua");
    world.add(&Pod::new("c"));
    settled().await;
    assert_eq!(world.address("c"), "10.1.0.2", "what was freed is given again");
}

#[tokio::test(start_paused = true)]
async fn stopped_and_undefined_entities_lose_their_objects() {
    for (event, kind) in [(5, 0), (5, 1), (1, 0)] {
        let world = world();
        world.add(&Pod::new("a"));
        settled().await;
        assert_eq!(world.containers(), ["a"]);
        let row = json!({ "event": event, "event_type": kind });
        world.transact(&[json!({ "op": "update", "table": "Nuage_VM_Table", "where": [], "row": row })]);
        settled().await;
        assert!(world.containers().is_empty(), "{event}/{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_static_address_is_honoured_and_one_that_is_taken_is_waited_for() {
    let world = world();
    let fixed = |name| Pod { metadata: json!(["map", [["static-ip", "10.1.0.77"]]]), ..Pod::new(name) };
    world.add(&fixed("a"));
    settled().await;
    world.add(&fixed("b"));
    settled().await;
    assert_eq!((world.address("a"), world.address("b")), ("10.1.0.77".to_owned(), String::new()));
    world.delete("Nuage_VM_Table", "vm_uuid", "uuid-a");
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(world.address("b"), "10.1.0.77");
}

#[tokio::test(start_paused = true)]
async fn a_port_of_an_unknown_subnet_waits_without_holding_up_others_until_the_subnet_is_there() {
    let world = world();
    world.add(&Pod { subnet: "later", ..Pod::new("a") });
    world.add(&Pod::new("b"));
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!((world.address("a"), world.address("b")), (String::new(), "10.1.0.2".to_owned()));
    assert_eq!(world.containers(), ["b"]);
    world.vsd.bootstrap(&site("later", "10.2.0.0/24")).unwrap();
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(world.address("a"), "10.2.0.2");
}

#[tokio::test(start_paused = true)]
async fn a_vsd_that_fails_is_asked_again() {
    let world = world();
    world.faults.unavailable.store(true, Ordering::Relaxed);
    world.add(&Pod::new("a"));
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(world.address("a"), "");
    world.faults.unavailable.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(world.address("a"), "10.1.0.2");
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_of_the_switch_addresses_stay_and_what_went_meanwhile_is_removed() {
    let world = world();
    for name in ["a", "b"] {
        world.add(&Pod::new(name));
    }
    settled().await;
    world.vrs.stop();
    settled().await;
    world.delete("Nuage_VM_Table", "vm_uuid", "uuid-a");
    world.delete("Nuage_Port_Table", "name", "nua");
    world.add(&Pod::new("c"));
    // The row forgets its answer, the VSD does not.
    let forget = json!({ "ip_addr": "", "subnet_mask": "", "gateway": "" });
    world.transact(&[json!({ "op": "update", "table": "Nuage_Port_Table", "where": [], "row": forget })]);
    tokio::time::sleep(Duration::from_mins(1)).await;
    world.vrs.start(false);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(world.containers(), ["b", "c"]);
    assert_eq!(world.address("b"), "10.1.0.3");
    assert!(!world.address("c").is_empty());
    world.vrs.stop();
    world.vrs.start(true);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(world.containers().is_empty(), "rows that a restart lost are gone");
}

#[tokio::test(start_paused = true)]
async fn a_container_of_another_switch_is_taken_over_but_never_removed() {
    let world = world();
    world.add(&Pod::new("a"));
    settled().await;
    let options = VrsOptions { empty: false, system_id: "node-2".to_owned() };
    let other = Vrs::new(Entropy::seeded(3), &options).unwrap();
    let _second = run(Controller::new(peer(&world.vsd, &Faults::default()), URL), &other);
    settled().await;
    assert_eq!(world.containers(), ["a"], "an empty switch removes nothing of another");
    for (_, row) in world.vrs.server().rows(DATABASE, "Nuage_Port_Table") {
        let mut row = serde_json::to_value(row).unwrap();
        row.as_object_mut().unwrap().retain(|column, _| !column.starts_with('_'));
        row["ip_addr"] = json!("");
        other
            .server()
            .transact(DATABASE, &[json!({ "op": "insert", "table": "Nuage_Port_Table", "row": row })]);
    }
    for (_, row) in world.vrs.server().rows(DATABASE, "Nuage_VM_Table") {
        let mut row = serde_json::to_value(row).unwrap();
        row.as_object_mut().unwrap().retain(|column, _| !column.starts_with('_'));
        other
            .server()
            .transact(DATABASE, &[json!({ "op": "insert", "table": "Nuage_VM_Table", "row": row })]);
    }
    settled().await;
    world.delete("Nuage_VM_Table", "vm_uuid", "uuid-a");
    settled().await;
    assert_eq!(world.containers(), ["a"]);
    assert_eq!(world.vsd.snapshot("container")[0]["VRSID"], json!("node-2"));
    assert_eq!(other.server().rows(DATABASE, "Nuage_Port_Table")[0].1["ip_addr"], json!("10.1.0.2"));
}

#[tokio::test(start_paused = true)]
async fn two_ports_of_one_entity_have_an_interface_each_and_come_and_go_alone() {
    let world = world();
    let (a, b) = (Pod::new("a"), Pod::new("b"));
    world.add(&a);
    settled().await;
    world.insert_port(&b);
    let ports = |ports: Value| json!({ "op": "update", "table": "Nuage_VM_Table", "where": [], "row": { "ports": ports } });
    world.transact(&[ports(json!(["set", ["nua", "nub"]]))]);
    settled().await;
    assert_eq!((world.address("a"), world.address("b")), ("10.1.0.2".to_owned(), "10.1.0.3".to_owned()));
    assert_eq!((world.containers().len(), world.vsd.snapshot("containerinterface").len()), (1, 2));
    world.transact(&[ports(json!("nub"))]);
    settled().await;
    let left = world.vsd.snapshot("containerinterface");
    assert_eq!((left.len(), &left[0]["name"], &left[0]["IPAddress"]), (1, &json!("nub"), &json!("10.1.0.3")));
}

#[tokio::test(start_paused = true)]
async fn a_port_that_moves_to_another_subnet_gets_an_address_there() {
    let world = world();
    world.vsd.bootstrap(&site("t", "10.2.0.0/24")).unwrap();
    world.add(&Pod::new("a"));
    settled().await;
    let row = json!({ "nuage_network": "t" });
    world.transact(&[json!({ "op": "update", "table": "Nuage_Port_Table", "where": [], "row": row })]);
    settled().await;
    assert_eq!(world.address("a"), "10.2.0.2");
    assert_eq!(world.vsd.snapshot("containerinterface").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_too_late_is_not_written_into_a_row_that_asks_for_something_else() {
    let world = world();
    world.vsd.bootstrap(&site("t", "10.2.0.0/24")).unwrap();
    settled().await;
    world.faults.delay.store(1_000, Ordering::Relaxed);
    world.add(&Pod::new("a"));
    // Container, enterprise, domain, zone and subnet are looked up, then the container is made.
    tokio::time::sleep(Duration::from_millis(5_500)).await;
    let row = json!({ "nuage_network": "t" });
    world.transact(&[json!({ "op": "update", "table": "Nuage_Port_Table", "where": [], "row": row })]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!((world.containers(), world.address("a")), (vec!["a".to_owned()], String::new()));
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(world.address("a"), "10.2.0.2");
}

#[tokio::test(start_paused = true)]
async fn a_row_that_goes_while_it_is_resolved_leaves_nothing_behind() {
    let world = world();
    world.faults.delay.store(1_000, Ordering::Relaxed);
    world.add(&Pod::new("a"));
    tokio::time::sleep(Duration::from_millis(6_500)).await;
    world.delete("Nuage_VM_Table", "vm_uuid", "uuid-a");
    world.delete("Nuage_Port_Table", "name", "nua");
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(world.containers().is_empty() && world.vsd.snapshot("vport").is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_vport_joins_the_policy_groups_it_names_and_a_missing_one_does_not_matter() {
    let world = world();
    let client = client::Client::new(peer(&world.vsd, &Faults::default()), URL);
    let domain = world.vsd.snapshot("domain")[0]["ID"].as_str().unwrap().to_owned();
    let group = json!({ "name": "web", "type": "SOFTWARE" });
    let group = client.create(&format!("domains/{domain}/policygroups"), &group).await.unwrap();
    world.add(&Pod { metadata: json!(["map", [["nuage-policy-group", "web, none"]]]), ..Pod::new("a") });
    settled().await;
    assert_eq!(world.address("a"), "10.1.0.2");
    let members = format!("policygroups/{}/vports", group["ID"].as_str().unwrap());
    assert_eq!(client.list(&members, None).await.unwrap()[0]["name"], json!("nua"));
}

#[tokio::test(start_paused = true)]
async fn the_vport_joins_the_redirection_target_it_names() {
    let world = world();
    let client = client::Client::new(peer(&world.vsd, &Faults::default()), URL);
    let domain = world.vsd.snapshot("domain")[0]["ID"].as_str().unwrap().to_owned();
    let target = json!({ "name": "firewall", "endPointType": "L3" });
    let target = client.create(&format!("domains/{domain}/redirectiontargets"), &target).await.unwrap();
    world.add(&Pod { metadata: json!(["map", [["nuage-redirection-target", "firewall"]]]), ..Pod::new("a") });
    settled().await;
    let members = format!("redirectiontargets/{}/vports", target["ID"].as_str().unwrap());
    assert_eq!(client.list(&members, None).await.unwrap()[0]["name"], json!("nua"));
}

/// What somebody else does in the VSD.
async fn operator(world: &World) -> client::Client {
    settled().await;
    client::Client::new(peer(&world.vsd, &Faults::default()), URL)
}

/// Long enough for the VSD to tell of a change, which it does in batches.
async fn told() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

fn interface_of(world: &World, name: &str) -> String {
    let interfaces = world.vsd.snapshot("containerinterface");
    let found = interfaces.iter().find(|interface| interface["name"] == format!("nu{name}")).unwrap();
    format!("containerinterfaces/{}", found["ID"].as_str().unwrap())
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_changed_in_the_vsd_reaches_the_row_and_stays() {
    let world = world();
    let fixed = json!(["map", [["static-ip", "10.1.0.9"]]]);
    world.add(&Pod { metadata: fixed, ..Pod::new("a") });
    world.add(&Pod::new("b"));
    let operator = operator(&world).await;
    for (name, address) in [("a", "10.1.0.77"), ("b", "10.1.0.78")] {
        operator.update(&interface_of(&world, name), &json!({ "IPAddress": address })).await.unwrap();
        told().await;
        assert_eq!(world.address(name), address);
    }
    assert_eq!(world.port("a")["metadata"], json!(["map", [["static-ip", "10.1.0.77"]]]));
    let subnet = world.vsd.snapshot("subnet")[0]["ID"].as_str().unwrap().to_owned();
    operator.update(&format!("subnets/{subnet}"), &json!({ "gateway": "10.1.0.254" })).await.unwrap();
    told().await;
    assert_eq!(world.port("a")["gateway"], json!("10.1.0.254"));
    assert_eq!((world.address("a"), world.address("b")), ("10.1.0.77".to_owned(), "10.1.0.78".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_port_whose_interface_is_deleted_in_the_vsd_loses_its_address_until_its_entity_starts_again() {
    for whole in [false, true] {
        let world = world();
        world.add(&Pod::new("a"));
        let operator = operator(&world).await;
        let gone = if whole {
            format!("containers/{}", world.vsd.snapshot("container")[0]["ID"].as_str().unwrap())
        } else {
            interface_of(&world, "a")
        };
        operator.delete(&gone).await.unwrap();
        told().await;
        assert_eq!(world.address("a"), "0.0.0.0");
        assert!(world.vsd.snapshot("containerinterface").is_empty(), "nobody makes it again");
        world.transact(&[
            json!({ "op": "update", "table": "Nuage_VM_Table", "where": [["vm_uuid", "==", "uuid-a"]],
                                 "row": { "event": 2, "event_type": 1 } }),
        ]);
        settled().await;
        assert_eq!(world.address("a"), "10.1.0.2");
    }
}

#[tokio::test(start_paused = true)]
async fn an_interface_that_is_moved_to_another_zone_takes_its_row_along() {
    let world = world();
    let elsewhere = Site { zone: "attic".to_owned(), ..site("top", "10.2.0.0/24") };
    world.vsd.bootstrap(&elsewhere).unwrap();
    world.add(&Pod::new("a"));
    let operator = operator(&world).await;
    let container = format!("containers/{}", world.vsd.snapshot("container")[0]["ID"].as_str().unwrap());
    let subnets = world.vsd.snapshot("subnet");
    let subnet = subnets.iter().find(|subnet| subnet["name"] == json!("top")).unwrap()["ID"].clone();
    operator.delete(&interface_of(&world, "a")).await.unwrap();
    let moved =
        json!({ "name": "nua", "VPortName": "nua", "MAC": "02:00:00:00:00:01", "attachedNetworkID": subnet });
    operator.create(&format!("{container}/containerinterfaces"), &moved).await.unwrap();
    told().await;
    let port = world.port("a");
    assert_eq!([&port["ip_addr"], &port["gateway"]], [&json!("10.2.0.2"), &json!("10.2.0.1")]);
    assert_eq!([&port["nuage_zone"], &port["nuage_network"]], [&json!("attic"), &json!("top")]);
    assert_eq!(world.vsd.snapshot("containerinterface").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_changes_while_the_vsd_is_away_is_followed_when_it_is_back() {
    let world = world();
    world.add(&Pod::new("a"));
    let operator = operator(&world).await;
    world.faults.unavailable.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_mins(1)).await;
    operator.update(&interface_of(&world, "a"), &json!({ "IPAddress": "10.1.0.99" })).await.unwrap();
    world.faults.unavailable.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(world.address("a"), "10.1.0.99");
}

#[tokio::test(start_paused = true)]
async fn a_container_that_was_made_in_the_vsd_before_is_activated_by_rows_that_name_no_place() {
    let world = world();
    let operator = operator(&world).await;
    let subnet = world.vsd.snapshot("subnet")[0]["ID"].clone();
    let interface =
        json!({ "MAC": "02:00:00:00:00:01", "attachedNetworkID": subnet, "IPAddress": "10.1.0.42" });
    let made = json!({ "name": "a", "UUID": "uuid-a", "orchestrationID": "o", "interfaces": [interface] });
    world.transact(&[
        json!({ "op": "insert", "table": "Nuage_Port_Table", "row": {
            "name": "nua", "mac": "02:00:00:00:00:01", "bridge": "alubr0", "vm_domain": 4 } }),
        json!({ "op": "insert", "table": "Nuage_VM_Table", "row": {
            "type": 4, "event": 0, "event_type": 0, "state": 1, "vm_uuid": "uuid-a", "vm_name": "a", "ports": "nua",
            "metadata": ["map", [["nuage-extension", "true"]]] } }),
    ]);
    settled().await;
    assert_eq!(world.address("a"), "", "there is nothing to activate yet");
    operator.create("containers", &made).await.unwrap();
    tokio::time::sleep(Duration::from_secs(15)).await;
    let port = world.port("a");
    assert_eq!([&port["ip_addr"], &port["gateway"]], [&json!("10.1.0.42"), &json!("10.1.0.1")]);
    let domain = &world.vsd.snapshot("domain")[0];
    assert_eq!(port["vrf_id"], domain["serviceID"]);
    assert_eq!(world.vsd.snapshot("containerinterface").len(), 1);
    assert_eq!(world.vsd.snapshot("container")[0]["VRSID"], json!("node-1"));
    world.delete("Nuage_VM_Table", "vm_uuid", "uuid-a");
    settled().await;
    assert!(world.containers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_pods_is_resolved_without_an_address_given_twice() {
    let world = world();
    for number in 0..200 {
        world.add(&Pod::new(&number.to_string()));
    }
    settled().await;
    let mut addresses: Vec<String> = (0..200).map(|number| world.address(&number.to_string())).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!((addresses.len(), addresses.contains(&String::new())), (200, false));
    world.transact(&[json!({ "op": "delete", "table": "Nuage_VM_Table", "where": [] })]);
    settled().await;
    assert!(world.containers().is_empty() && world.vsd.snapshot("vport").is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_same_events_make_the_same_objects_and_the_same_answers() {
    let run = async || {
        let world = world();
        world.faults.delay.store(7, Ordering::Relaxed);
        for number in 0..40 {
            world.add(&Pod::new(&number.to_string()));
            if number % 3 == 0 {
                world.delete("Nuage_VM_Table", "vm_uuid", &format!("uuid-{}", number / 2));
                settled().await;
            }
        }
        tokio::time::sleep(Duration::from_mins(1)).await;
        let rows = world.vrs.server().rows(DATABASE, "Nuage_Port_Table");
        let objects = ["container", "containerinterface", "vport"].map(|entity| world.vsd.snapshot(entity));
        format!("{rows:?} {objects:?}")
    };
    assert_eq!(run().await, run().await);
}

#[tokio::test(start_paused = true)]
async fn preparing_makes_a_bare_switch_a_vrs_once() {
    let vrs = Vrs::new(Entropy::seeded(2), &VrsOptions { empty: true, system_id: String::new() }).unwrap();
    let client = Client::spawn(vrs.connect().unwrap(), Limits::default());
    prepare(&client).await.unwrap();
    prepare(&client).await.unwrap();
    let rows = |table| vrs.server().rows(DATABASE, table);
    assert_eq!(rows("Open_vSwitch").len(), 1);
    assert_eq!((rows("Bridge").len(), &rows("Bridge")[0].1["name"]), (1, &json!("alubr0")));
    assert_eq!((rows("Controller").len(), &rows("Controller")[0].1["role"]), (1, &json!("master")));
    let forget = json!({ "role": ["set", []], "is_connected": false });
    vrs.server()
        .transact(DATABASE, &[json!({ "op": "update", "table": "Controller", "where": [], "row": forget })]);
    prepare(&client).await.unwrap();
    assert_eq!((rows("Controller").len(), &rows("Controller")[0].1["role"]), (1, &json!("master")));

    let vsd = vsd();
    let controller = Controller::new(peer(&vsd, &Faults::default()), URL).preparing();
    let task = run(controller, &vrs);
    let world = World { vsd, vrs: vrs.clone(), faults: Faults::default(), _controller: task };
    world.add(&Pod::new("a"));
    settled().await;
    assert_eq!(world.address("a"), "10.1.0.2");
    assert_eq!(
        world.vsd.snapshot("container")[0]["VRSID"].as_str(),
        Some(rows("Open_vSwitch")[0].0.to_string().as_str())
    );
}
