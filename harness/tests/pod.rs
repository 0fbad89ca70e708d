//! `harness pod`: pods beside a running emulator, each verb a process of its own.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

mod support;

use std::net::Ipv4Addr;
use std::process::{Command, Output};
use std::time::Duration;

use nuage_harness::pod::echo::echo;
use serde_json::{Value, json};
use support::site::Site;
use support::{Namespace, create_pod, executable, isolated, lacks, run, show};

fn pod(site: &Site, arguments: &[&str]) -> Output {
    let mut command = Command::new(executable("harness"));
    command.arg("pod").args(arguments).arg("--dir").arg(site.root()).output().unwrap()
}

/// What a verb that must succeed says.
fn says(site: &Site, arguments: &[&str]) -> String {
    let output = pod(site, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", show(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn json_of(site: &Site, arguments: &[&str]) -> Value {
    serde_json::from_str(&says(site, &[arguments, &["--json"]].concat())).unwrap()
}

/// What a verb complains of that must end with this code.
fn complains(site: &Site, code: i32, arguments: &[&str]) -> String {
    let output = pod(site, arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", show(&output));
    String::from_utf8(output.stderr).unwrap()
}

fn kubectl(site: &Site, arguments: &[&str]) -> String {
    let kubeconfig = site.root().join("admin.kubeconfig");
    run("kubectl", &[&["--kubeconfig", kubeconfig.to_str().unwrap()], arguments].concat())
}

#[test]
fn a_pod_comes_is_looked_at_and_goes_by_processes_that_share_a_directory() {
    let test = "a_pod_comes_is_looked_at_and_goes_by_processes_that_share_a_directory";
    if lacks(test, &["ip", "kubectl", "ovs-vsctl"]) {
        return;
    }
    isolated(|| async {
        let site = Site::emulated();
        assert!(says(&site, &["list"]).contains("no pods"));
        let told = says(&site, &["add", "web"]);
        assert!(told.starts_with("default/web runs on node-1 with 10.20.0."), "{told}");
        let db = json_of(&site, &["add", "db", "--label", "tier=back"]);
        let member = |record: &Value, key: &str| record[key].as_str().unwrap().to_owned();
        let (address, port) = (member(&db, "address"), member(&db, "port"));
        site.assert_attached(&member(&db, "sandbox"), &port, &address).await;
        let inside = run("ip", &["-n", &member(&db, "netns"), "-4", "address", "show", "dev", "eth0"]);
        assert!(inside.contains(&format!("inet {address}/24")), "{inside}");
        let told = kubectl(&site, &["get", "pods", "-l", "tier=back", "-o", "jsonpath={.items[*].status}"]);
        assert!(told.contains("Running") && told.contains(&address), "{told}");

        assert!(
            complains(&site, 2, &["add", "web"]).contains("is there already: harness pod del default/web")
        );
        let listed = json_of(&site, &["list"]);
        let names: Vec<&Value> = listed.as_array().unwrap().iter().map(|record| &record["name"]).collect();
        assert_eq!(names, [&json!("db"), &json!("web")]);
        let refused = complains(&site, 4, &["ping", "web", "db"]);
        assert!(refused.contains("web (10.20.0.") && refused.contains("--dataplane"), "{refused}");
        let unknown = complains(&site, 2, &["ping", "web", "nobody"]);
        assert!(unknown.contains("there are default/db, default/web"), "{unknown}");

        let calls = json_of(&site, &["trace", "web"]);
        assert_eq!((calls.as_array().map(Vec::len), &calls[0]["verb"]), (Some(1), &json!("ADD")));
        for step in ["look", "api", "monitor", "intent", "link", "switch"] {
            assert!(calls[0]["steps"][step].as_f64().is_some_and(|took| took > 0.0), "{step}: {calls}");
        }

        for name in ["web", "default/db"] {
            assert!(says(&site, &["del", name]).ends_with("is gone\n"));
        }
        site.assert_gone(&port).await;
        assert_eq!(kubectl(&site, &["get", "pods", "-o", "name"]), "");
        assert!(!run("ip", &["netns", "list"]).contains(&member(&db, "netns")));
        assert!(complains(&site, 2, &["del", "web"]).contains("harness pod add NAME"));
        let after = says(&site, &["trace", "web"]);
        assert!(after.contains(" ADD in ") && after.contains(" DEL in "), "{after}");
        site.terminate();
    });
}

#[test]
fn a_pod_that_is_refused_leaves_nothing_and_one_that_others_made_keeps_its_object() {
    let test = "a_pod_that_is_refused_leaves_nothing_and_one_that_others_made_keeps_its_object";
    if lacks(test, &["ip", "kubectl", "ovs-vsctl"]) {
        return;
    }
    isolated(|| async {
        let site = Site::emulated();
        let why = complains(&site, 1, &["add", "web", "--label", "nuage.io/zone=kube-system"]);
        assert!(why.contains("the plugin refuses ADD (code "), "{why}");
        assert!(site.open_records().is_empty() && says(&site, &["list"]).contains("no pods"));
        assert_eq!(kubectl(&site, &["get", "pods", "-o", "name"]), "");
        let links = run("ip", &["-o", "link"]);
        assert!(links.lines().all(|link| link.contains(": lo: ")), "{links}");
        assert!(complains(&site, 2, &["add", "web", "--node", "node-9"]).contains("there are node-1"));
        assert!(complains(&site, 2, &["add", "shop/web"]).contains("kubectl create namespace shop"));
        assert!(complains(&site, 2, &["add", "We b"]).contains("is no pod's name"));

        create_pod(&site.root().join("admin.kubeconfig"), "default", "mine");
        says(&site, &["add", "mine"]);
        says(&site, &["del", "mine"]);
        assert_eq!(kubectl(&site, &["get", "pods", "-o", "name"]), "pod/mine\n");

        // Who ends a pod when the emulator has ended gets rid of all that is on this machine.
        let port = json_of(&site, &["add", "late"])["port"].as_str().unwrap().to_owned();
        site.terminate_but_keep(|site| {
            let told = complains(site, 2, &["del", "late"]);
            assert!(told.contains("API server"), "{told}");
            let links = run("ip", &["-o", "link"]);
            assert!(!links.contains(&port), "{links}");
            assert!(!run("ip", &["netns", "list"]).contains("default.late"));
        });
    });
}

#[test]
fn echoes_pass_between_nodes_where_the_policy_lets_them_and_what_decides_is_named() {
    let test = "echoes_pass_between_nodes_where_the_policy_lets_them_and_what_decides_is_named";
    if lacks(test, &["ip", "nft"]) {
        return;
    }
    isolated(|| async {
        let site = Site::emulated_with(&["--dataplane", "--nodes", "2"]);
        says(&site, &["add", "web"]);
        says(&site, &["add", "db", "--node", "node-2"]);
        let echo = says(&site, &["ping", "db", "web"]);
        assert!(echo.contains("allowed") && echo.contains("\"Allow Intra-Zone Traffic\""), "{echo}");
        let ping = ["ping", "web", "db", "--timeout", "500ms", "--json"];
        let told: Value = serde_json::from_slice(&pod(&site, &ping).stdout).unwrap();
        assert_eq!((&told["sent"], &told["answered"], &told["agrees"]), (&json!(3), &json!(3), &json!(true)));

        site.deny_everything();
        // The VSD says so at once, the switches a moment later.
        let mut output = pod(&site, &ping);
        for _ in 0..20 {
            if output.status.code() == Some(1) {
                break;
            }
            output = pod(&site, &ping);
        }
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&told["policy"]["allowed"], &told["agrees"]), (&json!(false), &json!(true)), "{told}");
        for name in ["web", "db"] {
            says(&site, &["del", name]);
        }
        site.terminate();
    });
}

#[test]
fn echoes_tell_who_answers_and_how_soon_and_who_does_not() {
    if lacks("echoes_tell_who_answers_and_how_soon_and_who_does_not", &["ip"]) {
        return;
    }
    let (here, there) = (Namespace::new(), Namespace::new());
    run(
        "ip",
        &["-n", &here.name, "link", "add", "e0", "type", "veth", "peer", "name", "e0", "netns", &there.name],
    );
    for (namespace, address) in [(&here, "198.51.100.1/24"), (&there, "198.51.100.2/24")] {
        run("ip", &["-n", &namespace.name, "address", "add", address, "dev", "e0"]);
        run("ip", &["-n", &namespace.name, "link", "set", "e0", "up"]);
    }
    let ask = |last: u8, count| {
        echo(&here.path(), Ipv4Addr::new(198, 51, 100, last), count, Duration::from_millis(500)).unwrap()
    };
    let answers = ask(2, 5);
    assert!(answers.len() == 5 && answers.iter().all(Option::is_some), "{answers:?}");
    assert_eq!(ask(3, 2), [None, None], "nobody has that address");
    let beyond = echo(&here.path(), Ipv4Addr::new(203, 0, 113, 1), 1, Duration::from_millis(500)).unwrap();
    assert_eq!(beyond, [None], "no route leads there");
    let gone = echo(&here.path().join("none"), Ipv4Addr::LOCALHOST, 1, Duration::from_millis(1));
    assert!(gone.is_err());
}
