//! Links and namespaces of the real kernel. Everything is made in namespaces of this test's own and removed with it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

/// Prints the ARP requests and neighbour advertisements that arrive at a link, a line each, until there is one of each.
const LISTEN: &str = "
import socket, sys
packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
packets.bind((sys.argv[1], 0))
packets.settimeout(20)
print('ready', flush=True)
arp = na = None
while not (arp and na):
    frame = packets.recv(2048)
    if frame[12:14] == b'\\x08\\x06':
        arp = ' '.join(['arp', frame[22:28].hex(), socket.inet_ntoa(frame[28:32]), socket.inet_ntoa(frame[38:42])])
    elif frame[12:14] == b'\\x86\\xdd' and frame[20] == 58 and frame[54] == 136:
        target = socket.inet_ntop(socket.AF_INET6, frame[62:78])
        if target.startswith('fd00'):
            na = ' '.join(['na', frame[80:86].hex(), target])
print(arp, flush=True)
print(na, flush=True)
";

#[tokio::test]
async fn both_families_are_usable_at_once_and_announced_to_the_neighbours() {
    let test = "both_families_are_usable_at_once_and_announced_to_the_neighbours";
    let Some(namespace) = Namespace::new(test, "d") else { return };
    let (netns, host) = (open(&namespace).await, HostName::new("d"));
    let mac = KernelLinks.create_veth(&netns, &host.pair()).await.unwrap();
    let mut listener = Command::new("python3");
    let mut listener = listener.args(["-c", LISTEN, &host.0]).stdout(Stdio::piped()).spawn().unwrap();
    let mut heard = BufReader::new(listener.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert_eq!(heard.next().as_deref(), Some("ready"));

    let addresses = ["10.99.0.5/24".parse().unwrap(), "fd00::5/64".parse().unwrap()];
    let gateway = "fd00::1".parse().unwrap();
    let routes = [
        Route { destination: "fd00::1/128".parse().unwrap(), gateway: None },
        Route { destination: "::/0".parse().unwrap(), gateway: Some(gateway) },
    ];
    KernelLinks.configure(&netns, "eth0", &addresses, &routes).await.unwrap();
    let listed =
        Command::new("ip").args(["-n", &namespace.0, "-6", "address", "show", "dev", "eth0"]).output();
    let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
    let ours = listed.lines().find(|line| line.contains("fd00::5/64")).expect(&listed);
    assert!(ours.contains("nodad") && !ours.contains("tentative"), "{listed}");

    let mac = mac.replace(':', "");
    assert_eq!(heard.next(), Some(format!("arp {mac} 10.99.0.5 10.99.0.5")));
    assert_eq!(heard.next(), Some(format!("na {mac} fd00::5")));
    assert!(listener.wait().unwrap().success());
    let link = KernelLinks.find(Some(&netns), "eth0").await.unwrap().unwrap();
    assert_eq!(link.addresses, addresses);
    assert!(link.routes.contains(&routes[1]), "{:?}", link.routes);
}

#[tokio::test]
async fn an_ipv6_address_where_ipv6_is_disabled_is_a_clear_error() {
    let test = "an_ipv6_address_where_ipv6_is_disabled_is_a_clear_error";
    let Some(namespace) = Namespace::new(test, "6") else { return };
    let (netns, host) = (open(&namespace).await, HostName::new("6"));
    let inside = format!("--net={}", namespace.path().display());
    let disable = "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6";
    assert!(Command::new("nsenter").args([&inside, "sh", "-c", disable]).status().unwrap().success());
    KernelLinks.create_veth(&netns, &host.pair()).await.unwrap();
    let addresses = ["fd00::5/64".parse().unwrap()];
    let error = KernelLinks.configure(&netns, "eth0", &addresses, &[]).await.unwrap_err();
    assert!(matches!(&error, LinkError::NoIpv6(name) if name == "eth0"), "{error}");
    assert!(error.to_string().contains("disable_ipv6"), "{error}");
}

#[tokio::test]
async fn only_another_network_namespace_is_opened() {
    let open = |path: &'static str| async move { KernelLinks.open_netns(Path::new(path)).await.unwrap_err() };
    assert!(matches!(open("/proc/self/ns/net").await, LinkError::OwnNetns(_)));
    assert!(matches!(open("/proc/self/status").await, LinkError::NotANetns(_)));
    assert!(matches!(open("/var/run/netns/nuage-nobody").await, LinkError::NoSuchNetns(_)));
}

#[tokio::test]
async fn a_namespace_is_told_of_while_it_has_a_name_or_a_process_and_whether_it_has_one() {
    let test = "a_namespace_is_told_of_while_it_has_a_name_or_a_process_and_whether_it_has_one";
    let Some(namespace) = Namespace::new(test, "w") else { return };
    let inode = open(&namespace).await.inode;
    let inhabited = async || KernelLinks.namespaces().await.unwrap().inhabited.get(&inode).copied();
    assert_eq!(inhabited().await, Some(false), "it has a name");
    let mut process = Command::new("ip")
        .args(["netns", "exec", &namespace.0, "sh", "-c", "echo in; cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!((line.as_str(), inhabited().await), ("in\n", Some(true)));
    drop(namespace);
    assert_eq!(inhabited().await, Some(true), "its name is gone, its process is not");
    drop(process.stdin.take());
    assert!(process.wait().unwrap().success());
    assert_eq!(inhabited().await, None);
}

#[tokio::test]
async fn every_link_of_the_host_is_told_by_its_name() {
    let test = "every_link_of_the_host_is_told_by_its_name";
    let Some(namespace) = Namespace::new(test, "n") else { return };
    let (netns, host) = (open(&namespace).await, HostName::new("n"));
    KernelLinks.create_veth(&netns, &host.pair()).await.unwrap();
    let names = KernelLinks.names().await.unwrap();
    assert!(names.contains(&host.0) && names.contains(&"lo".to_owned()), "{names:?}");
    KernelLinks.delete(&host.0).await.unwrap();
    assert!(!KernelLinks.names().await.unwrap().contains(&host.0));
}
