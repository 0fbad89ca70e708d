//! `original`: pods that the original plugin (Go, 2016 to 2020) attached before ours was there: its names, its rows, no
//! journal. Ours has to take them down.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nuage_cni::host::{LinkError, Route, VethPair};
use nuage_emulator::node::{DOMAIN, ENTERPRISE, SUBNET, USER, ZONE};
use nuage_emulator::vrs::{BRIDGE, DATABASE};
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};
use tokio::time::sleep;

use super::pods::Pods;
use super::spec::Spec;
use super::{Load, NAME, NAMESPACE};
use crate::error::Error;
use crate::kubelet::{self, Pod};
use crate::random::{Amount, Span};
use crate::scenario::Reader;
use crate::scenario::registry::Kind;
use crate::world::sim::World;

pub(super) const KIND: Kind<dyn Load> = Kind {
    name: "original",
    about: "Pods that the original plugin attached before this one was installed, with its names and rows and without a \
            journal; this one takes them down.",
    read: |reader| Ok(Arc::new(Original::read(reader)?)),
};

/// What the original gave its links.
const MTU: u32 = 1450;
const INTERFACE: &str = "eth0";
/// How often a row is looked at while the controller resolves it, and how often at most.
const LOOK: Duration = Duration::from_millis(50);
const LOOKS: usize = 600;

/// How the original named its ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    /// Since May 2018: `nu` and 13 digits.
    Prefixed,
    /// Before: the interface's number and 14 digits.
    Numbered,
}

#[derive(Clone, Debug)]
struct Original {
    namespace: String,
    name: String,
    count: Amount,
    naming: Naming,
    hold: Span,
}

impl Original {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let words = [("prefixed", Naming::Prefixed), ("numbered", Naming::Numbered)];
        let naming =
            "prefixed: nu and 13 digits, since May 2018; numbered: the interface's number and 14 digits";
        Ok(Self {
            namespace: reader.name("namespace", NAMESPACE, "default")?,
            name: reader.name("name", NAME, "old")?,
            count: reader.amount("count", "how many pods", Some(1), 1..=10_000)?,
            naming: reader.word("naming", naming, Some("prefixed"), &words)?,
            hold: reader.span("hold", "how long they stay", Some(Duration::from_secs(10)))?,
        })
    }

    /// Attaches a pod as the original did; its sandbox. `None`: the controller resolved nothing.
    async fn attach(&self, world: &Arc<World>, pod: &Pod) -> Result<Option<String>, LinkError> {
        let sandbox = kubelet::open_sandbox(world, pod);
        let port = self.naming.port(&sandbox.id);
        let kernel = world.host(pod.node).links;
        let netns = kernel.open_netns(&sandbox.netns).await?;
        let pair =
            VethPair { host_name: port.clone(), pod_name: INTERFACE.to_owned(), mtu: MTU, pod_mac: None };
        let mac = kernel.create_veth(&netns, &pair).await?;
        world.nodes[pod.node].vrs.server().transact(DATABASE, &rows(pod, &sandbox.id, &port, &mac));
        let Some((address, prefix, gateway)) = resolved(world, pod.node, &port).await else {
            kubelet::close_sandbox(world, pod, &sandbox).await;
            return Ok(None);
        };
        let addresses: Vec<_> = format!("{address}/{prefix}").parse().into_iter().collect();
        let hop =
            format!("{gateway}/32").parse().ok().map(|destination| Route { destination, gateway: None });
        let default = "0.0.0.0/0".parse().ok();
        let default = default.map(|destination| Route { destination, gateway: gateway.parse().ok() });
        let routes: Vec<Route> = hop.into_iter().chain(default).collect();
        kernel.configure(&netns, INTERFACE, &addresses, &routes).await?;
        kubelet::attached(world, pod, &sandbox, &port, &address);
        Ok(Some(sandbox.id))
    }
}

impl Naming {
    fn port(self, id: &str) -> String {
        let digits = format!("{:x}", Sha1::digest(id.replace('-', "")));
        match self {
            Self::Prefixed => format!("nu{}", &digits[..13]),
            Self::Numbered => format!("0{}", &digits[..14]),
        }
    }
}

/// What the original's transactions left on the switch.
fn rows(pod: &Pod, id: &str, port: &str, mac: &str) -> Vec<Value> {
    let insert = |table: &str, name: &str, row: Value| json!({"op": "insert", "table": table, "uuid-name": name, "row": row});
    let ids = json!(["map", [["vm-name", pod.name], ["vm-uuid", id]]]);
    vec![
        insert("Interface", "intf", json!({"name": port, "external_ids": ids})),
        insert(
            "Port",
            "port",
            json!({"name": port, "interfaces": ["named-uuid", "intf"], "external_ids": ids}),
        ),
        json!({"op": "mutate", "table": "Bridge", "where": [["name", "==", BRIDGE]],
               "mutations": [["ports", "insert", ["named-uuid", "port"]]]}),
        insert(
            "Nuage_Port_Table",
            "gopher",
            json!({
                "name": port, "mac": mac, "ip_addr": "", "subnet_mask": "", "gateway": "", "bridge": BRIDGE, "alias": "",
                "nuage_domain": DOMAIN, "nuage_network": SUBNET, "nuage_zone": ZONE, "nuage_network_type": "ipv4",
                "evpn_id": 0, "vrf_id": 0, "vm_domain": 4, "dirty": 0,
                "metadata": ["map", [
                    ["nuage-enterprise-domain", DOMAIN], ["nuage-enterprise-network", SUBNET],
                    ["nuage-enterprise-zone", ZONE], ["nuage-enterprise-network-type", "ipv4"],
                ]],
            }),
        ),
        insert(
            "Nuage_VM_Table",
            "vm",
            json!({
                "type": 4, "event": 2, "event_type": 0, "state": 1, "reason": 1, "vm_uuid": id, "vm_name": pod.name,
                "domain": 4, "nuage_user": USER, "nuage_enterprise": ENTERPRISE, "ports": ["set", [port]], "dirty": 0,
                "metadata": ["map", [["enterprise", ENTERPRISE]]],
            }),
        ),
    ]
}

/// Address, prefix length and gateway that the controller has given a port.
async fn resolved(world: &Arc<World>, node: usize, port: &str) -> Option<(String, u32, String)> {
    let server = world.nodes[node].vrs.server();
    for _ in 0..LOOKS {
        let rows = server.rows(DATABASE, "Nuage_Port_Table");
        let row = rows.iter().map(|(_, row)| row).find(|row| row["name"] == port)?;
        let text = |column: &str| row[column].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        if let (Some(address), Some(mask), Some(gateway)) =
            (text("ip_addr").filter(|address| address != "0.0.0.0"), text("subnet_mask"), text("gateway"))
        {
            let mask: std::net::Ipv4Addr = mask.parse().ok()?;
            return Some((address, mask.to_bits().count_ones(), gateway));
        }
        sleep(LOOK).await;
    }
    None
}

#[async_trait(?Send)]
impl Load for Original {
    fn needs_simulation(&self) -> Option<&'static str> {
        Some("links of the original are made in a simulated kernel")
    }

    async fn run(&self, pods: &Pods) {
        let (world, random) = (&pods.world, pods.random.clone());
        for number in 0..self.count.draw(&random) {
            let spec = Spec::new(&self.namespace, &format!("{}-{number}", self.name));
            if !pods.comes_about() {
                pods.stand_in(&spec);
                continue;
            }
            let Some(pod) = pods.submit(&spec, pods.place()) else { continue };
            // What could not be attached has no sandbox yet; it gets one from this plugin.
            let sandbox = self.attach(world, &pod).await.ok().flatten();
            pods.live_on(&spec, pod, sandbox);
        }
        sleep(self.hold.draw(&random)).await;
        pods.clear(&format!("{}/{}-", self.namespace, self.name)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_named_as_the_original_named_them() {
        let id = "5ac67fbb6c72850d236e378dd495934d13b386931f9d4e12942df653be4e5b18";
        assert_eq!(Naming::Prefixed.port(id), "nu7db556744f4c7");
        assert_eq!(Naming::Numbered.port(id), "07db556744f4c70");
    }
}
