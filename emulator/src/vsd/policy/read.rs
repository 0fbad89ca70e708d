//! Gets what decides in a domain over the REST API. Only reads.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use serde_json::Value;

use super::{Action, Attachment, Domain, Endpoint, Expression, Level, Rule, Template};
use crate::vsd::client::{Client, Error, id};

/// What decides in a domain, by its name and, where several enterprises have one of that name, by the enterprise's.
/// Without a name: in the only one there is.
///
/// # Errors
/// Any of [`Error`]; [`Error::Missing`] also where more than one may be meant.
pub async fn read(client: &Client, enterprise: Option<&str>, name: Option<&str>) -> Result<Domain, Error> {
    let (path, found) = pick(client, enterprise, name).await?;
    let mut domain = Domain { name: text(&found, "name"), ..Domain::default() };
    domain.ingress = templates(client, &path, "ingress").await?;
    domain.egress = templates(client, &path, "egress").await?;
    let owner = format!("enterprises/{}", text(&found, "parentID"));
    macros(client, &owner, &mut domain).await?;
    let groups = client.list(&format!("{path}/policygroups"), None).await?;
    domain.expressions = expressions(client, &path, &groups).await?;
    domain.endpoints = endpoints(client, &path, &groups).await?;
    domain.sort();
    Ok(domain)
}

async fn pick(
    client: &Client,
    enterprise: Option<&str>,
    name: Option<&str>,
) -> Result<(String, Value), Error> {
    let above = match enterprise {
        Some(name) => {
            let found = client.find("enterprises", "name", name).await?;
            let found = found.ok_or_else(|| Error::Missing(format!("enterprise {name:?}")))?;
            format!("enterprises/{}/", id(&found)?)
        }
        None => String::new(),
    };
    let mut all = Vec::new();
    for kind in ["domains", "l2domains"] {
        let filter = name.map(|name| ("name", name));
        for found in client.list(&format!("{above}{kind}"), filter).await? {
            if name.is_none_or(|name| text(&found, "name") == name) {
                all.push((format!("{kind}/{}", id(&found)?), found));
            }
        }
    }
    match (all.len(), all.pop()) {
        (1, Some(found)) => Ok(found),
        (0, _) => Err(Error::Missing(format!("domain {:?}", name.unwrap_or("at all")))),
        (count, _) => Err(Error::Missing(format!("single domain that is meant: {count} may be"))),
    }
}

fn text(object: &Value, attribute: &str) -> String {
    object.get(attribute).and_then(Value::as_str).unwrap_or_default().to_owned()
}

async fn templates(client: &Client, path: &str, way: &str) -> Result<Vec<Template>, Error> {
    let mut templates = Vec::new();
    for object in client.list(&format!("{path}/{way}acltemplates"), None).await? {
        let live = object.get("policyState").is_none_or(|state| state != "DRAFT");
        if !live || object.get("active") != Some(&Value::Bool(true)) {
            continue;
        }
        let entries = format!("{way}acltemplates/{}/{way}aclentrytemplates", id(&object)?);
        let entries = client.list(&entries, None).await?;
        let rules = entries.iter().map(|entry| Rule::read(|name| entry.get(name)));
        let rules: Result<Vec<Rule>, _> = rules.collect();
        let rules = rules
            .map_err(|attribute| Error::Malformed(format!("an ACL entry whose {attribute} says nothing")))?;
        templates.push(Template {
            id: id(&object)?.to_owned(),
            name: text(&object, "name"),
            level: match object.get("priorityType").and_then(Value::as_str) {
                Some("TOP" | "TOP_FIREWALL") => Level::Top,
                Some("BOTTOM" | "BOTTOM_FIREWALL") => Level::Bottom,
                _ => Level::Middle,
            },
            priority: object.get("priority").and_then(Value::as_i64).unwrap_or(0),
            otherwise: match object.get("defaultAllowIP") {
                Some(Value::Bool(true)) => Action::Forward,
                _ => Action::Drop,
            },
            rules,
        });
    }
    Ok(templates)
}

async fn macros(client: &Client, owner: &str, domain: &mut Domain) -> Result<(), Error> {
    for path in [
        format!("{owner}/enterprisenetworks"),
        format!("{owner}/publicnetworks"),
        "enterprisenetworks".to_owned(),
    ] {
        for object in client.list(&path, None).await? {
            if let Some(range) = range(&object) {
                domain.macros.insert(id(&object)?.to_owned(), range);
            }
        }
    }
    for path in [format!("{owner}/networkmacrogroups"), "networkmacrogroups".to_owned()] {
        for group in client.list(&path, None).await? {
            let group = id(&group)?;
            let members =
                client.list(&format!("networkmacrogroups/{group}/enterprisenetworks"), None).await?;
            let members =
                members.iter().map(|member| id(member).map(str::to_owned)).collect::<Result<_, _>>()?;
            domain.macro_groups.insert(group.to_owned(), members);
        }
    }
    Ok(())
}

fn range(object: &Value) -> Option<IpNet> {
    if text(object, "IPType") == "IPV6" {
        return text(object, "IPv6Address").parse().ok();
    }
    let (address, netmask) = (text(object, "address").parse().ok()?, text(object, "netmask").parse().ok()?);
    Ipv4Net::with_netmask(address, netmask).ok().map(IpNet::V4)
}

/// The expressions of a domain, each about IDs: a group that there is not keeps its name, which nobody is in.
async fn expressions(
    client: &Client,
    path: &str,
    groups: &[Value],
) -> Result<BTreeMap<String, Expression>, Error> {
    let known: BTreeMap<String, &str> =
        groups.iter().map(|group| Ok((text(group, "name"), id(group)?))).collect::<Result<_, Error>>()?;
    let by_id = |name: String| known.get(&name).map_or(name, |id| (*id).to_owned());
    let mut expressions = BTreeMap::new();
    for object in client.list(&format!("{path}/pgexpressions"), None).await? {
        let read = Expression::read(&text(&object, "expression"));
        let read = read.ok_or_else(|| Error::Malformed("an expression that cannot be read".to_owned()))?;
        expressions.insert(id(&object)?.to_owned(), read.with(&by_id));
    }
    Ok(expressions)
}

async fn endpoints(client: &Client, path: &str, known: &[Value]) -> Result<Vec<Endpoint>, Error> {
    let mut groups: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for group in known {
        let group = id(group)?;
        for port in client.list(&format!("policygroups/{group}/vports"), None).await? {
            groups.entry(id(&port)?.to_owned()).or_default().insert(group.to_owned());
        }
    }
    let mut endpoints = Vec::new();
    for kind in ["container", "vm", "host"] {
        let mut machines = BTreeMap::new();
        if kind != "host" {
            for machine in client.list(&format!("{path}/{kind}s"), None).await? {
                machines.insert(id(&machine)?.to_owned(), text(&machine, "name"));
            }
        }
        for interface in client.list(&format!("{path}/{kind}interfaces"), None).await? {
            endpoints.extend(both(&interface, &machines, &groups)?);
        }
    }
    Ok(endpoints)
}

/// The endpoints of an interface: one for each address.
fn both(
    interface: &Value,
    machines: &BTreeMap<String, String>,
    groups: &BTreeMap<String, BTreeSet<String>>,
) -> Result<Vec<Endpoint>, Error> {
    let (own, port) = (id(interface)?, text(interface, "VPortID"));
    let machine = machines.get(&text(interface, "parentID")).cloned();
    let names = machine.into_iter().chain([
        text(interface, "name"),
        text(interface, "VPortName"),
        port.clone(),
        own.to_owned(),
    ]);
    let names: Vec<String> = names.filter(|name| !name.is_empty()).collect();
    let attachment = Attachment {
        subnet: text(interface, "attachedNetworkID"),
        zone: Some(text(interface, "zoneID")).filter(|zone| !zone.is_empty()),
        groups: groups.get(&port).cloned().unwrap_or_default(),
    };
    let addresses = ["IPAddress", "IPv6Address"]
        .into_iter()
        .filter_map(|name| text(interface, name).parse::<IpAddr>().ok());
    let endpoint = |address| Endpoint { address, names: names.clone(), attachment: Some(attachment.clone()) };
    Ok(addresses.map(endpoint).collect())
}
