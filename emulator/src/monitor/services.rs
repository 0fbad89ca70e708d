//! The cluster's services as network macros of the enterprise, in a group for each namespace, so that policies can speak of
//! them. Touches no macro that is not called after a service.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use super::cluster::{Follower, News};
use super::place::{OURS, Places};
use crate::vsd::client::{Error, id};

/// How long until what could not be done is tried again.
const AGAIN: Duration = Duration::from_secs(5);
/// How macros of services begin.
const MACRO: &str = "NetworkMacro for service ";

/// A service's address and the group that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    address: Ipv4Addr,
    group: Group,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Group {
    Id(String),
    Name(String),
}

/// Reads a service; `None` for one that gets no macro: private, without an address, or with one that is no IPv4.
fn wanted(service: &Value) -> Option<Wanted> {
    let label = |name: &str| service["metadata"]["labels"][format!("nuage.io/{name}")].as_str();
    if label("private-service").is_some_and(|private| private != "false") {
        return None;
    }
    let address = service["spec"]["clusterIP"].as_str()?.parse().ok()?;
    let zone = label("zone").or_else(|| service["metadata"]["namespace"].as_str())?;
    let named = label("network-macro-group.name").map(str::to_owned);
    let group = match label("network-macro-group.id") {
        Some(id) => Group::Id(id.to_owned()),
        None => Group::Name(named.unwrap_or_else(|| usual_group(zone))),
    };
    Some(Wanted { address, group })
}

/// The group of the services of a zone.
fn usual_group(zone: &str) -> String {
    format!("Service Group For Zone - {zone}")
}

/// The ID of the group of a namespace's services, which is made if it is missing.
///
/// # Errors
/// What the VSD said.
pub(super) async fn group_of(places: &Places, enterprise: &str, namespace: &str) -> Result<String, Error> {
    named_group(places, enterprise, &usual_group(namespace)).await
}

async fn named_group(places: &Places, enterprise: &str, name: &str) -> Result<String, Error> {
    let body = json!({ "name": name, "externalID": OURS });
    places.found_or_made(&format!("enterprises/{enterprise}/networkmacrogroups"), name, &body).await
}

/// What a service's macro is called.
fn name(service: &Value) -> String {
    let text = |name: &str| service["metadata"][name].as_str().unwrap_or_default();
    format!("{MACRO}{}--{}", text("namespace"), text("name"))
}

/// Follows the cluster's services, for ever.
pub(super) async fn follow(places: &Places, mut services: Follower) {
    let mut pending: BTreeMap<String, Option<Wanted>> = BTreeMap::new();
    let mut done: BTreeMap<String, Wanted> = BTreeMap::new();
    let mut swept = false;
    loop {
        tokio::select! {
            biased;
            news = services.next() => match news {
                News::All(all) => {
                    swept = false;
                    pending.extend(done.keys().map(|known| (known.clone(), None)));
                    pending.extend(all.iter().map(|service| (name(service), wanted(service))));
                }
                News::Put(service) => drop(pending.insert(name(&service), wanted(&service))),
                News::Gone(service) => drop(pending.insert(name(&service), None)),
            },
            () = sleep(AGAIN), if !pending.is_empty() || !swept => {}
        }
        if !swept {
            // Those of services that went while nobody looked.
            match left_over(places).await {
                Ok(names) => {
                    swept = true;
                    for name in names {
                        pending.entry(name).or_insert(None);
                    }
                }
                Err(error) => tracing::debug!(%error, "macros are not known yet"),
            }
        }
        for (name, wanted) in std::mem::take(&mut pending) {
            if wanted.is_some() && done.get(&name) == wanted.as_ref() {
                continue;
            }
            match change(places, &name, done.get(&name), wanted.as_ref()).await {
                Ok(()) => match wanted {
                    Some(wanted) => drop(done.insert(name, wanted)),
                    None => drop(done.remove(&name)),
                },
                Err(error) => {
                    tracing::info!(name, %error, "a service has no macro yet");
                    pending.insert(name, wanted);
                }
            }
        }
    }
}

/// The names of all macros that were made for services.
async fn left_over(places: &Places) -> Result<Vec<String>, Error> {
    let path = format!("enterprises/{}/enterprisenetworks", places.enterprise().await?);
    let all = places.client.list(&path, Some(("externalID", OURS))).await?;
    let names = all.iter().filter_map(|network| network["name"].as_str());
    Ok(names.filter(|name| name.starts_with(MACRO)).map(str::to_owned).collect())
}

/// Makes a macro be as is wanted; one that changes its group is made anew.
async fn change(
    places: &Places,
    name: &str,
    before: Option<&Wanted>,
    wanted: Option<&Wanted>,
) -> Result<(), Error> {
    if let (Some(before), Some(wanted)) = (before, wanted)
        && before.group != wanted.group
    {
        settle(places, name, None).await?;
    }
    settle(places, name, wanted).await
}

/// Makes, changes or removes a macro.
async fn settle(places: &Places, name: &str, wanted: Option<&Wanted>) -> Result<(), Error> {
    let enterprise = places.enterprise().await?;
    let path = format!("enterprises/{enterprise}/enterprisenetworks");
    let found = places.client.find(&path, "name", name).await?;
    let Some(Wanted { address, group }) = wanted else {
        if let Some(found) = found.filter(|found| found["externalID"] == OURS) {
            places.client.delete(&format!("enterprisenetworks/{}", id(&found)?)).await?;
        }
        return Ok(());
    };
    let body = json!({
        "name": name, "address": address.to_string(), "netmask": "255.255.255.255", "externalID": OURS,
    });
    let network = match &found {
        Some(found) if found["address"] == body["address"] => id(found)?.to_owned(),
        Some(found) => {
            let network = id(found)?.to_owned();
            places.client.update(&format!("enterprisenetworks/{network}"), &body).await?;
            network
        }
        None => id(&places.client.create(&path, &body).await?)?.to_owned(),
    };
    let group = match group {
        Group::Id(id) => id.clone(),
        Group::Name(name) => named_group(places, &enterprise, name).await?,
    };
    places.client.add_member(&format!("networkmacrogroups/{group}/enterprisenetworks"), &network).await
}
