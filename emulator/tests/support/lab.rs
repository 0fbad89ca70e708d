//! A site with a data plane in the test's own process, and containers on its nodes: namespaces, links and rows as a plugin makes
//! them. All of it is gone with this.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "shared by tests")]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use nuage_emulator::http::{HttpService, PeerCertificate, in_process};
use nuage_emulator::up::{Component, Options, Ports, Reach, Site};
use nuage_emulator::vrs::Vrs;
use nuage_emulator::vsd::client::{Client, id};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// Says why a test is skipped, if it is.
pub(crate) fn can_run(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    let there = |command: &str, version: &str| Command::new(command).arg(version).output().is_ok();
    let missing = match (root, there("ip", "-V"), there("nft", "--version")) {
        (false, ..) => "root",
        (_, false, _) => "ip",
        (.., false) => "nft",
        _ => return true,
    };
    eprintln!("SKIPPED {test}: {missing}");
    false
}

/// Runs `ip` with lines of commands.
pub(crate) fn ip(lines: &str) {
    let mut child = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{lines}");
}

/// Does something inside a namespace, on a thread of its own.
pub(crate) fn within<T: Send + 'static>(
    netns: &str,
    action: impl FnOnce() -> T + Send + 'static,
) -> thread::JoinHandle<T> {
    let file = File::open(format!("/run/netns/{netns}")).unwrap();
    thread::spawn(move || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        action()
    })
}

/// Where a container is to be.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) domain: String,
    pub(crate) zone: String,
    pub(crate) subnet: String,
}

impl Place {
    pub(crate) fn new(domain: &str, zone: &str, subnet: &str) -> Self {
        Self { domain: domain.to_owned(), zone: zone.to_owned(), subnet: subnet.to_owned() }
    }
}

/// A container.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    pub(crate) place: Place,
    pub(crate) node: usize,
    /// Its namespace.
    pub(crate) netns: String,
    /// The host's end of its link, and its port.
    pub(crate) link: String,
    pub(crate) mac: String,
    pub(crate) address: Ipv4Addr,
    uuid: String,
}

/// The site.
pub(crate) struct Lab {
    site: Option<Site>,
    _directory: tempfile::TempDir,
    pub(crate) vsd: Client,
    http: HttpService,
    /// The ID of the enterprise `acme`.
    pub(crate) enterprise: String,
    template: String,
    pods: Vec<String>,
    /// What the link was in when the last container was answered.
    pub(crate) carried: String,
}

const URL: &str = "https://vsd/nuage/api/v6";
static NUMBER: AtomicU32 = AtomicU32::new(1);

impl Lab {
    /// Starts it with so many nodes.
    pub(crate) async fn start(nodes: u16) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            directory: directory.path().join("site"),
            ports: Ports::Auto,
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            components: BTreeSet::from([Component::Vrs, Component::Vsd, Component::Vsc]),
            empty: false,
            nodes,
            persist: false,
            dataplane: true,
            standby: false,
            vrs_tcp: false,
            vrs_tls: false,
            reach: Reach::default(),
        };
        let site = Site::start(&options).await.unwrap();
        let peer = PeerCertificate { common_name: "csproot".to_owned() };
        let router = site.parts().vsd.as_ref().unwrap().router();
        let http = in_process(router, Some(peer));
        let vsd = Client::new(http.clone(), URL);
        let (enterprise, template) = (String::new(), String::new());
        let mut lab = Self {
            site: Some(site),
            _directory: directory,
            vsd,
            http,
            enterprise,
            template,
            pods: Vec::new(),
            carried: String::new(),
        };
        lab.enterprise = lab.make("enterprises", json!({ "name": "acme" })).await;
        let templates = format!("enterprises/{}/domaintemplates", lab.enterprise);
        lab.template = lab.make(&templates, json!({ "name": "plain" })).await;
        lab
    }

    pub(crate) async fn make(&self, path: &str, body: Value) -> String {
        let made = self.vsd.create(path, &body).await.unwrap_or_else(|error| panic!("{path}: {error}"));
        id(&made).unwrap().to_owned()
    }

    /// Says who the members of a collection are, instead of those that were.
    pub(crate) async fn members(&self, path: &str, ids: &[&str]) {
        let body = Bytes::from(serde_json::to_vec(ids).unwrap());
        let request = http::Request::put(format!("{URL}/{path}")).header("content-type", "application/json");
        let answer = self.http.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }

    /// A domain without policy.
    pub(crate) async fn domain(&self, name: &str) -> String {
        let body = json!({ "name": name, "templateID": self.template });
        self.make(&format!("enterprises/{}/domains", self.enterprise), body).await
    }

    /// Templates that let everything pass.
    pub(crate) async fn allow(&self, domain: &str) {
        for way in ["ingress", "egress"] {
            let body = json!({ "name": way, "active": true, "defaultAllowIP": true });
            self.make(&format!("domains/{domain}/{way}acltemplates"), body).await;
        }
    }

    fn switch(&self, node: usize) -> &Vrs {
        &self.site.as_ref().unwrap().parts().switches[node - 1].1
    }

    /// The name of a node's namespace.
    pub(crate) fn netns(&self, node: usize) -> String {
        let path = self.site.as_ref().unwrap().endpoints()["nodes"][node - 1]["netns"].as_str().unwrap();
        path.rsplit('/').next().unwrap().to_owned()
    }

    /// Attaches a container, as a plugin does: link, rows, answer, address.
    pub(crate) async fn attach(&mut self, node: usize, place: &Place) -> Pod {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let netns = format!("nuagelab{}-{number}", std::process::id());
        let mut pod = Pod {
            place: place.clone(),
            node,
            netns: netns.clone(),
            link: format!("nu{number:x}"),
            mac: format!("02:00:00:00:{:02x}:{:02x}", number >> 8, number & 0xff),
            address: Ipv4Addr::UNSPECIFIED,
            uuid: format!("00000000-0000-0000-0000-{number:012x}"),
        };
        ip(&format!("netns add {netns}\n"));
        self.pods.push(netns);
        self.connect(&pod);
        self.rows(&pod);
        let row = self.answered(&pod).await;
        self.carried = link(&self.netns(node), &pod.link);
        pod.address = row["ip_addr"].as_str().unwrap().parse().unwrap();
        address(&pod, row["gateway"].as_str().unwrap());
        pod
    }

    /// The link of a container.
    pub(crate) fn connect(&self, pod: &Pod) {
        let Pod { netns, link, mac, .. } = pod;
        let host = self.netns(pod.node);
        let mut make = Command::new("ip");
        make.args(["-n", &host, "link", "add", link, "up", "type", "veth", "peer", "name", "eth0"]);
        assert!(make.args(["address", mac, "netns", netns]).status().unwrap().success());
        let inside = ["link set lo up", "link set eth0 up"].map(|line| format!("{line}\n")).concat();
        inside_ip(netns, &inside);
    }

    /// The rows of a container.
    pub(crate) fn rows(&self, pod: &Pod) {
        let Pod { link, mac, uuid, place, .. } = pod;
        let insert = |table: &str, name: &str, row: Value| json!({"op": "insert", "table": table, "uuid-name": name, "row": row});
        let results = self.switch(pod.node).server().transact("Open_vSwitch", &[
            insert("Interface", "i", json!({"name": link})),
            insert("Port", "p", json!({"name": link, "interfaces": ["named-uuid", "i"]})),
            json!({"op": "mutate", "table": "Bridge", "where": [], "mutations": [["ports", "insert", ["named-uuid", "p"]]]}),
            insert("Nuage_Port_Table", "n", json!({
                "name": link, "mac": mac, "bridge": "alubr0",
                "nuage_domain": place.domain, "nuage_zone": place.zone, "nuage_network": place.subnet,
            })),
            insert("Nuage_VM_Table", "v", json!({
                "vm_uuid": uuid, "vm_name": pod.netns, "nuage_user": "admin", "nuage_enterprise": "acme",
                "type": 4, "ports": link, "event": 2, "event_type": 0, "state": 1,
            })),
        ]);
        assert!(results.iter().all(|result| result.get("error").is_none()), "{results:?}");
    }

    async fn answered(&self, pod: &Pod) -> Value {
        for _ in 0..2000 {
            let select = json!({"op": "select", "table": "Nuage_Port_Table", "where": [["name", "==", pod.link]],
                                "columns": ["ip_addr", "gateway"]});
            let found = self.switch(pod.node).server().transact("Open_vSwitch", &[select]);
            let row = &found[0]["rows"][0];
            if row["ip_addr"].as_str().is_some_and(|address| !address.is_empty() && address != "0.0.0.0") {
                return row.clone();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{pod:?} is not resolved");
    }

    /// Takes a container's rows away, and leaves its link.
    pub(crate) fn forget(&self, pod: &Pod) {
        let named = json!([["name", "==", pod.link]]);
        let server = self.switch(pod.node).server();
        let select = json!({"op": "select", "table": "Port", "where": named, "columns": ["_uuid"]});
        let port = server.transact("Open_vSwitch", &[select])[0]["rows"][0]["_uuid"].clone();
        let results = server.transact("Open_vSwitch", &[
            json!({"op": "mutate", "table": "Bridge", "where": [], "mutations": [["ports", "delete", port]]}),
            json!({"op": "delete", "table": "Nuage_Port_Table", "where": named}),
            json!({"op": "delete", "table": "Nuage_VM_Table", "where": [["vm_uuid", "==", pod.uuid]]}),
        ]);
        assert!(results.iter().all(|result| result.get("error").is_none()), "{results:?}");
    }

    /// The names of what a node's namespace has, in this bridge or in any.
    pub(crate) fn links(&self, node: usize) -> Vec<String> {
        let output = Command::new("ip").args(["-n", &self.netns(node), "-json", "link"]).output().unwrap();
        let links: Value = serde_json::from_slice(&output.stdout).unwrap();
        let name = |link: &Value| link["ifname"].as_str().unwrap().to_owned();
        links.as_array().unwrap().iter().map(name).collect()
    }

    /// The packet filters of a node, as nftables prints them.
    pub(crate) fn filters(&self, node: usize) -> String {
        let output =
            Command::new("ip").args(["netns", "exec", &self.netns(node), "nft", "list", "ruleset"]).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    }

    /// Ends the site.
    pub(crate) async fn end(mut self) {
        if let Some(site) = self.site.take() {
            site.stop().await;
        }
    }
}

/// What `ip` says of a link.
fn link(netns: &str, link: &str) -> String {
    let output = Command::new("ip").args(["-n", netns, "-oneline", "link", "show", link]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    said.split_once("master").map(|(_, master)| format!("{link} in{master}")).unwrap_or_default()
}

/// Gives a container its address.
pub(crate) fn address(pod: &Pod, gateway: &str) {
    let lines = format!("address add {}/24 dev eth0\nroute add default via {gateway}\n", pod.address);
    inside_ip(&pod.netns, &lines);
}

/// `ip` inside a namespace, with lines of commands.
pub(crate) fn inside_ip(netns: &str, lines: &str) {
    let mut command = Command::new("ip");
    let mut child = command.args(["-n", netns, "-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{lines}");
}

impl Drop for Lab {
    fn drop(&mut self) {
        let lines: Vec<String> = self.pods.iter().map(|netns| format!("netns delete {netns}\n")).collect();
        if !lines.is_empty() {
            ip(&lines.concat());
        }
    }
}

/// Tries until it holds, for ten seconds.
pub(crate) fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..100 {
        if holds() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
    panic!("not within ten seconds: {what}");
}
