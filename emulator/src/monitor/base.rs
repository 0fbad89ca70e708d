//! The ACLs that a domain and each namespace have from the monitor itself, behind all network policies: pods of one namespace
//! talk to each other and to services, those of two do not, unless one of them is privileged. Touches no entry but its own.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use serde_json::{Value, json};

use super::place::{OURS, Places};
use super::policy::network;
use super::rules::Rules;
use super::services::group_of;
use crate::faults::Caller;
use crate::kube::SERVICES;
use crate::vsd::client::{Error, id};
use crate::vsd::error::code;

/// The template that decides last; of two templates the lower priority comes first.
const LAST: u32 = 1_000_000_000;
/// How many priorities are tried where one is taken, each way: the real monitor goes to and fro for ever.
const PRIORITIES: u32 = 100;
/// The namespaces whose pods talk to everybody.
const PRIVILEGED: [&str; 2] = ["kube-system", "default"];
/// The first priority of a namespace's entry.
const NAMESPACES: u32 = 300;
/// Isolation, as an annotation of a namespace asks for it: letter by letter.
const ISOLATION: (&str, &str) =
    ("net.beta.kubernetes.io/network-policy", r#"{"ingress": {"isolation": "DefaultDeny"}}"#);
/// The annotation of a namespace whose entries count what they match.
const STATISTICS: &str = "enable-stats-logging";

/// What leaves pods and what reaches them.
const WAYS: [&str; 2] = ["ingress", "egress"];

/// What the monitor remembers of these ACLs.
#[derive(Debug)]
pub(super) struct Base {
    /// The next priority of a namespace's entry.
    next: AtomicU32,
    /// Whether the domain was seen to have its own.
    complete: AtomicBool,
}

impl Default for Base {
    fn default() -> Self {
        Self { next: AtomicU32::new(NAMESPACES), complete: AtomicBool::new(false) }
    }
}

/// A template of both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Generated,
    Annotations,
}

impl Kind {
    fn name(self, way: &str) -> String {
        match (self, way) {
            (Self::Annotations, _) => "Namespace Annotations".to_owned(),
            (Self::Generated, "ingress") => "Auto-generated Ingress Policies".to_owned(),
            (Self::Generated, _) => "Auto-generated Egress Policies".to_owned(),
        }
    }

    fn priority(self) -> u32 {
        match self {
            Self::Generated => LAST,
            Self::Annotations => LAST - 1,
        }
    }
}

/// The templates by way and kind.
type Templates = BTreeMap<(&'static str, Kind), String>;

/// An entry that a namespace has or has not.
struct Entry {
    way: &'static str,
    kind: Kind,
    /// What it is found by.
    description: String,
    body: Value,
    wanted: bool,
}

/// Makes the domain have its ACLs, and a namespace, which has its place, its own. `object` is the namespace as the cluster has it.
///
/// # Errors
/// What the VSD said; the next try goes on from there.
pub(super) async fn prepare(
    places: &Places,
    rules: &Rules,
    base: &Base,
    (namespace, object): (&str, &Value),
) -> Result<(), Error> {
    places.ensure(namespace, &Caller::default()).await?;
    let zone = places.zone(namespace).ok_or_else(|| Error::Missing(format!("zone {namespace}")))?;
    // Changes of policies would take back what is written meanwhile.
    let _held = rules.turn.lock().await;
    let templates = templates(places, base).await?;
    let enterprise = places.enterprise().await?;
    let group = group_of(places, &enterprise, namespace).await?;
    let annotations = &object["metadata"]["annotations"];
    let counts = annotations.get(STATISTICS).is_some();
    let isolated = annotations[ISOLATION.0] == ISOLATION.1;
    for mut entry in entries(namespace, &zone, &group, isolated) {
        entry.body["statsLoggingEnabled"] = json!(counts);
        settle(places, &templates, base, &entry).await?;
    }
    Ok(())
}

/// Takes away what a namespace had that is gone.
///
/// # Errors
/// What the VSD said.
pub(super) async fn forget(
    places: &Places,
    rules: &Rules,
    base: &Base,
    namespace: &str,
) -> Result<(), Error> {
    let _held = rules.turn.lock().await;
    let templates = templates(places, base).await?;
    for entry in entries(namespace, "", "", false) {
        settle(places, &templates, base, &Entry { wanted: false, ..entry }).await?;
    }
    Ok(())
}

/// All that a namespace can have.
fn entries(namespace: &str, zone: &str, group: &str, isolated: bool) -> Vec<Entry> {
    let privileged = PRIVILEGED.contains(&namespace);
    let place = |kind: &str, id: &str| (json!(kind), if id.is_empty() { Value::Null } else { json!(id) });
    let (anywhere, own, services) =
        (place("ANY", ""), place("ZONE", zone), place("NETWORK_MACRO_GROUP", group));
    let entry =
        |way, kind, what: &str, (here, there): (&(Value, Value), &(Value, Value)), protocol, wanted| {
            let description = format!("Namespace {namespace}: {what}");
            let ports = if protocol == "ANY" { "*" } else { "1-65535" };
            let drops = kind == Kind::Annotations;
            let body = json!({
                "action": if drops { "DROP" } else { "FORWARD" }, "DSCP": "*", "etherType": "0x0800",
                "protocol": protocol, "sourcePort": ports, "destinationPort": ports,
                "locationType": here.0, "locationID": here.1, "networkType": there.0, "networkID": there.1,
                "stateful": !drops, "description": description, "externalID": OURS,
            });
            Entry { way, kind, description, body, wanted }
        };
    let from = if privileged { &anywhere } else { &own };
    let mut all = vec![entry("ingress", Kind::Generated, "services", (from, &services), "ANY", true)];
    for way in WAYS {
        if privileged {
            all.push(entry(way, Kind::Generated, "everybody", (&own, &anywhere), "ANY", true));
        }
        for (what, protocol) in [("isolation of TCP", "6"), ("isolation of UDP", "17")] {
            all.push(entry(way, Kind::Annotations, what, (&own, &own), protocol, isolated));
        }
    }
    all
}

/// Makes an entry be there as it is wanted, or not be there.
async fn settle(places: &Places, templates: &Templates, base: &Base, entry: &Entry) -> Result<(), Error> {
    let Some(template) = templates.get(&(entry.way, entry.kind)) else { return Ok(()) };
    let (way, client) = (entry.way, &places.client);
    let path = format!("{way}acltemplates/{template}/{way}aclentrytemplates");
    let found = client.find(&path, "description", &entry.description).await?;
    match found {
        Some(found) if !entry.wanted => {
            client.delete(&format!("{way}aclentrytemplates/{}", id(&found)?)).await.map(drop)
        }
        Some(found) if found["statsLoggingEnabled"] != entry.body["statsLoggingEnabled"] => {
            let counts = json!({ "statsLoggingEnabled": entry.body["statsLoggingEnabled"] });
            client.update(&format!("{way}aclentrytemplates/{}", id(&found)?), &counts).await
        }
        None if entry.wanted => {
            let mut body = entry.body.clone();
            loop {
                body["priority"] = json!(base.next.fetch_add(1, Ordering::Relaxed));
                match client.create(&path, &body).await {
                    // One of before a restart.
                    Err(error) if error.code() == Some(code::ENTRY_PRIORITY_IN_USE) => {}
                    made => return made.map(drop),
                }
            }
        }
        _ => Ok(()),
    }
}

/// The four templates of the domain, made where they are missing.
async fn templates(places: &Places, base: &Base) -> Result<Templates, Error> {
    let domain = places.domain().await?;
    let mut templates = Templates::new();
    let complete = base.complete.load(Ordering::Relaxed);
    for way in WAYS {
        for kind in [Kind::Generated, Kind::Annotations] {
            let path = format!("domains/{domain}/{way}acltemplates");
            let (template, new) = template(places, &path, &kind.name(way), kind.priority()).await?;
            if (new || !complete) && kind == Kind::Generated {
                fill(places, &format!("{way}acltemplates/{template}/{way}aclentrytemplates")).await?;
            }
            templates.insert((way, kind), template);
        }
    }
    base.complete.store(true, Ordering::Relaxed);
    Ok(templates)
}

/// A live template, and whether it was made just now.
async fn template(places: &Places, path: &str, name: &str, priority: u32) -> Result<(String, bool), Error> {
    let found = places.client.list(path, Some(("name", name))).await?;
    if let Some(found) = found.iter().find(|found| found["name"] == name && found["policyState"] != "DRAFT") {
        return Ok((id(found)?.to_owned(), false));
    }
    let mut refused = None;
    for less in 0..PRIORITIES {
        let body = json!({
            "name": name, "priority": priority - less, "active": true, "defaultAllowIP": true, "defaultAllowNonIP": true,
            "externalID": OURS,
        });
        match places.client.create(path, &body).await {
            Ok(made) => return Ok((id(&made)?.to_owned(), true)),
            Err(error @ Error::Refused { status: http::StatusCode::CONFLICT, .. }) => refused = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(refused.unwrap_or_else(|| Error::Missing("free priority".to_owned())))
}

/// What a template begins with: within a namespace everybody talks, beyond it nobody, and to no service but its own.
async fn fill(places: &Places, entries: &str) -> Result<(), Error> {
    let mut services = network(SERVICES);
    services["externalID"] = json!(OURS);
    let path = format!("enterprises/{}/enterprisenetworks", places.enterprise().await?);
    let name = services["name"].as_str().unwrap_or_default().to_owned();
    let services = places.found_or_made(&path, &name, &services).await?;
    let entry = |action: &str, priority: u32, kind: &str, id: Option<&str>, description: &str| {
        json!({
            "action": action, "priority": priority, "networkType": kind, "networkID": id, "description": description,
            "DSCP": "*", "etherType": "0x0800", "protocol": "ANY", "locationType": "ANY", "externalID": OURS,
        })
    };
    for body in [
        entry("FORWARD", 0, "ENDPOINT_ZONE", None, "Allow Intra-Zone Traffic"),
        entry("DROP", LAST, "ENDPOINT_DOMAIN", None, "Drop intra-domain traffic"),
        entry("DROP", LAST - 1, "ENTERPRISE_NETWORK", Some(&services), "Drop traffic to services"),
    ] {
        let description = body["description"].as_str().unwrap_or_default();
        if places.client.find(entries, "description", description).await?.is_none() {
            places.client.create(entries, &body).await?;
        }
    }
    Ok(())
}
