//! What can be broken where the plugin makes links, and on the switch while it does.

use std::io;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use ipnet::IpNet;
use nuage_cni::host::{Files, Host, Link, LinkError, Links, Netns, Route, VethPair};
use nuage_emulator::vrs::{DATABASE, Vrs};
use nuage_harness::world::sim::Node;
use nuage_harness::world::sim::kernel::BYSTANDER;
use serde_json::{Value, json};

use super::Mutation;

macro_rules! mutation {
    ($breaks:literal, $about:literal, $defect:ident) => {
        Mutation::of_seams($breaks, $about, |node, host| links(node, host, Defect::$defect))
    };
}

pub(super) const ALL: &[Mutation] = &[
    mutation!("no_port_without_pod", "a link is said to be deleted, and left", KeepsLinks),
    mutation!("no_port_without_pod", "an entity of nobody is written", RevivesEntity),
    mutation!("no_pod_without_port", "an address is said to be set, and is not", SetsNothing),
    mutation!("no_pod_without_port", "links are lost once they are configured", LosesLinks),
    mutation!(
        "no_half_state_after_failed_add",
        "an ADD fails, and its link cannot be taken back",
        FailsHalfway
    ),
    mutation!("no_duplicate_ip", "one address is written into every row", SharesAddress),
    mutation!("no_duplicate_port_name", "a second row of each port is written", WritesTwice),
    mutation!("foreign_rows_untouched", "a DEL takes the rows of others along", DeletesForeignRows),
    mutation!("foreign_rows_untouched", "a DEL takes a tap of others out of the bridge", UnplugsForeignTap),
    mutation!("other_namespaces_untouched", "an ADD gives an address to another pod as well", MeddlesWithPod),
    mutation!(
        "other_namespaces_untouched",
        "an ADD gives an address to another driver's pod",
        MeddlesWithBystander
    ),
    mutation!("other_namespaces_untouched", "an ADD makes a second link in its namespace", MakesTwo),
    mutation!("add_result_equals_dataplane", "routes are said to be set, and are not", SetsNoRoutes),
    mutation!("no_residue_after_del", "a DEL leaves the link in the namespace", KeepsLinks),
    mutation!("gc_removes_exactly_the_complement", "a GC takes the links of all pods along", TakesAllLinks)
        .beside(GARBAGE),
];

/// Pods that their runtime forgets, one that lives on, and a GC while it does.
pub(super) const GARBAGE: &str = "[[load]]\nkind = \"pod\"\nname = \"longer\"\nhold = \"6s\"\n\
    [[load]]\nkind = \"runtime_restart\"\nat = \"4s\"\n\
    [[fault]]\nkind = \"kubelet.forgets\"\nfor = \"4s\"";

#[derive(Clone, Copy, PartialEq)]
enum Defect {
    TakesAllLinks,
    KeepsLinks,
    SetsNothing,
    LosesLinks,
    FailsHalfway,
    SharesAddress,
    WritesTwice,
    DeletesForeignRows,
    UnplugsForeignTap,
    RevivesEntity,
    MeddlesWithPod,
    MeddlesWithBystander,
    MakesTwo,
    SetsNoRoutes,
}

/// Where the first namespace that was worked on is remembered: each call is a process of its own.
const FIRST: &str = "/the-first-namespace";

struct Broken {
    links: Arc<dyn Links>,
    files: Arc<dyn Files>,
    vrs: Vrs,
    defect: Defect,
}

fn links(node: &Node, host: Host, defect: Defect) -> Host {
    let (links, files) = (Arc::clone(&host.links), Arc::clone(&host.files));
    Host { links: Arc::new(Broken { links, files, vrs: node.vrs.clone(), defect }), ..host }
}

impl Broken {
    fn transact(&self, operations: &[Value]) {
        let results = self.vrs.server().transact(DATABASE, operations);
        assert!(results.iter().all(|result| result["error"].is_null()), "{results:?}");
    }

    /// Gives an address to the pod in a namespace.
    async fn meddle(&self, path: &Path) -> Result<(), LinkError> {
        // It may be gone by now.
        if let Ok(netns) = self.links.open_netns(path).await {
            self.links.configure(&netns, "eth0", &["192.0.2.77/32".parse().unwrap()], &[]).await?;
        }
        Ok(())
    }

    /// Deletes the links of all pods.
    async fn delete_all(&self) -> Result<(), LinkError> {
        let rows = self.vrs.server().rows(DATABASE, "Nuage_Port_Table");
        let names = rows.iter().filter_map(|(_, row)| row["name"].as_str());
        for name in names.filter(|name| *name != "foreign") {
            self.links.delete(name).await?;
        }
        Ok(())
    }

    /// What is done in the place of, or before, an address is set; true: instead of it.
    async fn before(&self, netns: &Netns) -> Result<bool, LinkError> {
        match self.defect {
            Defect::SetsNothing => return Ok(true),
            Defect::FailsHalfway => {
                let source = io::ErrorKind::OutOfMemory.into();
                return Err(LinkError::Kernel { operation: "adding an address".to_owned(), source });
            }
            Defect::SharesAddress => self.transact(&[json!({"op": "update", "table": "Nuage_Port_Table",
                "where": [["name", "!=", "foreign"]], "row": {"ip_addr": "10.9.9.9"}})]),
            Defect::WritesTwice => {
                for (_, row) in self.vrs.server().rows(DATABASE, "Nuage_Port_Table") {
                    let row = json!({ "name": row["name"], "ip_addr": "" });
                    self.transact(&[json!({"op": "insert", "table": "Nuage_Port_Table", "row": row})]);
                }
            }
            Defect::MeddlesWithBystander => self.meddle(Path::new(BYSTANDER)).await?,
            Defect::MeddlesWithPod => match self.files.read(Path::new(FIRST), 1 << 10).unwrap() {
                Some(first) => self.meddle(Path::new(std::str::from_utf8(&first).unwrap())).await?,
                None => self.files.write(Path::new(FIRST), netns.path.to_str().unwrap().as_bytes()).unwrap(),
            },
            _ => {}
        }
        Ok(false)
    }
}

#[async_trait]
impl Links for Broken {
    async fn open_netns(&self, path: &Path) -> Result<Netns, LinkError> {
        self.links.open_netns(path).await
    }
    async fn find(&self, netns: Option<&Netns>, name: &str) -> Result<Option<Link>, LinkError> {
        self.links.find(netns, name).await
    }
    async fn create_veth(&self, netns: &Netns, pair: &VethPair) -> Result<String, LinkError> {
        if self.defect == Defect::MakesTwo {
            let host_name = format!("x{}", &pair.host_name[1..]);
            let second = VethPair { host_name, pod_name: "net1".to_owned(), ..pair.clone() };
            self.links.create_veth(netns, &second).await?;
        }
        self.links.create_veth(netns, pair).await
    }
    async fn configure(
        &self,
        netns: &Netns,
        name: &str,
        addresses: &[IpNet],
        routes: &[Route],
    ) -> Result<(), LinkError> {
        if self.before(netns).await? {
            return Ok(());
        }
        let routes = if self.defect == Defect::SetsNoRoutes { &[] } else { routes };
        self.links.configure(netns, name, addresses, routes).await?;
        if self.defect == Defect::LosesLinks {
            self.delete_all().await?;
        }
        Ok(())
    }
    async fn delete(&self, name: &str) -> Result<bool, LinkError> {
        match self.defect {
            Defect::KeepsLinks | Defect::FailsHalfway => return Ok(true),
            Defect::TakesAllLinks => self.delete_all().await?,
            Defect::DeletesForeignRows => {
                self.transact(&[json!({"op": "delete", "table": "Nuage_VM_Table", "where": []})]);
            }
            Defect::UnplugsForeignTap => {
                let select = json!({"op": "select", "table": "Port", "where": [["name", "==", "foreign"]]});
                let found = self.vrs.server().transact(DATABASE, &[select]);
                if let Some(tap) = found[0]["rows"].get(0) {
                    self.transact(&[json!({"op": "mutate", "table": "Bridge", "where": [],
                        "mutations": [["ports", "delete", tap["_uuid"]]]})]);
                }
            }
            Defect::RevivesEntity => self.transact(&[json!({"op": "insert", "table": "Nuage_VM_Table",
                "row": {"vm_uuid": "of-nobody", "vm_name": "of-nobody"}})]),
            _ => {}
        }
        self.links.delete(name).await
    }
    async fn underlay_mtu(&self) -> Result<Option<(u32, bool)>, LinkError> {
        self.links.underlay_mtu().await
    }
}
