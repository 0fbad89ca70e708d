//! A node of the original plugin is taken over with its pods running: real executables, real links, rows in the original's shapes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nuage_ovsdb::client::{Client, Limits};
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};
use support::site::Site;
use support::{Namespace, Plugin, create_pod, executable, lacks, names, network, rows, run, show};
use tokio::net::UnixStream;
use tokio::time::sleep;

/// How often something is looked for that takes a moment.
const LOOKS: usize = 300;
const LOOK: Duration = Duration::from_millis(100);

/// A pod that the original attached.
struct Original {
    id: String,
    name: &'static str,
    port: String,
    namespace: Namespace,
}

impl Original {
    /// Attaches it: `since_2018` says how its port is named.
    async fn attach(site: &Site, name: &'static str, since_2018: bool) -> Self {
        create_pod(&site.root().join("admin.kubeconfig"), "default", name);
        let namespace = Namespace::new();
        // The names of links are all tests'.
        let id = format!("{name}-{}", namespace.name);
        let digits = format!("{:x}", Sha1::digest(id.replace('-', "")));
        let port = if since_2018 { format!("nu{}", &digits[..13]) } else { format!("0{}", &digits[..14]) };
        run("ip", &["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &namespace.name]);
        let mac = namespace.ip(&["link", "show", "eth0"])[0]["address"].as_str().unwrap().to_owned();
        let client = Client::spawn(UnixStream::connect(&site.switch).await.unwrap(), Limits::default());
        let answer = client
            .call("transact", Self::transaction(&id, name, &port, &mac), Duration::from_secs(10))
            .await
            .unwrap();
        assert!(!answer.to_string().contains("\"error\":\""), "{answer}");
        let original = Self { id, name, port, namespace };
        let address = original.address(site).await;
        let name = &original.namespace.name;
        run("ip", &["-n", name, "address", "add", &format!("{address}/24"), "dev", "eth0"]);
        run("ip", &["-n", name, "link", "set", "eth0", "up"]);
        run("ip", &["link", "set", &original.port, "up"]);
        original
    }

    /// What the original's transaction wrote.
    fn transaction(id: &str, name: &str, port: &str, mac: &str) -> Value {
        let insert = |table: &str, named: &str, row: Value| json!({"op": "insert", "table": table, "uuid-name": named, "row": row});
        let ids = json!(["map", [["vm-name", name], ["vm-uuid", id]]]);
        json!(["Open_vSwitch",
            insert("Interface", "intf", json!({"name": port, "external_ids": ids})),
            insert("Port", "port", json!({"name": port, "interfaces": ["named-uuid", "intf"], "external_ids": ids})),
            {"op": "mutate", "table": "Bridge", "where": [["name", "==", "alubr0"]],
             "mutations": [["ports", "insert", ["named-uuid", "port"]]]},
            insert("Nuage_Port_Table", "row", json!({
                "name": port, "mac": mac, "ip_addr": "", "subnet_mask": "", "gateway": "", "bridge": "alubr0", "alias": "",
                "nuage_domain": "K8S-Domain", "nuage_network": "default-0", "nuage_zone": "default", "nuage_network_type": "ipv4",
                "evpn_id": 0, "vrf_id": 0, "vm_domain": 4, "dirty": 0,
                "metadata": ["map", [["nuage-enterprise-domain", "K8S-Domain"], ["nuage-enterprise-network", "default-0"],
                    ["nuage-enterprise-zone", "default"], ["nuage-enterprise-network-type", "ipv4"]]],
            })),
            insert("Nuage_VM_Table", "vm", json!({
                "type": 4, "event": 2, "event_type": 0, "state": 1, "reason": 1, "vm_uuid": id, "vm_name": name, "domain": 4,
                "nuage_user": "k8s-admin", "nuage_enterprise": "K8S-Enterprise", "ports": ["set", [port]], "dirty": 0,
                "metadata": ["map", [["enterprise", "K8S-Enterprise"]]],
            })),
        ])
    }

    /// The address that the controller gives it.
    async fn address(&self, site: &Site) -> String {
        for _ in 0..LOOKS {
            let ports = rows(&site.switch, "Nuage_Port_Table").await;
            let row = ports.into_iter().find(|row| row["name"] == *self.port).unwrap();
            if let Some(address) = row["ip_addr"].as_str().filter(|address| !address.is_empty()) {
                return address.to_owned();
            }
            sleep(LOOK).await;
        }
        panic!("the controller never resolved {}", self.port);
    }

    async fn is_there(&self, site: &Site) -> bool {
        names(&site.switch, "Nuage_Port_Table").await.contains(&self.port)
    }

    fn has_link(&self) -> bool {
        Command::new("ip").args(["link", "show", "dev", &self.port]).output().unwrap().status.success()
    }
}

impl Drop for Original {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "del", &self.port]).output();
    }
}

/// The host as install-cni.sh left it, with this node's switch.
fn make_host(host: &Path, site: &Site) {
    let write = |path: &str, text: &str| {
        let path = host.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("etc/default/nuage-cni.yaml", &format!("vrsendpoint: {}\ncniversion: 0.2.0\n", "/run/db.sock"));
    write("usr/share/vsp-k8s/vsp-k8s.yaml", "enterpriseName: K8S-Enterprise\nvsdUser: k8s-admin\n");
    write(
        "usr/share/vsp-k8s/nuage.kubeconfig",
        "apiVersion: v1\ncurrent-context: c\nclusters:\n- cluster:\n    insecure-skip-tls-verify: true\n    server: https://10.0.0.1:6443\n  \
         name: k\ncontexts:\n- context:\n    cluster: k\n    user: u\n  name: c\nusers:\n- name: u\n  user:\n    token: secret\n",
    );
    write("etc/cni/net.d/nuage-net.conf", r#"{"cniVersion":"0.3.0","name":"nuage","type":"nuage-cni-k8s"}"#);
    write("etc/kubernetes/pki/ca.crt", &fs::read_to_string(site.root().join("pki/ca.pem")).unwrap());
    fs::create_dir_all(host.join("run")).unwrap();
    std::os::unix::fs::symlink(&site.switch, host.join("run/db.sock")).unwrap();
}

fn migrate(host: &Path) -> String {
    let mut command = Command::new(executable("nuage-cni-install"));
    let output = command.args(["migrate", "--no-firewall", "--root"]).arg(host).env_clear().output().unwrap();
    assert!(output.status.success(), "{}", show(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn audit(site: &Site) -> String {
    let mut command = Command::new(executable("nuage-audit"));
    command.args(["once", "--json", "--node-name", "node-1", "--config-dir"]).arg(site.node());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", show(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_the_original_is_taken_over_with_its_pods_running_and_the_audit_removes_what_is_left_behind_alone()
 {
    let test = "a_node_of_the_original_is_taken_over_with_its_pods_running_and_the_audit_removes_what_is_left_behind_alone";
    if lacks(test, &["ip", "kubectl"]) {
        return;
    }
    let site = Site::emulated();
    let node = site.node().join("nuage-cni.yaml");
    fs::write(&node, fs::read_to_string(&node).unwrap() + "staleentrytimeout: 1\n").unwrap();
    let recent = Original::attach(&site, "recent", true).await;
    let old = Original::attach(&site, "old", false).await;
    let forgotten = Original::attach(&site, "forgotten", true).await;

    let host = tempfile::tempdir().unwrap();
    make_host(host.path(), &site);
    let before = rows(&site.switch, "Nuage_Port_Table").await;
    let told = migrate(host.path());
    let counted = "found 3 containers on the switch; of their ports 2 are named as the original does since May 2018, 1 as before, 0 as this \
                   plugin does, 0 otherwise; none is touched";
    assert!(told.contains(counted), "{told}");
    assert_eq!(rows(&site.switch, "Nuage_Port_Table").await, before);
    assert!(host.path().join("etc/cni/net.d/nuage-net.conflist").exists());

    // From here on this plugin attaches pods beside them.
    let (network, own) = (network(&site.node(), "1.0.0"), Namespace::new());
    create_pod(&site.root().join("admin.kubeconfig"), "default", "own");
    let sandbox = format!("own-{}", own.name);
    let plugin = |container_id, name| Plugin { container_id, pod: ("default", name), network: &network };
    let result = plugin(&sandbox, "own").add(&own.path());
    let own_port = result["interfaces"][0]["name"].as_str().unwrap().to_owned();

    // A runtime forgets a pod of the original: it is gone, and nobody calls DEL.
    let kubeconfig = site.root().join("admin.kubeconfig");
    run(
        "kubectl",
        &["--kubeconfig", kubeconfig.to_str().unwrap(), "delete", "pod", "forgotten", "--wait=false"],
    );
    run("ip", &["link", "del", &forgotten.port]);
    let mut passes = 0;
    while forgotten.is_there(&site).await {
        let told = audit(&site);
        assert!(
            !told.contains(&recent.port) && !told.contains(&old.port) && !told.contains(&own_port),
            "{told}"
        );
        passes += 1;
        assert!(passes < LOOKS, "{told}");
        sleep(LOOK).await;
    }
    assert!(passes >= 2, "what seems to be leaked is seen twice before it goes");
    for original in [&recent, &old] {
        assert!(original.is_there(&site).await && original.has_link(), "{}", original.name);
    }
    assert!(names(&site.switch, "Nuage_Port_Table").await.contains(&own_port));

    for original in [&recent, &old] {
        plugin(&original.id, original.name).del(Some(&original.namespace.path()));
        assert!(!original.is_there(&site).await && !original.has_link(), "{}", original.name);
    }
    plugin(&sandbox, "own").del(Some(&own.path()));
    site.assert_gone(&own_port).await;
    site.terminate();
}
