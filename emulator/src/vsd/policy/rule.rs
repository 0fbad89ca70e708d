//! One ACL entry as data: what traffic it is about, and what becomes of it. Pure; never asks a VSD.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde_json::Value;

/// The `EtherType`s that entries are about (IEEE 802): any other is matched by its number.
const IPV4: u16 = 0x0800;
/// As above.
const IPV6: u16 = 0x86dd;

/// Protocols that have ports: TCP and UDP.
const WITH_PORTS: [u8; 2] = [6, 17];
/// The most ranges of ports in one entry: what clients send are one or two.
const MOST_RANGES: usize = 64;

/// Traffic from one address to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// IP protocol number.
    pub protocol: u8,
    /// Source port; 0 where the protocol has none.
    pub source_port: u16,
    /// Destination port; 0 where the protocol has none.
    pub destination_port: u16,
    /// Differentiated services code point.
    pub dscp: u8,
}

/// Ports of an entry: `*`, or numbers and ranges with commas between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ports(Vec<(u16, u16)>);

impl Ports {
    fn has(&self, port: u16) -> bool {
        self.0.is_empty() || self.0.iter().any(|(first, last)| (*first..=*last).contains(&port))
    }
}

impl FromStr for Ports {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if matches!(text.trim(), "" | "*") {
            return Ok(Self::default());
        }
        let mut ranges = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (first.trim().parse().map_err(drop)?, last.trim().parse().map_err(drop)?);
            if first > last || ranges.len() == MOST_RANGES {
                return Err(());
            }
            ranges.push((first, last));
        }
        Ok(Self(ranges))
    }
}

/// What becomes of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It goes on: FORWARD and TRANSPARENT.
    Forward,
    /// It ends.
    Drop,
}

/// Where one end of the traffic is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Anywhere.
    Any,
    /// In the domain.
    Domain,
    /// In the zone of the other end.
    SameZone,
    /// In the subnet of the other end.
    SameSubnet,
    /// In this subnet.
    Subnet(String),
    /// In this zone.
    Zone(String),
    /// A member of this policy group.
    Group(String),
    /// Meant by this expression of policy groups; who is outside is meant by none.
    Expression(String),
    /// In the range of this network macro.
    Macro(String),
    /// In the range of a member of this group of network macros.
    MacroGroup(String),
    /// Of a kind that is not evaluated: nothing is there.
    Nowhere(String),
}

/// An entry of an ACL template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its ID.
    pub id: String,
    /// What a person called it.
    pub description: String,
    /// The lower comes first.
    pub priority: i64,
    /// What it decides.
    pub action: Action,
    ether_type: Option<u16>,
    protocol: Option<u8>,
    source: Ports,
    destination: Ports,
    dscp: Option<u8>,
    /// Where the end is that the policy is installed at: the source for ingress, the destination for egress.
    pub location: Place,
    /// Where the other end is.
    pub network: Place,
}

impl Rule {
    /// Reads an entry by its attributes.
    ///
    /// # Errors
    /// The attribute that cannot be understood.
    pub fn read<'a>(attribute: impl Fn(&'static str) -> Option<&'a Value>) -> Result<Self, &'static str> {
        let text = |name| attribute(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let number = |name: &'static str| match text(name) {
            None | Some("*" | "ANY") => Ok(None),
            Some(text) => text.parse::<u8>().map(Some).map_err(|_| name),
        };
        let ether_type = match text("etherType") {
            None | Some("*" | "ANY") => None,
            Some(text) => {
                let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
                Some(u16::from_str_radix(digits, 16).map_err(|_| "etherType")?)
            }
        };
        let ports = |name: &'static str| text(name).unwrap_or_default().parse::<Ports>().map_err(|()| name);
        let place = |kind: &'static str, id: &'static str| place(text(kind), text(id)).ok_or(id);
        Ok(Self {
            id: text("ID").unwrap_or_default().to_owned(),
            description: text("description").unwrap_or_default().to_owned(),
            priority: attribute("priority").and_then(Value::as_i64).unwrap_or(0),
            action: if text("action") == Some("DROP") { Action::Drop } else { Action::Forward },
            ether_type,
            protocol: number("protocol")?,
            source: ports("sourcePort")?,
            destination: ports("destinationPort")?,
            dscp: number("DSCP")?
                .map_or(Ok(None), |dscp| if dscp < 64 { Ok(Some(dscp)) } else { Err("DSCP") })?,
            location: place("locationType", "locationID")?,
            network: place("networkType", "networkID")?,
        })
    }

    /// Whether it is about this traffic, wherever its ends are.
    pub fn is_about(&self, family: IpAddr, traffic: Traffic) -> bool {
        let ether_type = if family.is_ipv4() { IPV4 } else { IPV6 };
        let ports = !WITH_PORTS.contains(&traffic.protocol)
            || self.source.has(traffic.source_port) && self.destination.has(traffic.destination_port);
        self.ether_type.is_none_or(|wanted| wanted == ether_type)
            && self.protocol.is_none_or(|wanted| wanted == traffic.protocol)
            && self.dscp.is_none_or(|wanted| wanted == traffic.dscp)
            && ports
    }
}

/// A kind of place with the ID that it needs; `None` where that is missing.
fn place(kind: Option<&str>, id: Option<&str>) -> Option<Place> {
    let id = || id.map(str::to_ascii_lowercase);
    Some(match kind {
        None | Some("ANY") => Place::Any,
        Some("ENDPOINT_DOMAIN") => Place::Domain,
        Some("ENDPOINT_ZONE") => Place::SameZone,
        Some("ENDPOINT_SUBNET") => Place::SameSubnet,
        Some("SUBNET") => Place::Subnet(id()?),
        Some("ZONE") => Place::Zone(id()?),
        Some("POLICYGROUP") => Place::Group(id()?),
        Some("PGEXPRESSION") => Place::Expression(id()?),
        Some("ENTERPRISE_NETWORK" | "PUBLIC_NETWORK") => Place::Macro(id()?),
        Some("NETWORK_MACRO_GROUP") => Place::MacroGroup(id()?),
        Some(other) => Place::Nowhere(other.to_owned()),
    })
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Forward => "FORWARD",
            Self::Drop => "DROP",
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ports_are_all_or_numbers_and_ranges_and_nothing_else() {
        for (text, inside, outside) in
            [("*", 1, None), ("", 9, None), ("80", 80, Some(81)), ("80, 8000-8010", 8010, Some(8011))]
        {
            let ports: Ports = text.parse().unwrap();
            assert!(ports.has(inside) && outside.is_none_or(|port| !ports.has(port)), "{text}");
        }
        for text in ["x", "80-", "9-8", "70000", "1,,2"] {
            assert_eq!(text.parse::<Ports>(), Err(()), "{text}");
        }
    }

    #[test]
    fn an_entry_is_about_what_it_names_and_says_which_attribute_makes_no_sense() {
        let entry = json!({ "etherType": "0x0800", "protocol": "6", "destinationPort": "80", "DSCP": "*", "action": "DROP",
                            "locationType": "ANY", "networkType": "ZONE", "networkID": "Z" });
        let rule = Rule::read(|name| entry.get(name)).unwrap();
        assert_eq!((rule.action, &rule.network), (Action::Drop, &Place::Zone("z".to_owned())));
        let traffic = Traffic { protocol: 6, source_port: 5, destination_port: 80, dscp: 0 };
        let (four, six) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([0; 16]));
        assert!(rule.is_about(four, traffic) && !rule.is_about(six, traffic));
        assert!(!rule.is_about(four, Traffic { destination_port: 81, ..traffic }));
        assert!(!rule.is_about(four, Traffic { protocol: 17, ..traffic }));
        for (name, value) in [
            ("etherType", json!("ip")),
            ("protocol", json!("tcp")),
            ("sourcePort", json!("x")),
            ("DSCP", json!("64")),
            ("networkID", Value::Null),
        ] {
            let mut wrong = entry.clone();
            wrong[name] = value;
            assert_eq!(Rule::read(|name| wrong.get(name)), Err(name));
        }
    }
}
