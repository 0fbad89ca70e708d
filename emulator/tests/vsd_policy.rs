//! The evaluator of policies against a naive one, over all pairs of random topologies that were made through the REST
//! API; and the command that explains.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail by panicking")]

#[path = "support/emulator.rs"]
mod emulator;

use std::collections::BTreeSet;
use std::net::IpAddr;

use emulator::Emulator;
use nuage_emulator::clock::Clock;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::http::{PeerCertificate, in_process};
use nuage_emulator::vsd::Vsd;
use nuage_emulator::vsd::client::{Client, id};
use nuage_emulator::vsd::policy::{self, Action, Endpoint, Reason, Traffic};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

const ZONES: usize = 3;
const GROUPS: usize = 3;
/// Network macros: the first holds the first zone's pods, the second what is outside, the third everything.
const MACROS: [(&str, &str); 3] =
    [("10.0.0.0", "255.255.255.0"), ("192.0.2.0", "255.255.255.0"), ("0.0.0.0", "0.0.0.0")];
/// Expressions of the groups: the last names one that there is not.
const EXPRESSIONS: [&str; 3] = ["g0 || g1 && !g2", "!(g0 || g1)", "nobody || g2"];
const OUTSIDE: &str = "192.0.2.7";

/// Where an end is to be: the naive evaluator's own words.
#[derive(Clone, Copy, Debug)]
enum Where {
    Any,
    Domain,
    SameZone,
    SameSubnet,
    Zone(usize),
    Subnet(usize),
    Group(usize),
    Expression(usize),
    Macro(usize),
    /// The group of the first two macros.
    Macros,
}

#[derive(Clone, Debug)]
struct Entry {
    egress: bool,
    template: Index,
    drop: bool,
    /// Protocol and destination port, or any.
    about: Option<(u8, Option<u16>)>,
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
    /// For each pod its zone and the policy groups that it is in.
    pods: Vec<(usize, BTreeSet<usize>)>,
    templates: Vec<Template>,
    entries: Vec<Entry>,
}

fn location() -> impl Strategy<Value = Where> {
    prop_oneof![
        Just(Where::Any),
        (0..ZONES).prop_map(Where::Zone),
        (0..ZONES).prop_map(Where::Subnet),
        (0..GROUPS).prop_map(Where::Group),
        (0..EXPRESSIONS.len()).prop_map(Where::Expression),
    ]
}

fn network() -> impl Strategy<Value = Where> {
    prop_oneof![
        location(),
        Just(Where::Domain),
        Just(Where::SameZone),
        Just(Where::SameSubnet),
        (0..MACROS.len()).prop_map(Where::Macro),
        Just(Where::Macros),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let pod = (0..ZONES, prop::collection::btree_set(0..GROUPS, 0..GROUPS));
    let template = (any::<bool>(), prop::bool::weighted(0.8), prop::bool::weighted(0.3), any::<bool>())
        .prop_map(|(egress, active, top, allow)| Template { egress, active, top, allow });
    let about = prop::option::of((prop::sample::select(vec![6_u8, 17]), prop::option::of(Just(80_u16))));
    let entry = (any::<bool>(), any::<Index>(), any::<bool>(), about, location(), network()).prop_map(
        |(egress, template, drop, about, location, network)| Entry {
            egress,
            template,
            drop,
            about,
            location,
            network,
        },
    );
    (
        prop::collection::vec(pod, 1..6),
        prop::collection::vec(template, 0..6),
        prop::collection::vec(entry, 0..14),
    )
        .prop_map(|(pods, templates, entries)| Plan { pods, templates, entries })
}

/// A VSD and a client of it, as the operator.
fn vsd() -> (Vsd, Client) {
    let clock = Clock::Virtual { epoch: 1_700_000_000_000, start: tokio::time::Instant::now() };
    let vsd = Vsd::new(clock, Entropy::seeded(7));
    let peer = PeerCertificate { common_name: "csproot".to_owned() };
    let client = Client::new(in_process(vsd.router(), Some(peer)), "https://vsd/nuage/api/v6");
    (vsd, client)
}

async fn make(client: &Client, path: &str, body: Value) -> String {
    let made = client.create(path, &body).await.unwrap_or_else(|error| panic!("{path}: {error}"));
    id(&made).unwrap().to_owned()
}

/// The IDs of what a plan names.
struct Made {
    domain: String,
    zones: Vec<String>,
    subnets: Vec<String>,
    groups: Vec<String>,
    expressions: Vec<String>,
    macros: Vec<String>,
    macro_group: String,
}

async fn site(client: &Client) -> Made {
    let enterprise = make(client, "enterprises", json!({ "name": "acme" })).await;
    let above = format!("enterprises/{enterprise}");
    let template = make(client, &format!("{above}/domaintemplates"), json!({ "name": "t" })).await;
    let domain = json!({ "name": "web", "templateID": template });
    let domain = make(client, &format!("{above}/domains"), domain).await;
    let (mut zones, mut subnets, mut groups, mut macros) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for nth in 0..ZONES {
        let zone =
            make(client, &format!("domains/{domain}/zones"), json!({ "name": format!("z{nth}") })).await;
        let subnet = json!({ "name": "s", "address": format!("10.0.{nth}.0"), "netmask": "255.255.255.0" });
        subnets.push(make(client, &format!("zones/{zone}/subnets"), subnet).await);
        zones.push(zone);
    }
    for nth in 0..GROUPS {
        let group = json!({ "name": format!("g{nth}"), "type": "SOFTWARE" });
        groups.push(make(client, &format!("domains/{domain}/policygroups"), group).await);
    }
    let mut expressions = Vec::new();
    for (nth, expression) in EXPRESSIONS.iter().enumerate() {
        let body = json!({ "name": format!("x{nth}"), "expression": expression });
        expressions.push(make(client, &format!("domains/{domain}/pgexpressions"), body).await);
    }
    for (nth, (address, netmask)) in MACROS.iter().enumerate() {
        let body = json!({ "name": format!("m{nth}"), "address": address, "netmask": netmask });
        macros.push(make(client, &format!("{above}/enterprisenetworks"), body).await);
    }
    let macro_group = make(client, &format!("{above}/networkmacrogroups"), json!({ "name": "ms" })).await;
    for member in &macros[..2] {
        client
            .add_member(&format!("networkmacrogroups/{macro_group}/enterprisenetworks"), member)
            .await
            .unwrap();
    }
    Made { domain, zones, subnets, groups, expressions, macros, macro_group }
}

async fn pods(client: &Client, made: &Made, plan: &Plan) {
    for (nth, (zone, groups)) in plan.pods.iter().enumerate() {
        let interface = json!({ "attachedNetworkID": made.subnets[*zone] });
        let name = format!("p{nth}");
        let body = json!({ "name": name, "UUID": name, "orchestrationID": "o", "interfaces": [interface] });
        let pod = client.create("containers", &body).await.unwrap();
        let port = pod["interfaces"][0]["VPortID"].as_str().unwrap();
        for group in groups {
            client.add_member(&format!("policygroups/{}/vports", made.groups[*group]), port).await.unwrap();
        }
    }
}

fn way(egress: bool) -> &'static str {
    if egress { "egress" } else { "ingress" }
}

async fn policies(client: &Client, made: &Made, plan: &Plan) {
    let mut ids = Vec::new();
    for (nth, template) in plan.templates.iter().enumerate() {
        // The later a template stands in the plan, the earlier it comes.
        let body = json!({ "name": format!("t{nth}"), "active": template.active, "defaultAllowIP": template.allow,
                           "priority": 100 - nth, "priorityType": template.top.then_some("TOP") });
        ids.push(
            make(client, &format!("domains/{}/{}acltemplates", made.domain, way(template.egress)), body)
                .await,
        );
    }
    for (nth, entry) in plan.entries.iter().enumerate() {
        let Some(template) = template_of(plan, entry) else { continue };
        let (location, location_id) = names(entry.location, made);
        let (network, network_id) = names(entry.network, made);
        let (protocol, port) =
            entry.about.map_or(("ANY".to_owned(), None), |(protocol, port)| (protocol.to_string(), port));
        let body = json!({
            "etherType": "0x0800", "DSCP": "*", "protocol": protocol, "description": format!("e{nth}"),
            "destinationPort": port.map_or("*".to_owned(), |port| port.to_string()), "sourcePort": "*",
            "action": if entry.drop { "DROP" } else { "FORWARD" }, "priority": 50 - nth,
            "locationType": location, "locationID": location_id, "networkType": network, "networkID": network_id,
        });
        let way = way(entry.egress);
        make(client, &format!("{way}acltemplates/{}/{way}aclentrytemplates", ids[template]), body).await;
    }
}

fn template_of(plan: &Plan, entry: &Entry) -> Option<usize> {
    let fitting: Vec<usize> =
        (0..plan.templates.len()).filter(|nth| plan.templates[*nth].egress == entry.egress).collect();
    (!fitting.is_empty()).then(|| fitting[entry.template.index(fitting.len())])
}

/// The API's words for a place.
fn names(place: Where, made: &Made) -> (&'static str, Option<&str>) {
    match place {
        Where::Any => ("ANY", None),
        Where::Domain => ("ENDPOINT_DOMAIN", None),
        Where::SameZone => ("ENDPOINT_ZONE", None),
        Where::SameSubnet => ("ENDPOINT_SUBNET", None),
        Where::Zone(nth) => ("ZONE", Some(&made.zones[nth])),
        Where::Subnet(nth) => ("SUBNET", Some(&made.subnets[nth])),
        Where::Group(nth) => ("POLICYGROUP", Some(&made.groups[nth])),
        Where::Expression(nth) => ("PGEXPRESSION", Some(&made.expressions[nth])),
        Where::Macro(nth) => ("ENTERPRISE_NETWORK", Some(&made.macros[nth])),
        Where::Macros => ("NETWORK_MACRO_GROUP", Some(&made.macro_group)),
    }
}

/// Who talks: a pod of the plan, or somebody outside.
type End = Option<usize>;

/// The naive evaluator: of all entries that match, the one whose place in one flat order is the lowest. It reads the
/// plan, never the VSD.
fn naive(plan: &Plan, (from, to): (End, End), (protocol, port): (u8, u16)) -> (bool, Vec<String>) {
    let mut allowed = true;
    let mut reasons = Vec::new();
    for (egress, here, there) in [(false, from, to), (true, to, from)] {
        if here.is_none() {
            continue;
        }
        let mut best: Option<((bool, isize, isize), usize)> = None;
        for (nth, entry) in plan.entries.iter().enumerate() {
            let Some(template) = template_of(plan, entry) else { continue };
            let about = entry.about.is_none_or(|(p, at)| p == protocol && at.is_none_or(|at| at == port));
            let hit = entry.egress == egress
                && plan.templates[template].active
                && about
                && at(plan, entry.location, here, there)
                && at(plan, entry.network, there, here);
            let rank = (!plan.templates[template].top, -template.cast_signed(), -nth.cast_signed());
            if hit && best.is_none_or(|(lowest, _)| rank < lowest) {
                best = Some((rank, nth));
            }
        }
        let active = plan.templates.iter().enumerate().filter(|(_, one)| one.active && one.egress == egress);
        let last = active.max_by_key(|(nth, one)| (!one.top, -nth.cast_signed()));
        let (forward, reason) = match (best, last) {
            (Some((_, nth)), _) => (!plan.entries[nth].drop, format!("e{nth}")),
            (None, Some((nth, template))) => (template.allow, format!("t{nth}")),
            (None, None) => (false, "nothing".to_owned()),
        };
        allowed &= forward;
        reasons.push(reason);
    }
    (allowed, reasons)
}

fn at(plan: &Plan, place: Where, end: End, other: End) -> bool {
    let zone = |end: End| end.map(|nth| plan.pods[nth].0);
    match place {
        // Macro 2 is the whole world.
        Where::Any | Where::Macro(2..) => true,
        Where::Domain => end.is_some(),
        // Each zone has one subnet.
        Where::SameZone | Where::SameSubnet => end.is_some() && zone(end) == zone(other),
        Where::Zone(nth) | Where::Subnet(nth) => zone(end) == Some(nth),
        Where::Group(nth) => end.is_some_and(|end| plan.pods[end].1.contains(&nth)),
        Where::Expression(nth) => end.is_some_and(|end| {
            let [zero, one, two] = [0, 1, 2].map(|group| plan.pods[end].1.contains(&group));
            [zero || one && !two, !zero && !one, two][nth]
        }),
        Where::Macro(0) => zone(end) == Some(0),
        Where::Macro(1) => end.is_none(),
        Where::Macros => end.is_none() || zone(end) == Some(0),
    }
}

fn reason(reason: &Reason) -> String {
    match reason {
        Reason::Entry(rule, _) => rule.description.clone(),
        Reason::Default(template) => template.name.clone(),
        Reason::NoTemplate => "nothing".to_owned(),
    }
}

async fn compare(plan: Plan) {
    let (_, client) = vsd();
    let made = site(&client).await;
    pods(&client, &made, &plan).await;
    policies(&client, &made, &plan).await;
    let domain = policy::read(&client, Some("acme"), Some("web")).await.unwrap();
    assert_eq!(domain.endpoints.len(), plan.pods.len());
    let end = |nth: End| match nth {
        Some(nth) => domain.find(&format!("p{nth}"))[0].clone(),
        None => Endpoint::outside(OUTSIDE.parse::<IpAddr>().unwrap()),
    };
    let all: Vec<End> = (0..plan.pods.len()).map(Some).chain([None]).collect();
    for pair in all.iter().flat_map(|from| all.iter().map(move |to| (*from, *to))) {
        for (protocol, port) in [(6, 80), (6, 443), (17, 80), (1, 0)] {
            let traffic = Traffic { protocol, source_port: 50_000, destination_port: port, dscp: 0 };
            let verdict = domain.may(&end(pair.0), &end(pair.1), traffic);
            let reasons: Vec<String> = verdict.steps.iter().map(|step| reason(&step.reason)).collect();
            let expected = naive(&plan, pair, (protocol, port));
            assert_eq!((verdict.allowed(), reasons), expected, "{pair:?} {protocol}/{port}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_evaluator_agrees_with_a_naive_one_about_every_pair(plan in plan()) {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(compare(plan));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_prepared_decides_only_when_it_is_applied() {
    let (_, client) = vsd();
    let made = site(&client).await;
    let plan = Plan {
        pods: vec![(0, BTreeSet::new()), (1, BTreeSet::new())],
        templates: Vec::new(),
        entries: Vec::new(),
    };
    pods(&client, &made, &plan).await;
    let above = format!("domains/{}", made.domain);
    for way in ["ingress", "egress"] {
        make(
            &client,
            &format!("{above}/{way}acltemplates"),
            json!({ "name": "open", "active": true, "defaultAllowIP": true }),
        )
        .await;
    }
    let traffic = Traffic { protocol: 6, source_port: 1, destination_port: 80, dscp: 0 };
    let allowed = async || {
        let domain = policy::read(&client, None, Some("web")).await.unwrap();
        let verdict = domain.may(domain.find("p0")[0], domain.find("p1")[0], traffic);
        (verdict.allowed(), verdict.decisive().map(|step| step.action).unwrap())
    };
    assert_eq!(allowed().await, (true, Action::Forward));
    for (end, expected) in [("DISCARD", (true, Action::Forward)), ("APPLY", (false, Action::Drop))] {
        make(&client, &format!("{above}/jobs"), json!({ "command": "BEGIN_POLICY_CHANGES" })).await;
        let template = json!({ "name": "closed", "active": true, "priority": -1 });
        let template = make(&client, &format!("{above}/ingressacltemplates"), template).await;
        let entry = json!({ "etherType": "0x0800", "DSCP": "*", "action": "DROP", "locationType": "ANY", "networkType": "ANY" });
        make(&client, &format!("ingressacltemplates/{template}/ingressaclentrytemplates"), entry).await;
        assert_eq!(allowed().await, (true, Action::Forward), "a draft decides nothing");
        make(&client, &format!("{above}/jobs"), json!({ "command": format!("{end}_POLICY_CHANGES") })).await;
        assert_eq!(allowed().await, expected, "{end}");
    }
}

/// Two pods, one of which may talk to the other, but not the other way round.
const SITE: &str = r#"
[[enterprise]]
name = "acme"

[[enterprise.domaintemplate]]
as = "plain"
name = "Plain"

[[enterprise.domain]]
name = "web"
templateID = "@plain"

[[enterprise.domain.zone]]
name = "inside"

[[enterprise.domain.zone.subnet]]
as = "front"
name = "front"
address = "10.1.0.0"
netmask = "255.255.255.0"

[[enterprise.domain.ingressacltemplate]]
name = "out"
active = true
defaultAllowIP = true
priority = 5

[[enterprise.domain.egressacltemplate]]
name = "in"
active = true
priority = 7

[[enterprise.domain.egressacltemplate.egressaclentrytemplate]]
action = "FORWARD"
description = "to the database"
DSCP = "*"
etherType = "0x0800"
locationType = "POLICYGROUP"
locationID = "@databases"
networkType = "ENDPOINT_SUBNET"
protocol = "6"
destinationPort = "5432"
priority = 3

[[enterprise.domain.policygroup]]
as = "databases"
name = "databases"
type = "SOFTWARE"
vport = ["@port"]

[[enterprise.domain.zone.subnet.vport]]
as = "port"
name = "db-port"
type = "CONTAINER"

[[container]]
name = "app"
UUID = "u1"
orchestrationID = "o"
[[container.containerinterface]]
attachedNetworkID = "@front"

[[container]]
name = "db"
UUID = "u2"
orchestrationID = "o"
[[container.containerinterface]]
VPortID = "@port"
"#;

#[test]
fn the_command_line_says_who_may_talk_to_whom_and_which_entry_decides() {
    let directory = tempfile::tempdir().unwrap();
    let emulator = Emulator::start(&directory.path().join("site"), &["--only", "vsd"]);
    let file = directory.path().join("site.toml");
    std::fs::write(&file, SITE).unwrap();
    let (code, _, told) = emulator.vsd(&["import", file.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{told}");

    let (code, said, told) = emulator.vsd(&["explain", "app", "db", "--domain", "web", "--port", "5432"]);
    assert_eq!(code, Some(0), "{told}");
    let app = "app (10.1.0.3) -> db (10.1.0.2): allowed\n  ingress at app: FORWARD by the default of \"out\", since no \
               entry matches\n  egress at db: FORWARD by the entry \"to the database\" (priority 3) of \"in\" (priority 7)\n";
    let addresses = ["10.1.0.2", "10.1.0.3"];
    let swapped =
        app.replace(addresses[0], "x").replace(addresses[1], addresses[0]).replace('x', addresses[1]);
    assert!(said == app || said == swapped, "{said}");
    let (_, said, _) = emulator.vsd(&["explain", "app", "db", "--domain", "web", "--port", "80"]);
    assert!(said.contains("denied\n"), "{said}");

    let (_, said, _) = emulator.vsd(&["explain", "db", "app", "--domain", "web", "--json"]);
    let json: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&json["allowed"], &json["from"]["name"]), (&json!(false), &json!("db")));
    let steps = json["steps"].as_array().unwrap();
    assert_eq!([&steps[0]["action"], &steps[0]["decisive"]], [&json!("FORWARD"), &json!(false)]);
    assert_eq!([&steps[1]["action"], &steps[1]["decisive"]], [&json!("DROP"), &json!(true)]);
    assert_eq!((&steps[1]["entry"], &steps[1]["template"]["name"]), (&Value::Null, &json!("in")));
    let (_, said, _) = emulator.vsd(&["explain", "db-port", "192.0.2.1", "--enterprise", "acme"]);
    assert!(said.starts_with("db (10.1.0.") && said.contains("-> 192.0.2.1: allowed"), "{said}");

    for (arguments, words) in [
        (["explain", "nobody", "db", "--domain", "web"], "has nobody called nobody"),
        (["explain", "app", "db", "--domain", "nowhere"], "no domain \"nowhere\""),
        (["explain", "app", "::1", "--domain", "web"], "no family of addresses in common"),
        (["explain", "app", "db", "--protocol", "ip"], "is none of tcp"),
    ] {
        let (code, _, told) = emulator.vsd(&arguments);
        assert!(code != Some(0) && told.contains(words), "{told}");
    }
}
