//! Who reaches whom, measured with packets, is what the VSD's evaluator says: for random policies, of several domains at a time
//! whose containers have the same addresses, over two nodes.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use nuage_emulator::vsd::client::id;
use nuage_emulator::vsd::policy::{self, Traffic};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use tokio::time::Instant;

use super::lab::{Lab, Place, Pod, can_run};
use super::probe::{Kind, Servers, reach, serve};

/// 208 policies: the domains change theirs together.
const DOMAINS: usize = 8;
const ROUNDS: usize = 26;
const GROUPS: usize = 3;
/// Zones and third numbers of the subnets, and the subnets and nodes of the containers.
const SUBNETS: [usize; 4] = [0, 0, 1, 1];
const PODS: [(usize, usize); 6] = [(0, 1), (0, 2), (1, 1), (2, 1), (2, 2), (3, 2)];
/// Network macros: the first subnet, what is outside, everything.
const MACROS: [(&str, &str); 3] =
    [("10.0.0.0", "255.255.255.0"), ("192.0.2.0", "255.255.255.0"), ("0.0.0.0", "0.0.0.0")];
const KINDS: [Kind; 4] = [Kind::Ping, Kind::Udp(80), Kind::Udp(81), Kind::Tcp(80)];
/// How long a policy may take until packets obey it, on a loaded machine, and how long one look at all pairs takes at most.
const SETTLED: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(1500);

#[derive(Clone, Copy, Debug)]
enum Where {
    Any,
    Domain,
    SameZone,
    SameSubnet,
    Zone(usize),
    Subnet(usize),
    Group(usize),
    Macro(usize),
    Macros,
}

#[derive(Clone, Debug)]
struct Entry {
    egress: bool,
    template: Index,
    drop: bool,
    protocol: Option<u8>,
    port: Option<&'static str>,
    dscp: bool,
    location: Where,
    network: Where,
}

#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "as many switches as an ACL template has")]
struct Template {
    egress: bool,
    active: bool,
    top: bool,
    allow: bool,
}

#[derive(Clone, Debug)]
struct Plan {
    /// For each container the policy groups that it is in.
    groups: Vec<BTreeSet<usize>>,
    templates: Vec<Template>,
    entries: Vec<Entry>,
}

fn location() -> impl Strategy<Value = Where> {
    prop_oneof![
        Just(Where::Any),
        (0..2_usize).prop_map(Where::Zone),
        (0..SUBNETS.len()).prop_map(Where::Subnet),
        (0..GROUPS).prop_map(Where::Group),
    ]
}

fn network() -> impl Strategy<Value = Where> {
    prop_oneof![
        2 => location(),
        1 => Just(Where::Domain),
        1 => Just(Where::SameZone),
        1 => Just(Where::SameSubnet),
        1 => (0..MACROS.len()).prop_map(Where::Macro),
        1 => Just(Where::Macros),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let template = (any::<bool>(), prop::bool::weighted(0.8), prop::bool::weighted(0.3), any::<bool>())
        .prop_map(|(egress, active, top, allow)| Template { egress, active, top, allow });
    let protocol = prop::option::weighted(0.6, prop::sample::select(vec![1_u8, 6, 17]));
    let port = prop::option::weighted(0.4, prop::sample::select(vec!["80", "81", "79-80,80-90", "1-79"]));
    let head = (any::<bool>(), any::<Index>(), any::<bool>(), protocol, port, prop::bool::weighted(0.1));
    let entry = (head, location(), network()).prop_map(|(head, location, network)| {
        let (egress, template, drop, protocol, port, dscp) = head;
        Entry { egress, template, drop, protocol, port, dscp, location, network }
    });
    (
        prop::collection::vec(prop::collection::btree_set(0..GROUPS, 0..GROUPS), PODS.len()),
        prop::collection::vec(template, 2..7),
        prop::collection::vec(entry, 0..12),
    )
        .prop_map(|(groups, templates, entries)| Plan { groups, templates, entries })
}

/// A domain and its containers.
struct Domain {
    name: String,
    id: String,
    zones: Vec<String>,
    subnets: Vec<String>,
    pods: Vec<Pod>,
    ports: Vec<String>,
    groups: Vec<String>,
    /// What the last policy was made of: paths.
    made: Vec<String>,
    _servers: Vec<Servers>,
}

struct Macros {
    single: Vec<String>,
    group: String,
}

async fn macros(lab: &Lab) -> Macros {
    let above = format!("enterprises/{}", lab.enterprise);
    let mut single = Vec::new();
    for (nth, (address, netmask)) in MACROS.iter().enumerate() {
        let body = json!({ "name": format!("m{nth}"), "address": address, "netmask": netmask });
        single.push(lab.make(&format!("{above}/enterprisenetworks"), body).await);
    }
    let group = lab.make(&format!("{above}/networkmacrogroups"), json!({ "name": "ms" })).await;
    for member in &single[..2] {
        let path = format!("networkmacrogroups/{group}/enterprisenetworks");
        lab.vsd.add_member(&path, member).await.unwrap();
    }
    Macros { single, group }
}

async fn domain(lab: &mut Lab, name: &str) -> Domain {
    let id_of = lab.domain(name).await;
    let (mut zones, mut subnets) = (Vec::new(), Vec::new());
    for zone in ["z0", "z1"] {
        zones.push(lab.make(&format!("domains/{id_of}/zones"), json!({ "name": zone })).await);
    }
    for (nth, zone) in SUBNETS.iter().enumerate() {
        let (name, address) = (format!("s{nth}"), format!("10.0.{nth}.0"));
        let body = json!({ "name": name, "address": address, "netmask": "255.255.255.0" });
        subnets.push(lab.make(&format!("zones/{}/subnets", zones[*zone]), body).await);
    }
    let mut groups = Vec::new();
    for nth in 0..GROUPS {
        let body = json!({ "name": format!("g{nth}"), "type": "SOFTWARE" });
        groups.push(lab.make(&format!("domains/{id_of}/policygroups"), body).await);
    }
    let (mut pods, mut ports, mut servers) = (Vec::new(), Vec::new(), Vec::new());
    for (subnet, node) in PODS {
        let place = Place::new(name, &format!("z{}", SUBNETS[subnet]), &format!("s{subnet}"));
        let pod = lab.attach(node, &place).await;
        let path = format!("domains/{id_of}/containerinterfaces");
        let found = lab.vsd.find(&path, "IPAddress", &pod.address.to_string()).await.unwrap().unwrap();
        ports.push(found["VPortID"].as_str().unwrap().to_owned());
        servers.push(serve(&pod.netns, name));
        pods.push(pod);
    }
    Domain {
        name: name.to_owned(),
        id: id_of,
        zones,
        subnets,
        pods,
        ports,
        groups,
        made: Vec::new(),
        _servers: servers,
    }
}

/// Puts a policy in place of the last one.
async fn apply(lab: &Lab, domain: &mut Domain, macros: &Macros, plan: &Plan) {
    for path in std::mem::take(&mut domain.made) {
        lab.vsd.delete(&path).await.unwrap();
    }
    for (nth, group) in domain.groups.iter().enumerate() {
        let members = domain.ports.iter().zip(&plan.groups).filter(|(_, groups)| groups.contains(&nth));
        let members: Vec<&str> = members.map(|(port, _)| port.as_str()).collect();
        lab.members(&format!("policygroups/{group}/vports"), &members).await;
    }
    let mut templates = Vec::new();
    for (nth, template) in plan.templates.iter().enumerate() {
        let body = json!({ "name": format!("t{nth}"), "active": template.active, "defaultAllowIP": template.allow,
                           "priority": 100 - nth, "priorityType": template.top.then_some("TOP") });
        let way = way(template.egress);
        templates.push(lab.make(&format!("domains/{}/{way}acltemplates", domain.id), body).await);
    }
    for (nth, entry) in plan.entries.iter().enumerate() {
        let fitting: Vec<usize> =
            (0..templates.len()).filter(|nth| plan.templates[*nth].egress == entry.egress).collect();
        if fitting.is_empty() {
            continue;
        }
        let template = &templates[fitting[entry.template.index(fitting.len())]];
        let (location, location_id) = names(entry.location, domain, macros);
        let (network, network_id) = names(entry.network, domain, macros);
        let body = json!({
            "etherType": "0x0800", "DSCP": if entry.dscp { "10" } else { "*" },
            "protocol": entry.protocol.map_or("ANY".to_owned(), |number| number.to_string()),
            "destinationPort": entry.port.filter(|_| entry.protocol != Some(1)).unwrap_or("*"), "sourcePort": "*",
            "action": if entry.drop { "DROP" } else { "FORWARD" }, "priority": 50 - nth,
            "locationType": location, "locationID": location_id, "networkType": network, "networkID": network_id,
        });
        let way = way(entry.egress);
        lab.make(&format!("{way}acltemplates/{template}/{way}aclentrytemplates"), body).await;
    }
    let templates = plan.templates.iter().zip(&templates);
    domain.made = templates.map(|(one, id)| format!("{}acltemplates/{id}", way(one.egress))).collect();
}

fn way(egress: bool) -> &'static str {
    if egress { "egress" } else { "ingress" }
}

/// The API's words for a place.
fn names<'a>(place: Where, domain: &'a Domain, macros: &'a Macros) -> (&'static str, Option<&'a str>) {
    match place {
        Where::Any => ("ANY", None),
        Where::Domain => ("ENDPOINT_DOMAIN", None),
        Where::SameZone => ("ENDPOINT_ZONE", None),
        Where::SameSubnet => ("ENDPOINT_SUBNET", None),
        Where::Zone(nth) => ("ZONE", Some(&domain.zones[nth])),
        Where::Subnet(nth) => ("SUBNET", Some(&domain.subnets[nth])),
        Where::Group(nth) => ("POLICYGROUP", Some(&domain.groups[nth])),
        Where::Macro(nth) => ("ENTERPRISE_NETWORK", Some(&macros.single[nth])),
        Where::Macros => ("NETWORK_MACRO_GROUP", Some(&macros.group)),
    }
}

/// From whom (by number), to whom, by what.
type Reached = BTreeSet<(usize, Ipv4Addr, Kind)>;

/// Whom the evaluator lets reach whom.
async fn evaluated(lab: &Lab, domain: &Domain) -> Reached {
    let read = policy::read(&lab.vsd, Some("acme"), Some(&domain.name)).await.unwrap();
    assert_eq!(read.endpoints.len(), PODS.len());
    let end = |pod: &Pod| read.find(&pod.address.to_string())[0].clone();
    let mut allowed = BTreeSet::new();
    for (from, pod) in domain.pods.iter().enumerate() {
        for (to, kind) in targets(domain, from) {
            let (protocol, destination_port) = match kind {
                Kind::Ping => (1, 0),
                Kind::Udp(port) => (17, port),
                Kind::Tcp(port) => (6, port),
            };
            let traffic = Traffic { protocol, source_port: 40_000, destination_port, dscp: 0 };
            let other = domain.pods.iter().find(|pod| pod.address == to).unwrap();
            if read.may(&end(pod), &end(other), traffic).allowed() {
                allowed.insert((from, to, kind));
            }
        }
    }
    allowed
}

fn targets(domain: &Domain, from: usize) -> Vec<(Ipv4Addr, Kind)> {
    let others = domain.pods.iter().enumerate().filter(|(nth, _)| *nth != from);
    others.flat_map(|(_, pod)| KINDS.map(|kind| (pod.address, kind))).collect()
}

/// Who reaches whom with packets, in all domains at once.
fn measured(domains: &[Domain], expected: &[Reached]) -> Vec<Reached> {
    let mut all = Vec::new();
    for (domain, expected) in domains.iter().zip(expected) {
        for (from, pod) in domain.pods.iter().enumerate() {
            let enough = expected.iter().filter(|(nth, ..)| *nth == from).map(|(_, to, kind)| (*to, *kind));
            all.push(reach(&pod.netns, targets(domain, from), enough.collect(), LOOK));
        }
    }
    let mut found: Vec<Reached> = vec![BTreeSet::new(); domains.len()];
    for (nth, one) in all.into_iter().enumerate() {
        let (domain, from) = (nth / PODS.len(), nth % PODS.len());
        for (to, kind, name) in one.join().unwrap() {
            assert!(kind == Kind::Ping || name == domains[domain].name, "answered by another domain: {name}");
            found[domain].insert((from, to, kind));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_pass_where_the_evaluator_lets_them_and_nowhere_else_for_random_policies() {
    if !can_run("packets_pass_where_the_evaluator_lets_them_and_nowhere_else_for_random_policies") {
        return;
    }
    let mut lab = Lab::start(2).await;
    let macros = macros(&lab).await;
    let mut domains = Vec::new();
    for nth in 0..DOMAINS {
        domains.push(domain(&mut lab, &format!("d{nth}")).await);
    }
    let mut runner = TestRunner::new(Config::default());
    for round in 0..ROUNDS {
        let mut plans = Vec::new();
        let mut expected = Vec::new();
        for domain in &mut domains {
            let plan = plan().new_tree(&mut runner).unwrap().current();
            apply(&lab, domain, &macros, &plan).await;
            expected.push(evaluated(&lab, domain).await);
            plans.push(plan);
        }
        let begun = Instant::now();
        // A datagram may still belong to a connection of the policy before: twice in a row is no accident.
        let mut agreed = 0;
        while agreed < 2 {
            let found = measured(&domains, &expected);
            agreed = if found == expected { agreed + 1 } else { 0 };
            if agreed == 0 && begun.elapsed() > SETTLED {
                let wrong = (0..DOMAINS).find(|nth| found[*nth] != expected[*nth]).unwrap();
                let (found, expected) = (&found[wrong], &expected[wrong]);
                let too_much: Vec<_> = found.difference(expected).collect();
                let too_little: Vec<_> = expected.difference(found).collect();
                panic!(
                    "round {round}, {:?}\nreached against the policy {too_much:?}\nnot reached {too_little:?}\n{}",
                    plans[wrong],
                    lab.filters(1)
                );
            }
        }
    }
    lab.end().await;
}

/// The counter of an entry tells that it was hit.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_counts_what_it_decides() {
    if !can_run("an_entry_counts_what_it_decides") {
        return;
    }
    let mut lab = Lab::start(1).await;
    let domain_id = lab.domain("counted").await;
    let zone = lab.make(&format!("domains/{domain_id}/zones"), json!({ "name": "z0" })).await;
    let body = json!({ "name": "s0", "address": "10.0.0.0", "netmask": "255.255.255.0" });
    lab.make(&format!("zones/{zone}/subnets"), body).await;
    lab.allow(&domain_id).await;
    let template = lab.vsd.list(&format!("domains/{domain_id}/egressacltemplates"), None).await.unwrap();
    let entry = json!({ "etherType": "0x0800", "protocol": "17", "destinationPort": "81", "sourcePort": "*", "DSCP": "*",
                        "action": "DROP", "priority": 1, "locationType": "ANY", "networkType": "ANY" });
    let path = format!("egressacltemplates/{}/egressaclentrytemplates", id(&template[0]).unwrap());
    let entry = lab.make(&path, entry).await;
    let place = Place::new("counted", "z0", "s0");
    let (from, to) = (lab.attach(1, &place).await, lab.attach(1, &place).await);
    let _servers = serve(&to.netns, "to");
    let open = (to.address, Kind::Udp(80));
    let targets = vec![open, (to.address, Kind::Udp(81))];
    let found = reach(&from.netns, targets, BTreeSet::from([open]), Duration::from_secs(10)).join().unwrap();
    assert_eq!(found, BTreeSet::from([(to.address, Kind::Udp(80), "to".to_owned())]));
    let filters = lab.filters(1);
    let counter = filters.split(&format!("counter entry-{entry} {{")).nth(1).unwrap();
    let packets: u32 = counter.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(packets > 0, "{counter:.80}");
    lab.end().await;
}
