//! Where a container goes: what each orchestrator says, what a pod may choose, and what stands in the rows in the end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod doubles;

use doubles::process::Process;
use doubles::seams::{POD_UID, held};
use doubles::{Node, Outcome, Sandbox, code};
use nuage_cni::orchestrator::Orchestrator;
use nuage_ovsdb::value::Row;
use serde_json::{Value, json};

const WITHOUT_MONITOR: &str = "enterpriseName: E\ndomainName: D\nvsdUser: u\n";

/// The only row of a table.
fn only(node: &Node, table: &str) -> Row {
    let mut rows = node.switch.rows(table);
    assert_eq!(rows.len(), 1, "{table}: {rows:?}");
    rows.remove(0)
}

/// What a map column has for a key.
fn of<'a>(column: &'a Value, key: &str) -> Option<&'a str> {
    let pairs = column[1].as_array()?;
    pairs.iter().find(|pair| pair[0] == key)?[1].as_str()
}

fn details(outcome: &Outcome) -> String {
    let answer: Value = serde_json::from_slice(&outcome.stdout).unwrap();
    format!("{} {}", answer["msg"], answer["details"])
}

/// Zone and subnet of the only port.
fn placed(node: &Node) -> (String, String) {
    let port = only(node, "Nuage_Port_Table");
    (port["nuage_zone"].as_str().unwrap().to_owned(), port["nuage_network"].as_str().unwrap().to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_framework_of_mesos_says_by_its_labels_where_its_container_goes() {
    let node = Node::new();
    let id = "0c1d2e3f-4a5b-6c7d-8e9f-a0b1c2d3e4f5";
    let mut environment = node.environment("ADD", &Sandbox { pod: None, ..Sandbox::new(id, "") });
    let label = |key: &str, value: &str| json!({"key": key, "value": value});
    let labels = [
        label("enterprise", "E"),
        label("domain", "first"),
        label("domain", "M"),
        label("zone", "Z"),
        label("network", "N"),
        label("user", "u"),
        label("policy_group", "web"),
        label("redirection_target", "rt"),
    ];
    let network = json!({"cniVersion": "0.2.0", "name": "nuage-net", "type": "nuage-cni-mesos", "configDir": "/config",
        "args": {"org.apache.mesos": {"network_info": {"name": "nuage-net", "labels": {"labels": labels},
            "ip_addresses": [{"protocol": "IPv4"}], "groups": ["g"]}}}});
    let call = async |environment| {
        node.invoke_as(Orchestrator::Mesos, &Process::sound(), environment, &network).await
    };
    let outcome = call(environment.clone()).await.unwrap();
    assert_eq!(code(&outcome), 0, "{:?}", outcome.stderr);
    let entity = only(&node, "Nuage_VM_Table");
    assert_eq!(entity["vm_uuid"], "0c1d2e3f4a5b6c7d8e9fa0b1c2d3e4f5".repeat(2));
    assert_eq!(entity["vm_name"], id);
    let port = only(&node, "Nuage_Port_Table");
    assert_eq!((&port["name"], &port["nuage_domain"]), (&json!("nu4ab235ceeaf2d"), &json!("M")));
    assert_eq!(of(&port["metadata"], "nuage-policy-group"), Some("web"));
    assert_eq!(of(&port["metadata"], "nuage-redirection-target"), Some("rt"));
    assert!(held(&node.services.asked).is_empty(), "neither an API server nor a monitor is asked");
    environment.insert("CNI_COMMAND".to_owned(), "DEL".to_owned());
    assert_eq!(code(&call(environment).await.unwrap()), 0);
    assert_eq!(node.left(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_container_without_a_pod_goes_where_the_network_configuration_says() {
    let node = Node::new();
    let sandbox = Sandbox { pod: None, ..Sandbox::new("c1", "") };
    let place =
        json!({"nuage": {"zone": "Z", "network": "N", "staticIP": "10.20.0.77", "policyGroups": ["a", "b"]}});
    let outcome = node.invoke(&Process::sound(), node.environment("ADD", &sandbox), place).await.unwrap();
    assert_eq!(code(&outcome), 0, "{:?}", outcome.stderr);
    assert_eq!(placed(&node), ("Z".to_owned(), "N".to_owned()));
    let port = only(&node, "Nuage_Port_Table");
    assert_eq!(of(&port["metadata"], "static-ip"), Some("10.20.0.77"));
    assert_eq!(only(&node, "Nuage_VM_Table")["nuage_enterprise"], "E");
    assert!(held(&node.services.asked).is_empty());
    let nowhere = node.add(&Sandbox { pod: None, ..Sandbox::new("c2", "") }).await;
    assert_eq!(code(&nowhere), 4, "{:?}", nowhere.stderr);
}

#[tokio::test(start_paused = true)]
async fn an_openshift_site_has_its_own_file_and_its_certificates_beside_it() {
    let node = Node::new();
    let yaml = "enterpriseName: Openshift-Enterprise\ndomainName: Openshift-Domain\nvsdUser: ose-admin\n\
        nuageMonRestServer: https://monitor:9443\n";
    node.write("/config/vsp-openshift.yaml", yaml);
    for name in ["nuageMonClient.crt", "nuageMonClient.key", "nuageMonCA.crt"] {
        node.write(&format!("/config/{name}"), "-----BEGIN");
    }
    let environment = node.environment("ADD", &Sandbox::new("s1", "web-0"));
    let network =
        json!({"cniVersion": "1.0.0", "name": "net", "type": "nuage-cni-openshift", "configDir": "/config"});
    let outcome =
        node.invoke_as(Orchestrator::OpenShift, &Process::sound(), environment, &network).await.unwrap();
    assert_eq!(code(&outcome), 0, "{:?}", outcome.stderr);
    let entity = only(&node, "Nuage_VM_Table");
    assert_eq!(
        (&entity["nuage_enterprise"], &entity["nuage_user"]),
        (&json!("Openshift-Enterprise"), &json!("ose-admin"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_chooses_zone_and_subnet_gets_them_from_the_monitor() {
    let node = Node::new();
    *held(&node.services.metadata) =
        json!({"labels": {"nuage.io/zone": "own", "nuage.io/subnet": "own-3", "nuage.io/user": "alice"}});
    let web = Sandbox::new("s1", "web-0");
    assert_eq!(code(&node.add(&web).await), 0);
    assert_eq!(placed(&node), ("own".to_owned(), "own-3".to_owned()));
    assert_eq!(only(&node, "Nuage_VM_Table")["nuage_user"], "alice");
    let asked = held(&node.services.asked).clone();
    let (path, _, body) = asked.last().unwrap();
    assert_eq!(path, "/namespaces/shop/pods");
    assert_eq!(*body, json!({"podName": "web-0", "desiredZone": "own", "desiredSubnet": "own-3"}));
    node.del(&web).await;

    *held(&node.services.metadata) = json!({"labels": {"nuage.io/zone": "own"}});
    let outcome = node.add(&web).await;
    assert_eq!(code(&outcome), 7);
    assert!(details(&outcome).contains("nuage.io/subnet"), "{}", details(&outcome));
    assert_eq!(node.left(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_site_without_a_monitor_goes_by_labels_and_defaults_and_guards_the_zones_of_namespaces() {
    let node = Node::new();
    let web = Sandbox::new("s1", "web-0");
    for (more, labels, expected) in [
        ("", json!({}), ("shop", "shop-0")),
        ("defaultSubnet: main\n", json!({}), ("shop", "main")),
        ("defaultSubnet: main\n", json!({"nuage.io/subnet": "chosen"}), ("shop", "chosen")),
        ("", json!({"nuage.io/zone": "free", "nuage.io/subnet": "s"}), ("free", "s")),
    ] {
        node.write("/config/vsp-k8s.yaml", &format!("{WITHOUT_MONITOR}{more}"));
        *held(&node.services.metadata) = json!({"labels": labels});
        assert_eq!(code(&node.add(&web).await), 0, "{labels}");
        let (zone, subnet) = placed(&node);
        assert_eq!((zone.as_str(), subnet.as_str()), expected, "{labels}");
        node.del(&web).await;
    }
    held(&node.services.namespaces).insert("bank".to_owned());
    *held(&node.services.metadata) =
        json!({"labels": {"nuage.io/zone": "bank", "nuage.io/subnet": "bank-0"}});
    let outcome = node.add(&web).await;
    assert_eq!(code(&outcome), 103);
    assert!(details(&outcome).contains("belongs to the namespace"), "{}", details(&outcome));
    let asked = held(&node.services.asked).clone();
    assert!(
        !asked.iter().any(|(path, ..)| path.starts_with("/namespaces/")),
        "there is no monitor: {asked:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_rotated_counts_in_the_next_call() {
    let node = Node::new();
    let kubeconfig = "current-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n\
        clusters: [{name: k, cluster: {server: 'https://api:6443', certificate-authority-data: LS0=}}]\n\
        users: [{name: u, user: {tokenFile: token}}]\n";
    node.write("/config/nuage.kubeconfig", kubeconfig);
    for (number, token) in ["first", "second"].into_iter().enumerate() {
        node.write("/config/token", &format!("{token}\n"));
        assert_eq!(code(&node.add(&Sandbox::new(&format!("s{number}"), &format!("web-{number}"))).await), 0);
        let asked = held(&node.services.asked).clone();
        let (_, credentials, _) = asked.iter().rfind(|(path, ..)| path.starts_with("/api/")).unwrap();
        assert_eq!(*credentials, format!("Bearer {token}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_was_made_again_under_its_name_is_not_taken_for_the_one_that_was_asked_for() {
    let node = Node::new();
    let network =
        json!({"cniVersion": "1.0.0", "name": "net", "type": "nuage-cni-k8s", "configDir": "/config"});
    let web = Sandbox::new("s1", "web-0");
    let mut environment = node.environment("ADD", &web);
    let arguments = environment["CNI_ARGS"].replace(POD_UID, "5f0c0a52-0000-4000-8000-000000000002");
    environment.insert("CNI_ARGS".to_owned(), arguments);
    let sound = Process::sound();
    let add = || node.invoke_as(Orchestrator::Kubernetes, &sound, environment.clone(), &network);
    let outcome = add().await.unwrap();
    assert_eq!(code(&outcome), 102, "{:?}", outcome.stderr);
    assert_eq!(node.left(), [""; 0]);
    let asked = held(&node.services.asked).clone();
    assert!(!asked.iter().any(|(path, ..)| path.starts_with("/namespaces/")), "nobody counts it: {asked:?}");
    // A static pod is known by the hash of its file.
    *held(&node.services.metadata) =
        json!({"annotations": {"kubernetes.io/config.hash": "5f0c0a52-0000-4000-8000-000000000002"}});
    assert_eq!(code(&add().await.unwrap()), 0);
}
