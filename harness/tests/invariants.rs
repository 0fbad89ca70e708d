//! Invariants bite: with something broken in the place of a node's links, the run stops with the invariant that says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use ipnet::IpNet;
use nuage_cni::host::{Link, LinkError, Links, Netns, Route, VethPair};
use nuage_harness::run::{Report, run_with};
use nuage_harness::scenario::Scenario;
use nuage_harness::world::sim::kernel::Kernel;

#[derive(Clone, Copy, PartialEq)]
enum Defect {
    /// Says that a link was deleted, and leaves it.
    KeepsLinks,
    /// Says that an address was set, and sets none.
    SetsNothing,
    /// Deletes a link of its own accord once it has been configured.
    LosesLinks,
}

struct Broken(Kernel, Defect);

#[async_trait]
impl Links for Broken {
    async fn open_netns(&self, path: &Path) -> Result<Netns, LinkError> {
        self.0.open_netns(path).await
    }
    async fn find(&self, netns: Option<&Netns>, name: &str) -> Result<Option<Link>, LinkError> {
        self.0.find(netns, name).await
    }
    async fn create_veth(&self, netns: &Netns, pair: &VethPair) -> Result<String, LinkError> {
        self.0.create_veth(netns, pair).await
    }
    async fn configure(
        &self,
        netns: &Netns,
        name: &str,
        addresses: &[IpNet],
        routes: &[Route],
    ) -> Result<(), LinkError> {
        if self.1 == Defect::SetsNothing {
            return Ok(());
        }
        self.0.configure(netns, name, addresses, routes).await?;
        if self.1 == Defect::LosesLinks {
            for link in self.0.host_links() {
                self.0.delete(&link).await?;
            }
        }
        Ok(())
    }
    async fn delete(&self, name: &str) -> Result<bool, LinkError> {
        if self.1 == Defect::KeepsLinks { Ok(true) } else { self.0.delete(name).await }
    }
    async fn underlay_mtu(&self) -> Result<Option<(u32, bool)>, LinkError> {
        self.0.underlay_mtu().await
    }
}

fn report(wrap: fn(Kernel) -> Arc<dyn Links>) -> Report {
    let text = "title = \"t\"\nwhy = \"w\"\n[[load]]\nkind = \"pod\"\ncount = 3\nhold = \"2s\"\n[[expect]]\nkind = \"no_leaks\"\n";
    run_with(&Scenario::parse("x.toml", text).unwrap(), 1, Some(wrap)).unwrap()
}

fn violated(wrap: fn(Kernel) -> Arc<dyn Links>) -> &'static str {
    report(wrap).violation.expect("a violation").invariant
}

#[test]
fn a_pod_without_its_address_violates_no_pod_without_port() {
    assert_eq!(violated(|kernel| Arc::new(Broken(kernel, Defect::SetsNothing))), "no_pod_without_port");
}

#[test]
fn a_pod_that_loses_its_link_violates_no_pod_without_port() {
    assert_eq!(violated(|kernel| Arc::new(Broken(kernel, Defect::LosesLinks))), "no_pod_without_port");
}

#[test]
fn a_healthy_world_violates_nothing() {
    assert!(report(|kernel| Arc::new(kernel)).passed());
}

#[test]
fn a_del_that_leaves_the_link_violates_no_port_without_pod() {
    assert_eq!(violated(|kernel| Arc::new(Broken(kernel, Defect::KeepsLinks))), "no_port_without_pod");
}
