//! Carries network policies out in the VSD: policy groups with the pods that are there already, network macros, and ACL
//! templates that change in one transaction. Touches no object that is not called after a policy.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::cluster::{Follower, News};
use super::place::{OURS, Places};
use super::policy::{self, Entry, Group, Policy, Side};
use super::rules::{Key, MOST_POLICIES, Rules};
use crate::faults::Caller;
use crate::vsd::client::{Error, id};
use crate::vsd::error::code;

/// How long until what could not be done is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// How often a job is looked at, and how long after each other.
const LOOKS: u32 = 30;
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// How many priorities are tried for a template whose own is taken.
const PRIORITIES: u32 = 100;

/// The ACL templates of a policy: collection, collection of the entries, and whether it is about what leaves pods.
const TEMPLATES: [(&str, &str, bool); 2] = [
    ("ingressacltemplates", "ingressaclentrytemplates", true),
    ("egressacltemplates", "egressaclentrytemplates", false),
];

/// Follows the cluster's network policies, for ever.
pub(super) async fn follow(places: &Places, rules: &Rules, mut policies: Follower) {
    let mut pending: BTreeMap<Key, Option<Value>> = BTreeMap::new();
    loop {
        tokio::select! {
            biased;
            news = policies.next() => match news {
                News::All(all) => {
                    let gone = rules.keys().into_iter().filter(|known| !all.iter().any(|one| key(one) == *known));
                    pending.extend(gone.map(|key| (key, None)));
                    pending.extend(all.into_iter().map(|policy| (key(&policy), Some(policy))));
                }
                News::Put(policy) => drop(pending.insert(key(&policy), Some(policy))),
                News::Gone(policy) => drop(pending.insert(key(&policy), None)),
            },
            () = sleep(AGAIN), if !pending.is_empty() => {}
        }
        for (key, object) in std::mem::take(&mut pending) {
            if let Err(error) = settle(places, rules, &key, object.as_ref()).await {
                tracing::info!(namespace = key.0, policy = key.1, %error, "a policy is not carried out yet");
                pending.insert(key, object);
            }
        }
    }
}

fn key(policy: &Value) -> Key {
    let text = |name: &str| policy["metadata"][name].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

/// Makes the VSD have what a policy says now, `None` for one that has gone.
async fn settle(places: &Places, rules: &Rules, key: &Key, object: Option<&Value>) -> Result<(), Error> {
    let policy = object.map(Policy::read).transpose();
    let policy = policy.unwrap_or_else(|reason| {
        tracing::warn!(namespace = key.0, policy = key.1, reason, "a policy is not carried out");
        None
    });
    let room = rules.len() < MOST_POLICIES || rules.get(key).is_some();
    if let Some(policy) = policy.filter(|_| room) {
        return apply(places, rules, policy).await;
    }
    let _held = rules.turn.lock().await;
    if let Some(known) = rules.get(key) {
        remove(places, &known).await?;
        rules.forget(key);
    }
    Ok(())
}

/// Carries a policy out, and in place of what it was before.
///
/// # Errors
/// What the VSD said; the live templates are then as they were.
pub(super) async fn apply(places: &Places, rules: &Rules, policy: Policy) -> Result<(), Error> {
    let _held = rules.turn.lock().await;
    let namespaces = rules.namespaces();
    let entries = policy.entries(&namespaces);
    if rules.has(&policy, &entries) {
        return Ok(());
    }
    let domain = places.domain().await?;
    let groups = policy.groups();
    let before = rules.get(&policy.key).map(|known| known.groups()).unwrap_or_default();
    let mut ids = Ids::default();
    for group in &groups {
        let body = json!({
            "name": group.name, "description": format!("Network policy {}", policy.name()), "type": "SOFTWARE",
            "externalID": OURS,
        });
        let made =
            places.found_or_made(&format!("domains/{domain}/policygroups"), &group.name, &body).await?;
        ids.groups.insert(group.name.clone(), made);
    }
    let enterprise = places.enterprise().await?;
    for network in policy.networks() {
        let mut body = policy::network(network);
        body["externalID"] = json!(OURS);
        let name = body["name"].as_str().unwrap_or_default().to_owned();
        let path = format!("enterprises/{enterprise}/enterprisenetworks");
        ids.networks.insert(network.to_string(), places.found_or_made(&path, &name, &body).await?);
    }
    for namespace in entries.iter().flat_map(|entry| [&entry.location, &entry.network]) {
        let Side::Zone(namespace) = namespace else { continue };
        places.ensure(namespace, &Caller::default()).await?;
        let zone = places.zone(namespace).ok_or_else(|| Error::Missing(format!("zone {namespace}")))?;
        ids.zones.insert(namespace.clone(), zone);
    }
    if let Err(error) = job(places, &domain, "BEGIN_POLICY_CHANGES").await {
        // One that was begun and never ended, by a monitor that died, is nobody's any more.
        tracing::info!(%error, "policy changes that somebody began are discarded");
        job(places, &domain, "DISCARD_POLICY_CHANGES").await?;
        job(places, &domain, "BEGIN_POLICY_CHANGES").await?;
    }
    let written = write(places, &domain, &policy, &entries, &ids).await;
    let end = if written.is_ok() { "APPLY_POLICY_CHANGES" } else { "DISCARD_POLICY_CHANGES" };
    job(places, &domain, end).await?;
    written?;
    for group in before.iter().filter(|group| !groups.contains(group)) {
        let kept = groups.iter().any(|new| new.name == group.name);
        empty(places, &domain, &group.name, kept).await?;
    }
    for group in &groups {
        let members = fill(places, group, &namespaces, ids.groups.get(&group.name)).await;
        // Pods that come later are told their groups; those that are there are looked for again by the next change.
        if let Err(error) = members {
            tracing::info!(group = group.name, %error, "a policy group has not all of its pods");
        }
    }
    rules.apply(policy, entries);
    Ok(())
}

/// IDs of what entries name.
#[derive(Debug, Default)]
struct Ids {
    groups: BTreeMap<String, String>,
    zones: BTreeMap<String, String>,
    networks: BTreeMap<String, String>,
}

impl Ids {
    /// Type and ID of a side, as an entry has them.
    fn side(&self, side: &Side) -> (&'static str, Option<&String>) {
        match side {
            Side::Any => ("ANY", None),
            Side::Group(name) => ("POLICYGROUP", self.groups.get(name)),
            Side::Zone(name) => ("ZONE", self.zones.get(name)),
            Side::Network(network) => ("ENTERPRISE_NETWORK", self.networks.get(&network.to_string())),
        }
    }
}

async fn write(
    places: &Places,
    domain: &str,
    policy: &Policy,
    entries: &[Entry],
    ids: &Ids,
) -> Result<(), Error> {
    for (templates, of_entries, leaves) in TEMPLATES {
        let path = format!("domains/{domain}/{templates}");
        // The draft of what the policy was: with it, what is live goes when the drafts are applied.
        for old in places.client.list(&path, Some(("name", &policy.name()))).await? {
            if old["policyState"] == "DRAFT" {
                places.client.delete(&format!("{templates}/{}", id(&old)?)).await?;
            }
        }
        let template = template(places, &path, policy).await?;
        for entry in entries.iter().filter(|entry| entry.leaves == leaves) {
            let mut body = entry.rest.clone();
            (body["priority"], body["externalID"]) = (json!(entry.priority), json!(OURS));
            for (side, kind, name) in [
                (&entry.location, "locationType", "locationID"),
                (&entry.network, "networkType", "networkID"),
            ] {
                let (of_kind, id) = ids.side(side);
                (body[kind], body[name]) = (json!(of_kind), json!(id));
            }
            let path = format!("{templates}/{template}/{of_entries}?responseChoice=1");
            places.client.create(&path, &body).await?;
        }
    }
    Ok(())
}

/// An ACL template of a policy's name and priority, or of the next priority that is free.
async fn template(places: &Places, path: &str, policy: &Policy) -> Result<String, Error> {
    let mut refused = None;
    for less in 0..PRIORITIES {
        let body = json!({
            "name": policy.name(), "priority": policy.priority.saturating_sub(less), "active": true,
            "defaultAllowIP": true, "defaultAllowNonIP": true, "externalID": OURS,
        });
        match places.client.create(path, &body).await {
            Ok(made) => return id(&made).map(str::to_owned),
            Err(error) if error.code() == Some(code::ACL_TEMPLATE_EXISTS) => {
                let found = places.client.find(path, "name", &policy.name()).await?.ok_or(error)?;
                return id(&found).map(str::to_owned);
            }
            Err(error @ Error::Refused { status: http::StatusCode::CONFLICT, .. }) => refused = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(refused.unwrap_or_else(|| Error::Missing("free priority".to_owned())))
}

/// Has a job done.
async fn job(places: &Places, domain: &str, command: &str) -> Result<(), Error> {
    let made =
        places.client.create(&format!("domains/{domain}/jobs"), &json!({ "command": command })).await?;
    let path = format!("jobs/{}", id(&made)?);
    let mut job = made;
    for _ in 0..LOOKS {
        match job["status"].as_str() {
            Some("RUNNING") => {}
            Some("FAILED") => {
                return Err(Error::Malformed(format!("the job {command} failed: {}", job["result"])));
            }
            _ => return Ok(()),
        }
        sleep(BETWEEN_LOOKS).await;
        job = places.client.read(&path).await?;
    }
    Err(Error::Timeout)
}

/// Puts the pods that have an address already into a group.
async fn fill(
    places: &Places,
    group: &Group,
    namespaces: &[Value],
    to: Option<&String>,
) -> Result<(), Error> {
    let (Some(cluster), Some(to)) = (&places.cluster, to) else { return Ok(()) };
    for namespace in namespaces.iter().filter(|namespace| group.reaches(namespace)) {
        let name = namespace["metadata"]["name"].as_str().unwrap_or_default();
        let Some(zone) = places.zone(name) else { continue };
        let containers = places.client.list(&format!("zones/{zone}/containers"), None).await?;
        if containers.is_empty() {
            continue;
        }
        let pods = cluster.pods(name).await.map_err(Error::Unreachable)?;
        let inside = |container: &&Value| {
            let mut pods = pods.iter().filter(|pod| pod["metadata"]["name"] == container["name"]);
            pods.any(|pod| group.has(pod, namespace))
        };
        for container in containers.iter().filter(inside) {
            let interfaces = format!("containers/{}/containerinterfaces", id(container)?);
            for interface in places.client.list(&interfaces, None).await? {
                let Some(port) = interface["VPortID"].as_str() else { continue };
                places.client.add_member(&format!("policygroups/{to}/vports"), port).await?;
            }
        }
    }
    Ok(())
}

/// Takes what a policy has in the VSD away.
async fn remove(places: &Places, policy: &Policy) -> Result<(), Error> {
    let domain = places.domain().await?;
    for (templates, _, _) in TEMPLATES {
        let path = format!("domains/{domain}/{templates}");
        for found in places.client.list(&path, Some(("name", &policy.name()))).await? {
            places.client.delete(&format!("{templates}/{}", id(&found)?)).await?;
        }
    }
    for group in policy.groups() {
        empty(places, &domain, &group.name, false).await?;
    }
    Ok(())
}

/// Takes all pods out of a group, and the group away unless it is `kept`: one with members is in use.
async fn empty(places: &Places, domain: &str, name: &str, kept: bool) -> Result<(), Error> {
    let groups = format!("domains/{domain}/policygroups");
    let Some(found) = places.client.find(&groups, "name", name).await? else { return Ok(()) };
    let path = format!("policygroups/{}", id(&found)?);
    places.client.update(&format!("{path}/vports"), &json!([])).await?;
    if !kept {
        places.client.delete(&path).await?;
    }
    Ok(())
}
