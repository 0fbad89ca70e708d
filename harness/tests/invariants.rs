//! Every invariant bites: with one thing broken on purpose in the place of a node's seams, the run stops with the invariant
//! that says so. A healthy world violates none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ipnet::IpNet;
use nuage_cni::host::{Files, Host, Link, LinkError, Links, LockGuard, Netns, Route, VethPair};
use nuage_emulator::vrs::{DATABASE, Vrs};
use nuage_harness::invariant::ALL;
use nuage_harness::run::{Report, run_with};
use nuage_harness::scenario::Scenario;
use nuage_harness::world::sim::{Node, Tampering, Wrap};
use serde_json::{Value, json};

#[derive(Clone, Copy, PartialEq)]
enum Defect {
    /// Says that a link was deleted, and leaves it.
    KeepsLinks,
    /// Says that an address was set, and sets none.
    SetsNothing,
    /// Takes the links of the host away as soon as one is configured.
    LosesLinks,
    /// Fails to set an address, and cannot take the link back either.
    FailsHalfway,
    /// Writes the same address into every row.
    SharesAddress,
    /// Writes a second row of each name.
    WritesTwice,
    /// Takes all rows away with its own.
    DeletesForeignRows,
    /// Takes a tap of others out of the bridge.
    UnplugsForeignTap,
    /// Leaves the entity's row.
    RevivesEntity,
}

struct Broken {
    links: Arc<dyn Links>,
    vrs: Vrs,
    defect: Defect,
}

impl Broken {
    fn transact(&self, operations: &[Value]) {
        let results = self.vrs.server().transact(DATABASE, operations);
        assert!(results.iter().all(|result| result["error"].is_null()), "{results:?}");
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
        self.links.create_veth(netns, pair).await
    }
    async fn configure(
        &self,
        netns: &Netns,
        name: &str,
        addresses: &[IpNet],
        routes: &[Route],
    ) -> Result<(), LinkError> {
        match self.defect {
            Defect::SetsNothing => return Ok(()),
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
            _ => {}
        }
        self.links.configure(netns, name, addresses, routes).await?;
        if self.defect == Defect::LosesLinks {
            let rows = self.vrs.server().rows(DATABASE, "Nuage_Port_Table");
            for name in rows.iter().filter_map(|(_, row)| row["name"].as_str()) {
                self.links.delete(name).await?;
            }
        }
        Ok(())
    }
    async fn delete(&self, name: &str) -> Result<bool, LinkError> {
        match self.defect {
            Defect::KeepsLinks | Defect::FailsHalfway => return Ok(true),
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

/// A disk that can neither be read nor written once something was removed from it.
struct DyingDisk {
    files: Arc<dyn Files>,
    dead: Mutex<bool>,
}

impl DyingDisk {
    fn check(&self) -> io::Result<()> {
        if *self.dead.lock().unwrap() { Err(io::Error::other("the disk is gone")) } else { Ok(()) }
    }
}

impl Files for DyingDisk {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        self.check()?;
        self.files.read(path, limit)
    }
    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.check()?;
        self.files.write(path, content)
    }
    fn remove(&self, path: &Path) -> io::Result<bool> {
        let removed = self.files.remove(path)?;
        if removed {
            let marker = PathBuf::from("/the-disk-is-dead");
            self.files.write(&marker, b"")?;
            *self.dead.lock().unwrap() = true;
        }
        Ok(removed)
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.files.list(directory)
    }
    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn LockGuard>>> {
        self.check()?;
        self.files.try_lock(path)
    }
}

fn links(node: &Node, host: Host, defect: Defect) -> Host {
    let broken = Broken { links: Arc::clone(&host.links), vrs: node.vrs.clone(), defect };
    Host { links: Arc::new(broken), ..host }
}

fn dying_disk(_: &Node, host: Host) -> Host {
    // Each call is a process of its own: whether the disk is dead is written on the disk.
    let dead = host.files.read(Path::new("/the-disk-is-dead"), 1).unwrap().is_some();
    let files = Arc::new(DyingDisk { files: Arc::clone(&host.files), dead: Mutex::new(dead) });
    Host { files, ..host }
}

fn report(wrap: Option<Wrap>) -> Report {
    let text = "title = \"t\"\nwhy = \"w\"\n[[load]]\nkind = \"pod\"\ncount = 3\nhold = \"2s\"\n[[expect]]\nkind = \"no_leaks\"\n";
    let tampering = Tampering { wrap, ..Tampering::default() };
    run_with(&Scenario::parse("x.toml", text).unwrap(), 1, tampering).unwrap()
}

fn violated(wrap: Wrap) -> &'static str {
    let report = report(Some(wrap));
    let violation = report.violation.as_ref().unwrap_or_else(|| panic!("none: {:?}", report.complaints()));
    let lines = report.complaints();
    assert!(lines[0].starts_with(&format!("{} violated on node-1 at ", violation.invariant)), "{lines:?}");
    assert!(lines[1].contains("\"event\":"), "the events before it are shown: {lines:?}");
    assert_eq!(report.trace.len(), violation.events + 1, "the run stops there: only its end follows");
    violation.invariant
}

#[test]
fn a_healthy_world_violates_nothing() {
    assert!(report(None).passed());
}

#[test]
fn two_pods_with_one_address_violate_no_duplicate_ip() {
    assert_eq!(violated(|node, host| links(node, host, Defect::SharesAddress)), "no_duplicate_ip");
}

#[test]
fn a_second_row_of_a_port_violates_no_duplicate_port_name() {
    assert_eq!(violated(|node, host| links(node, host, Defect::WritesTwice)), "no_duplicate_port_name");
}

#[test]
fn a_del_that_leaves_the_link_violates_no_port_without_pod() {
    assert_eq!(violated(|node, host| links(node, host, Defect::KeepsLinks)), "no_port_without_pod");
}

#[test]
fn an_entity_of_nobody_violates_no_port_without_pod() {
    assert_eq!(violated(|node, host| links(node, host, Defect::RevivesEntity)), "no_port_without_pod");
}

#[test]
fn a_pod_without_its_address_violates_no_pod_without_port() {
    assert_eq!(violated(|node, host| links(node, host, Defect::SetsNothing)), "no_pod_without_port");
}

#[test]
fn a_pod_that_loses_its_link_violates_no_pod_without_port() {
    assert_eq!(violated(|node, host| links(node, host, Defect::LosesLinks)), "no_pod_without_port");
}

#[test]
fn a_deleted_row_of_others_violates_foreign_rows_untouched() {
    let found = violated(|node, host| links(node, host, Defect::DeletesForeignRows));
    // Rows of pods that are up went with it, and either is noticed at that event.
    assert!(["foreign_rows_untouched", "no_pod_without_port"].contains(&found), "{found}");
}

#[test]
fn a_tap_of_others_taken_out_of_the_bridge_violates_foreign_rows_untouched() {
    assert_eq!(violated(|node, host| links(node, host, Defect::UnplugsForeignTap)), "foreign_rows_untouched");
}

#[test]
fn an_add_that_fails_and_leaves_its_link_violates_no_half_state_after_failed_add() {
    assert_eq!(
        violated(|node, host| links(node, host, Defect::FailsHalfway)),
        "no_half_state_after_failed_add"
    );
}

#[test]
fn a_second_del_that_fails_violates_del_is_idempotent() {
    assert_eq!(violated(dying_disk), "del_is_idempotent");
}

#[test]
fn every_invariant_has_a_test_here() {
    let tests = include_str!("invariants.rs");
    for invariant in ALL {
        assert!(
            tests.contains(&format!("_violates_{}()", invariant.name))
                || tests.contains(&format!("_violate_{}()", invariant.name)),
            "{}",
            invariant.name
        );
    }
}
