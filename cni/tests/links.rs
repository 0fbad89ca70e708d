//! Links and namespaces of the real kernel. Everything is made in namespaces of this test's own and removed with it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

use std::path::{Path, PathBuf};
use std::process::Command;

use nuage_cni::host::{LinkError, Links as _, Netns, Route, VethPair};
use nuage_cni::link::KernelLinks;

struct Namespace(String);

impl Namespace {
    fn new(test: &str, suffix: &str) -> Option<Self> {
        let name = format!("nuage-links-{}-{suffix}", std::process::id());
        let made = Command::new("ip").args(["netns", "add", &name]).output();
        if !made.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED {test}: root and ip");
            return None;
        }
        Some(Self(name))
    }

    fn path(&self) -> PathBuf {
        Path::new("/var/run/netns").join(&self.0)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// A host link whose name no other test has, removed whatever happens.
struct HostName(String);

impl HostName {
    fn new(suffix: &str) -> Self {
        Self(format!("nt{}{suffix}", std::process::id()))
    }

    fn pair(&self) -> VethPair {
        VethPair { host_name: self.0.clone(), pod_name: "eth0".into(), mtu: 1400, pod_mac: None }
    }
}

impl Drop for HostName {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "del", &self.0]).output();
    }
}

async fn open(namespace: &Namespace) -> Netns {
    KernelLinks.open_netns(&namespace.path()).await.unwrap()
}

#[tokio::test]
async fn a_pair_is_made_with_its_peer_in_the_pod_and_goes_as_one() {
    let test = "a_pair_is_made_with_its_peer_in_the_pod_and_goes_as_one";
    let Some(namespace) = Namespace::new(test, "a") else { return };
    let (netns, host) = (open(&namespace).await, HostName::new("a"));
    let mac = KernelLinks.create_veth(&netns, &host.pair()).await.unwrap();
    let pod = KernelLinks.find(Some(&netns), "eth0").await.unwrap().unwrap();
    assert_eq!((pod.mac.as_str(), pod.mtu, pod.up), (mac.as_str(), 1400, true));
    let outside = KernelLinks.find(None, &host.0).await.unwrap().unwrap();
    assert_eq!((outside.mtu, outside.up), (1400, true));
    assert!(KernelLinks.find(None, "eth0-none").await.unwrap().is_none());

    assert!(KernelLinks.delete(&host.0).await.unwrap());
    assert!(!KernelLinks.delete(&host.0).await.unwrap());
    assert!(KernelLinks.find(Some(&netns), "eth0").await.unwrap().is_none());
}

#[tokio::test]
async fn a_mac_address_that_is_asked_for_is_given() {
    let Some(namespace) = Namespace::new("a_mac_address_that_is_asked_for_is_given", "m") else { return };
    let (netns, host) = (open(&namespace).await, HostName::new("m"));
    let pair = VethPair { pod_mac: Some("02:00:00:00:12:34".into()), ..host.pair() };
    assert_eq!(KernelLinks.create_veth(&netns, &pair).await.unwrap(), "02:00:00:00:12:34");
}

#[tokio::test]
async fn a_name_that_is_taken_is_an_error_and_the_live_link_stays() {
    let test = "a_name_that_is_taken_is_an_error_and_the_live_link_stays";
    let Some(namespace) = Namespace::new(test, "e") else { return };
    let (netns, first, second) = (open(&namespace).await, HostName::new("e1"), HostName::new("e2"));
    let mac = KernelLinks.create_veth(&netns, &first.pair()).await.unwrap();
    let error = KernelLinks.create_veth(&netns, &second.pair()).await.unwrap_err();
    assert!(matches!(&error, LinkError::Exists(name) if name == "eth0"), "{error}");
    assert!(KernelLinks.find(None, &second.0).await.unwrap().is_none(), "nothing is left of the second pair");
    assert_eq!(KernelLinks.find(Some(&netns), "eth0").await.unwrap().unwrap().mac, mac);
}

#[tokio::test]
async fn addresses_and_routes_are_set_and_may_be_there_already() {
    let test = "addresses_and_routes_are_set_and_may_be_there_already";
    let Some(namespace) = Namespace::new(test, "c") else { return };
    let (netns, host) = (open(&namespace).await, HostName::new("c"));
    KernelLinks.create_veth(&netns, &host.pair()).await.unwrap();
    let address = "10.99.0.5/24".parse().unwrap();
    let gateway = "10.99.0.1".parse().unwrap();
    let routes = [
        Route { destination: "10.99.0.1/32".parse().unwrap(), gateway: None },
        Route { destination: "0.0.0.0/0".parse().unwrap(), gateway: Some(gateway) },
    ];
    for _ in 0..2 {
        KernelLinks.configure(&netns, "eth0", &[address], &routes).await.unwrap();
    }
    let link = KernelLinks.find(Some(&netns), "eth0").await.unwrap().unwrap();
    assert_eq!(link.addresses, [address]);
    assert!(routes.iter().all(|route| link.routes.contains(route)), "{:?}", link.routes);
    let missing = KernelLinks.configure(&netns, "eth9", &[address], &[]).await.unwrap_err();
    assert!(matches!(missing, LinkError::NoSuchLink(_)));
}

#[tokio::test]
async fn only_another_network_namespace_is_opened() {
    let open = |path: &'static str| async move { KernelLinks.open_netns(Path::new(path)).await.unwrap_err() };
    assert!(matches!(open("/proc/self/ns/net").await, LinkError::OwnNetns(_)));
    assert!(matches!(open("/proc/self/status").await, LinkError::NotANetns(_)));
    assert!(matches!(open("/var/run/netns/nuage-nobody").await, LinkError::NoSuchNetns(_)));
}
