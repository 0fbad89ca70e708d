//! Brings what the VSD has of one entity in line with what the VRS wants: container or virtual machine, interfaces, policy
//! groups and redirection targets. Repeating it changes nothing. Never touches a machine of another VRS except to take over
//! one that runs here.

use ipnet::Ipv6Net;
use serde_json::{Value, json};

use super::rows::{Answer, Entity, Kind, Port, Second};
use crate::vsd::client::{Client, Error, id};
use crate::vsd::error::code;

/// What a controller reads of objects of the VSD, and nothing else.
pub(super) const ATTRIBUTES: [&str; 20] = [
    "ID",
    "name",
    "UUID",
    "VRSID",
    "serviceID",
    "interfaces",
    "attachedNetworkID",
    "MAC",
    "IPAddress",
    "netmask",
    "gateway",
    "IPv6Address",
    "IPv6Gateway",
    "status",
    "deleteMode",
    "VPortID",
    "domainID",
    "domainName",
    "zoneName",
    "networkName",
];

/// A port's place in the VSD.
pub(super) struct Place {
    domain: String,
    subnet: String,
    evpn: u64,
    vrf: u64,
    /// The subnet's second range, where it has one.
    ipv6: Option<Ipv6Net>,
}

/// What a machine is that another VRS is about to take over: nobody's, and yet not one that was made before it runs.
const NOBODY: &str = "";

/// What came of each port of an entity.
pub(super) type Outcome = Vec<(Port, Result<Answer, Error>)>;

/// Removes what the VSD has of the entity, if it is this VRS's. One that lingers only begins to go.
pub(super) async fn remove(vsd: &Client, vrs: &str, entity: &str) -> Result<(), Error> {
    let Some((kind, machine)) = of_entity(vsd, entity).await? else { return Ok(()) };
    let text = |attribute: &str| machine.get(attribute).and_then(Value::as_str);
    if text("VRSID").is_some_and(|owner| owner != vrs) {
        return Ok(());
    }
    let path = format!("{}/{}", kind.collection(), id(&machine)?);
    match text("deleteMode") {
        Some(_) if text("status") == Some("DELETE_PENDING") => Ok(()),
        Some(_) => vsd.update(&path, &json!({ "status": "DELETE_PENDING" })).await,
        None => vsd.delete(&path).await.map(drop),
    }
}

/// Gives the entity up for whoever takes it over, if it is this VRS's.
pub(super) async fn give_up(vsd: &Client, vrs: &str, entity: &str) -> Result<(), Error> {
    let Some((kind, machine)) = of_entity(vsd, entity).await? else { return Ok(()) };
    if machine.get("VRSID").and_then(Value::as_str) != Some(vrs) {
        return Ok(());
    }
    let nobodys = json!({ "VRSID": NOBODY, "status": "UNREACHABLE" });
    vsd.update(&format!("{}/{}", kind.collection(), id(&machine)?), &nobodys).await
}

/// What the VSD has of an entity of which no row tells any more what it was.
async fn of_entity(vsd: &Client, entity: &str) -> Result<Option<(Kind, Value)>, Error> {
    for kind in Kind::ALL {
        let found = vsd.find_only(kind.collection(), "UUID", entity, "VRSID,status,deleteMode").await?;
        if let Some(machine) = found {
            return Ok(Some((kind, machine)));
        }
    }
    Ok(None)
}

/// Makes what is missing of the entity in the VSD, removes what is too much, and tells what each port got.
///
/// # Errors
/// Where nothing can be said of any port.
pub(super) async fn provide(
    vsd: &Client,
    vrs: &str,
    entity: &Entity,
    ports: Vec<Port>,
) -> Result<Outcome, Error> {
    let mut container = vsd.find(entity.kind.collection(), "UUID", &entity.uuid).await?;
    if let Some(present) = &container {
        adopt(vsd, vrs, entity.kind, present).await?;
        if !entity.split {
            shed(vsd, entity.kind, present, &ports).await?;
        }
    }
    let mut outcome = Vec::new();
    for port in ports {
        let answer = attach(vsd, vrs, entity, &port, &mut container).await;
        outcome.push((port, answer));
    }
    Ok(outcome)
}

/// What was made before, comes from another VRS or was about to go runs here.
async fn adopt(vsd: &Client, vrs: &str, kind: Kind, machine: &Value) -> Result<(), Error> {
    let is = |attribute: &str, value: &str| machine.get(attribute).and_then(Value::as_str) == Some(value);
    if is("VRSID", vrs) && is("status", "RUNNING") {
        return Ok(());
    }
    let ours = json!({ "VRSID": vrs, "status": "RUNNING" });
    vsd.update(&format!("{}/{}", kind.collection(), id(machine)?), &ours).await
}

/// Removes interfaces whose ports have gone.
async fn shed(vsd: &Client, kind: Kind, container: &Value, ports: &[Port]) -> Result<(), Error> {
    for interface in interfaces(container) {
        let name = interface.get("name").and_then(Value::as_str).unwrap_or_default();
        if !ports.iter().any(|port| port.asked.name == name) {
            vsd.delete(&format!("{}/{}", kind.interfaces(), id(interface)?)).await?;
        }
    }
    Ok(())
}

fn interfaces(container: &Value) -> impl Iterator<Item = &Value> {
    container.get("interfaces").and_then(Value::as_array).into_iter().flatten()
}

async fn attach(
    vsd: &Client,
    vrs: &str,
    entity: &Entity,
    port: &Port,
    container: &mut Option<Value>,
) -> Result<Answer, Error> {
    if entity.split {
        return activate(vsd, entity, port, container.as_ref()).await;
    }
    let place = locate(vsd, &entity.enterprise, port).await?;
    let wanted = wanted(port, &place);
    let mut interface = match container {
        Some(container) => present(vsd, (entity.kind, container), port, &wanted).await?,
        None => None,
    };
    if interface.is_none() {
        let made = make(vsd, vrs, entity, container.is_some(), &wanted).await?;
        interface = interfaces_named(&made, &port.asked.name);
        *container = Some(made);
    }
    let interface =
        interface.ok_or_else(|| Error::Malformed("a machine without its interface".to_owned()))?;
    join(vsd, &place, port, &interface).await;
    answer(&interface, &place, port)
}

/// Answers a port whose interface was made in the VSD before.
async fn activate(
    vsd: &Client,
    entity: &Entity,
    port: &Port,
    container: Option<&Value>,
) -> Result<Answer, Error> {
    let missing = || Error::Missing(format!("machine {} in {}", entity.uuid, entity.kind.collection()));
    let container = container.ok_or_else(missing)?;
    let interface = of_port(container, entity, port);
    let interface =
        interface.ok_or_else(|| Error::Missing(format!("interface with the MAC {}", port.asked.mac)))?;
    let place = place_of(vsd, interface).await?;
    join(vsd, &place, port, interface).await;
    answer(interface, &place, port)
}

/// The interface of a port: by its MAC address where it was made before, else by its name.
pub(super) fn of_port<'a>(container: &'a Value, entity: &Entity, port: &Port) -> Option<&'a Value> {
    let text = |interface: &'a Value, attribute| {
        interface.get(attribute).and_then(Value::as_str).unwrap_or_default()
    };
    interfaces(container).find(|interface| {
        if entity.split {
            text(interface, "MAC").eq_ignore_ascii_case(&port.asked.mac)
        } else {
            text(interface, "name") == port.asked.name
        }
    })
}

/// Where an interface is.
pub(super) async fn place_of(vsd: &Client, interface: &Value) -> Result<Place, Error> {
    let read = async |resource: &str, attribute: &str| {
        let id = interface.get(attribute).and_then(Value::as_str);
        let id = id.ok_or_else(|| Error::Malformed(format!("an interface without {attribute}")))?;
        vsd.read(&format!("{resource}/{id}")).await
    };
    place(&read("domains", "domainID").await?, &read("subnets", "attachedNetworkID").await?)
}

/// What the interface has for a port. Of two addresses the second is told where the port's row has a place for it; where
/// the interface has no other, that leaves the first ones empty.
pub(super) fn answer(interface: &Value, place: &Place, port: &Port) -> Result<Answer, Error> {
    let given = |attribute: &str| interface.get(attribute).and_then(Value::as_str).map(str::to_owned);
    let second = port.answer.second.as_ref().map(|_| Second {
        address: given("IPv6Address").unwrap_or_default(),
        prefix: given("IPv6Address").and(place.ipv6).map_or(0, |net| u64::from(net.prefix_len())),
        gateway: given("IPv6Gateway").unwrap_or_default(),
    });
    let alone = given("IPAddress").is_none() && second.as_ref().is_some_and(|second| second.prefix > 0);
    let text = |attribute: &str| match given(attribute) {
        Some(value) => Ok(value),
        None if alone => Ok(String::new()),
        None => Err(Error::Malformed(format!("an interface without {attribute}"))),
    };
    Ok(Answer {
        address: text("IPAddress")?,
        mask: text("netmask")?,
        gateway: text("gateway")?,
        evpn: place.evpn,
        vrf: place.vrf,
        second,
    })
}

fn wanted(port: &Port, place: &Place) -> Value {
    json!({
        "name": port.asked.name,
        "VPortName": port.asked.name,
        "MAC": port.asked.mac,
        "attachedNetworkID": place.subnet,
        "attachedNetworkType": "SUBNET",
        "IPAddress": port.asked.metadata("static-ip"),
    })
}

fn interfaces_named(container: &Value, name: &str) -> Option<Value> {
    let is = |interface: &&Value| interface.get("name").and_then(Value::as_str) == Some(name);
    interfaces(container).find(is).cloned()
}

/// The interface that is there already, unless it is in another subnet or has another address than asked for:
/// then it is removed. A new MAC address does not change the address.
async fn present(
    vsd: &Client,
    (kind, container): (Kind, &Value),
    port: &Port,
    wanted: &Value,
) -> Result<Option<Value>, Error> {
    let Some(interface) = interfaces_named(container, &port.asked.name) else { return Ok(None) };
    let differs = |attribute: &str| {
        wanted.get(attribute).is_some_and(|value| !value.is_null() && interface.get(attribute) != Some(value))
    };
    let path = format!("{}/{}", kind.interfaces(), id(&interface)?);
    if differs("attachedNetworkID") || differs("IPAddress") {
        vsd.delete(&path).await?;
        return Ok(None);
    }
    if differs("MAC") {
        vsd.update(&path, &json!({ "MAC": port.asked.mac })).await?;
    }
    Ok(Some(interface))
}

/// Makes the interface, with its machine where that is missing, and returns the machine.
async fn make(
    vsd: &Client,
    vrs: &str,
    entity: &Entity,
    present: bool,
    interface: &Value,
) -> Result<Value, Error> {
    let collection = entity.kind.collection();
    if !present {
        let mut body = json!({
            "name": entity.name,
            "UUID": entity.uuid,
            "orchestrationID": entity.orchestration.as_ref().unwrap_or(&entity.uuid),
            "userName": entity.user,
            "VRSID": vrs,
            "status": "RUNNING",
            "interfaces": [interface],
        });
        if let Some(seconds) = entity.lingers {
            body["deleteMode"] = json!("TIMER");
            body["deleteExpiry"] = json!(seconds);
        }
        match vsd.create(collection, &body).await {
            // It came up between our look and now: it gets an interface below.
            Err(error) if error.code() == Some(code::UUID_IN_USE) => {}
            result => return result,
        }
    }
    let found = vsd.find(collection, "UUID", &entity.uuid).await?;
    let found = found.ok_or_else(|| Error::Missing(format!("machine {} in {collection}", entity.uuid)))?;
    let path = format!("{collection}/{}", id(&found)?);
    vsd.create(&format!("{path}/{}", entity.kind.interfaces()), interface).await?;
    vsd.read(&path).await
}

async fn locate(vsd: &Client, enterprise: &str, port: &Port) -> Result<Place, Error> {
    let asked = &port.asked;
    let enterprise = named(vsd, "enterprises", "enterprise", enterprise).await?;
    let domains = format!("enterprises/{}/domains", id(&enterprise)?);
    let domain = named(vsd, &domains, "domain", &asked.domain).await?;
    let zones = format!("domains/{}/zones", id(&domain)?);
    let zone = named(vsd, &zones, "zone", &asked.zone).await?;
    let subnets = format!("zones/{}/subnets", id(&zone)?);
    let subnet = named(vsd, &subnets, "subnet", &asked.network).await?;
    place(&domain, &subnet)
}

fn place(domain: &Value, subnet: &Value) -> Result<Place, Error> {
    let service = |object: &Value| object.get("serviceID").and_then(Value::as_u64).unwrap_or(0);
    Ok(Place {
        evpn: service(subnet),
        vrf: service(domain),
        domain: id(domain)?.to_owned(),
        subnet: id(subnet)?.to_owned(),
        ipv6: subnet.get("IPv6Address").and_then(Value::as_str).and_then(|net| net.parse().ok()),
    })
}

async fn named(vsd: &Client, path: &str, entity: &str, name: &str) -> Result<Value, Error> {
    let found = vsd.find_only(path, "name", name, "serviceID,IPv6Address").await?;
    found.ok_or_else(|| Error::Missing(format!("{entity} {name:?}")))
}

/// Puts the vPort into the policy groups and redirection targets that the port names. One that is missing does not keep
/// a pod from its address.
async fn join(vsd: &Client, place: &Place, port: &Port, interface: &Value) {
    let vport = interface.get("VPortID").and_then(Value::as_str).unwrap_or_default();
    for (key, resource, entity) in [
        ("nuage-policy-group", "policygroups", "policygroup"),
        ("nuage-redirection-target", "redirectiontargets", "redirectiontarget"),
    ] {
        let groups = port.asked.metadata(key).unwrap_or_default();
        for group in groups.split(',').map(str::trim).filter(|group| !group.is_empty()) {
            let joined = async {
                let found =
                    named(vsd, &format!("domains/{}/{resource}", place.domain), entity, group).await?;
                vsd.add_member(&format!("{resource}/{}/vports", id(&found)?), vport).await
            };
            if let Err(error) = joined.await {
                tracing::warn!(port = port.asked.name, group, %error, "{entity} not joined");
            }
        }
    }
}
