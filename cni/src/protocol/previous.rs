//! `prevResult`: what earlier plugins of the list made (ADD), or what the whole list answered when the attachment was
//! made (CHECK, DEL). Pure.

use ipnet::IpNet;
use serde_json::Value;

/// A list of plugins makes a handful of interfaces and addresses; more is an error of whoever sends it.
const MAX_ITEMS: usize = 256;

/// An interface of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousInterface {
    /// Its name.
    pub name: String,
    /// Its MAC address in lower case, if it is told.
    pub mac: Option<String>,
    /// Its MTU in bytes, if it is told (1.1.0).
    pub mtu: Option<u64>,
    /// The network namespace it is in; absent for one of the host.
    pub sandbox: Option<String>,
}

/// A result that came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Previous {
    /// Its interfaces.
    pub interfaces: Vec<PreviousInterface>,
    /// Its addresses, each with the index of its interface if it is told.
    pub ips: Vec<(IpNet, Option<usize>)>,
    /// All of it, as it came.
    pub json: Value,
}

impl Previous {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(json: &Value) -> Result<Self, &'static str> {
        if !json.is_object() {
            return Err("must be an object");
        }
        let list = |key: &str| match &json[key] {
            Value::Null => Ok(&[][..]),
            Value::Array(items) if items.len() <= MAX_ITEMS => Ok(&items[..]),
            Value::Array(_) => Err("has more interfaces or addresses than any container"),
            _ => Err("has interfaces or ips that are no list"),
        };
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let interface = |item: &Value| {
            Ok(PreviousInterface {
                name: text(&item["name"]).ok_or("has an interface without a name")?,
                mac: text(&item["mac"]).map(|mac| mac.to_ascii_lowercase()),
                mtu: item["mtu"].as_u64().filter(|mtu| *mtu != 0),
                sandbox: text(&item["sandbox"]),
            })
        };
        let ip = |item: &Value| {
            let address = item["address"].as_str().and_then(|text| text.parse().ok());
            let index = item["interface"].as_u64().and_then(|index| usize::try_from(index).ok());
            Ok::<_, &'static str>((address.ok_or("has an address that is none")?, index))
        };
        let mut ips: Vec<(IpNet, Option<usize>)> = list("ips")?.iter().map(ip).collect::<Result<_, _>>()?;
        // The shape of 0.1.0 and 0.2.0.
        for key in ["ip4", "ip6"] {
            if let Some(address) = json[key]["ip"].as_str() {
                ips.push((address.parse().map_err(|_| "has an address that is none")?, None));
            }
        }
        let interfaces = list("interfaces")?.iter().map(interface).collect::<Result<_, &'static str>>()?;
        Ok(Self { interfaces, ips, json: json.clone() })
    }

    /// The interface of this name inside a container, with its index.
    pub fn inside(&self, ifname: &str) -> Option<(usize, &PreviousInterface)> {
        let wanted =
            |(_, found): &(usize, &PreviousInterface)| found.name == ifname && found.sandbox.is_some();
        self.interfaces.iter().enumerate().find(wanted)
    }

    /// The addresses of the interface of this name inside the container. Those without an interface are taken for its if
    /// no interface is told at all.
    pub fn addresses(&self, ifname: &str) -> Vec<IpNet> {
        let index = self.inside(ifname).map(|(index, _)| index);
        let wanted = |of: Option<usize>| match (of, index) {
            (Some(of), Some(index)) => of == index,
            (None, None) => self.interfaces.is_empty(),
            _ => false,
        };
        self.ips.iter().filter(|(_, of)| wanted(*of)).map(|(address, _)| *address).collect()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.interfaces.is_empty() && self.ips.is_empty()
    }
}
