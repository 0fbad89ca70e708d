//! What the benchmark of the data plane needs: a site in this process with two containers, and two namespaces on a plain bridge.
//! All of it goes with the [`Lab`].

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nuage_emulator::http::{PeerCertificate, in_process};
use nuage_emulator::up::{Component, Options, Ports, Reach, Site};
use nuage_emulator::vsd::client::{Client, Error as VsdError, id};
use nuage_emulator::{node, vrs};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::error::Error;
use crate::stopwatch::Stopwatch;

/// How long a port may take to be resolved.
const PATIENCE: Duration = Duration::from_secs(30);
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);
/// How long the VSD's events and the packet filters may take.
const SETTLED: Duration = Duration::from_millis(1500);
/// The addresses on the plain bridge.
pub(super) const PLAIN: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 3)];

/// A container.
pub(super) struct Pod {
    pub(super) netns: String,
    pub(super) address: Ipv4Addr,
}

pub(super) struct Lab {
    site: Option<Site>,
    directory: PathBuf,
    vsd: Client,
    domain: String,
    /// The containers, and the plain bridge's own namespace with its two.
    namespaces: Vec<String>,
    pub(super) pods: Vec<Pod>,
    pub(super) plain: Vec<Pod>,
}

pub(super) fn refused(error: &VsdError) -> Error {
    Error::Site(error.to_string())
}

fn ip(line: &str) -> Result<(), Error> {
    let arguments: Vec<&str> = line.split_whitespace().collect();
    let output = Command::new("ip").args(&arguments).output();
    let output = output.map_err(|source| Error::File { path: "ip".into(), source })?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Site(format!("ip {line}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

impl Lab {
    pub(super) async fn start() -> Result<Self, Error> {
        let directory = std::env::temp_dir().join(format!("nuage-bench-{}", std::process::id()));
        let options = Options {
            directory: directory.clone(),
            ports: Ports::Auto,
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            components: [Component::Vrs, Component::Vsd, Component::Vsc].into(),
            empty: false,
            nodes: 1,
            persist: false,
            dataplane: true,
            standby: false,
            vrs_tcp: false,
            vrs_tls: false,
            reach: Reach::default(),
        };
        let site = Site::start(&options).await.map_err(|error| match error {
            nuage_emulator::error::Error::Lacks(what) => Error::Lacking(what.to_owned()),
            other => Error::Site(other.to_string()),
        })?;
        let router = site.parts().vsd.as_ref().map(nuage_emulator::vsd::Vsd::router).unwrap_or_default();
        let peer = PeerCertificate { common_name: "csproot".to_owned() };
        let vsd = Client::new(in_process(router, Some(peer)), "https://vsd/nuage/api/v6");
        let (namespaces, pods, plain) = (Vec::new(), Vec::new(), Vec::new());
        let domain = String::new();
        let mut lab = Self { site: Some(site), directory, vsd, domain, namespaces, pods, plain };
        let found = lab.vsd.find("domains", "name", node::DOMAIN).await.map_err(|error| refused(&error))?;
        let domain = found.as_ref().map(id).transpose().map_err(|error| refused(&error))?;
        lab.domain = domain.map(str::to_owned).unwrap_or_default();
        lab.plain()?;
        Ok(lab)
    }

    fn namespace(&mut self, name: &str) -> Result<String, Error> {
        let name = format!("nuage-bench-{}-{name}", std::process::id());
        ip(&format!("netns add {name}"))?;
        self.namespaces.push(name.clone());
        Ok(name)
    }

    fn plain(&mut self) -> Result<(), Error> {
        let bridge = self.namespace("plain")?;
        ip(&format!("-n {bridge} link add plain up type bridge"))?;
        for (number, address) in (1..).zip(PLAIN) {
            let netns = self.namespace(&format!("plain{number}"))?;
            ip(&format!(
                "-n {bridge} link add p{number} mtu 1450 up master plain type veth peer name eth0 mtu 1450 netns {netns}"
            ))?;
            ip(&format!("-n {netns} link set eth0 up"))?;
            ip(&format!("-n {netns} address add {address}/24 dev eth0"))?;
            self.plain.push(Pod { netns, address });
        }
        Ok(())
    }

    /// Attaches a container; returns how long it took from its rows to its answer.
    pub(super) async fn attach(&mut self, number: u32) -> Result<Duration, Error> {
        let netns = self.namespace(&format!("pod{number}"))?;
        let (link, mac) = (format!("nu{number}"), format!("02:00:00:00:00:{number:02x}"));
        let host = self.site.as_ref().and_then(|site| site.endpoints()["nodes"][0]["netns"].as_str());
        let host = host.and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned();
        ip(&format!(
            "-n {host} link add {link} mtu 1450 up type veth peer name eth0 mtu 1450 address {mac} netns {netns}"
        ))?;
        ip(&format!("-n {netns} link set eth0 up"))?;
        let watch = Stopwatch::start();
        let row = self.resolve(number, &link, &mac).await?;
        let taken = watch.elapsed();
        let text = |column: &str| row[column].as_str().unwrap_or_default().to_owned();
        let address = text("ip_addr");
        ip(&format!("-n {netns} address add {address}/24 dev eth0"))?;
        ip(&format!("-n {netns} route add default via {}", text("gateway")))?;
        let address = address.parse().map_err(|_| Error::Site(format!("no address: {address}")))?;
        self.pods.push(Pod { netns, address });
        Ok(taken)
    }

    async fn resolve(&self, number: u32, link: &str, mac: &str) -> Result<Value, Error> {
        let switch = self.site.as_ref().and_then(|site| site.parts().switches.first());
        let server =
            switch.map(|(_, switch)| switch.server()).ok_or_else(|| Error::Site("no switch".to_owned()))?;
        let insert = |table: &str, name: &str, row: Value| json!({"op": "insert", "table": table, "uuid-name": name, "row": row});
        server.transact(vrs::DATABASE, &[
            insert("Interface", "i", json!({"name": link})),
            insert("Port", "p", json!({"name": link, "interfaces": ["named-uuid", "i"]})),
            json!({"op": "mutate", "table": "Bridge", "where": [], "mutations": [["ports", "insert", ["named-uuid", "p"]]]}),
            insert("Nuage_Port_Table", "n", json!({
                "name": link, "mac": mac, "bridge": vrs::BRIDGE,
                "nuage_domain": node::DOMAIN, "nuage_zone": node::ZONE, "nuage_network": node::SUBNET,
            })),
            insert("Nuage_VM_Table", "v", json!({
                "vm_uuid": format!("00000000-0000-0000-0000-{number:012x}"), "vm_name": link, "nuage_user": node::USER,
                "nuage_enterprise": node::ENTERPRISE, "ports": link, "type": 4, "event": 2, "event_type": 0, "state": 1,
            })),
        ]);
        let watch = Stopwatch::start();
        while watch.elapsed() < PATIENCE {
            let select = json!({"op": "select", "table": "Nuage_Port_Table", "where": [["name", "==", link]],
                                "columns": ["ip_addr", "gateway"]});
            let row = server.transact(vrs::DATABASE, &[select])[0]["rows"][0].clone();
            if row["ip_addr"].as_str().is_some_and(|address| !address.is_empty()) {
                return Ok(row);
            }
            sleep(BETWEEN_LOOKS).await;
        }
        Err(Error::Site(format!("{link} is not resolved")))
    }

    /// Gives the domain so many egress entries that match nothing of what is sent.
    pub(super) async fn entries(&self, count: usize) -> Result<(), Error> {
        let path = format!("domains/{}/egressacltemplates", self.domain);
        let told = |error: VsdError| refused(&error);
        let name = format!("{count} entries");
        let template = json!({ "name": name, "active": true, "priorityType": "TOP", "defaultAllowIP": true });
        for old in self.vsd.list(&path, None).await.map_err(told)? {
            if old["name"].as_str().is_some_and(|name| name.ends_with(" entries")) {
                self.vsd
                    .delete(&format!("egressacltemplates/{}", id(&old).map_err(told)?))
                    .await
                    .map_err(told)?;
            }
        }
        let template = self.vsd.create(&path, &template).await.map_err(told)?;
        let path = format!("egressacltemplates/{}/egressaclentrytemplates", id(&template).map_err(told)?);
        for priority in 0..count {
            let entry = json!({
                "etherType": "0x0800", "protocol": "17", "destinationPort": (priority % 60_000 + 1).to_string(),
                "sourcePort": "*", "DSCP": "*", "action": "DROP", "priority": priority,
                "locationType": "ANY", "networkType": "ENDPOINT_DOMAIN",
            });
            self.vsd.create(&path, &entry).await.map_err(told)?;
        }
        sleep(SETTLED).await;
        Ok(())
    }

    /// Ends the site; the rest goes with the last handle.
    pub(super) async fn end(mut self) {
        if let Some(site) = self.site.take() {
            site.stop().await;
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for name in &self.namespaces {
            // What is left is told by `ip netns`.
            let _ = ip(&format!("netns delete {name}"));
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
