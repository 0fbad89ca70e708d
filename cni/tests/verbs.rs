//! What each verb promises on a node in memory, whatever it finds there and whoever is away.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod doubles;

use std::time::Duration;

use doubles::process::Process;
use doubles::seams::held;
use doubles::switch::Presence;
use doubles::{Node, STATE, Sandbox, code};
use nuage_cni::Outcome;
use serde_json::{Value, json};
use tokio::time::Instant;

/// The port of sandbox `0a1b2c3d`, eth0.
fn port(node: &Node) -> String {
    node.switch.rows("Nuage_Port_Table")[0]["name"].as_str().unwrap().to_owned()
}

fn sandbox() -> Sandbox {
    Sandbox::new("0a1b2c3d", "web")
}

async fn attached() -> Node {
    let node = Node::new();
    let outcome = node.add(&sandbox()).await;
    assert_eq!(code(&outcome), 0, "{outcome:?}");
    node
}

fn assert_nothing(node: &Node) {
    assert!(node.left().is_empty(), "{:#?}", node.left());
}

fn details(outcome: &Outcome) -> String {
    outcome.stderr.clone().unwrap_or_default()
}

/// A DEL that must succeed within its five seconds.
async fn del_in_time(node: &Node, sandbox: &Sandbox) {
    let started = Instant::now();
    node.del(sandbox).await;
    assert!(started.elapsed() <= Duration::from_secs(5), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_result_tells_both_links_the_address_and_the_routes() {
    let outcome = Node::new().add(&sandbox()).await;
    let result: Value = serde_json::from_slice(&outcome.stdout).unwrap();
    assert_eq!(result["interfaces"][1]["name"], "eth0", "{result}");
    assert_eq!(result["interfaces"][1]["mac"], "02:00:00:00:00:00");
    assert_eq!(result["interfaces"][1]["mtu"], 1450);
    assert_eq!(result["ips"][0]["gateway"], "10.0.0.1");
}

#[tokio::test(start_paused = true)]
async fn rows_carry_our_stamps_in_external_ids_alone() {
    let node = attached().await;
    for table in ["Interface", "Port"] {
        let ids = node.switch.rows(table)[0]["external_ids"].to_string();
        for stamp in [
            "vm-uuid",
            "vm-name",
            "nuage-cni-sandbox",
            "nuage-cni-interface",
            "nuage-cni-network",
            "nuage-cni-pod-uid",
        ] {
            assert!(ids.contains(&format!("\"{stamp}\"")), "{table}: {ids}");
        }
    }
    for table in ["Nuage_Port_Table", "Nuage_VM_Table"] {
        assert!(!node.switch.rows(table)[0]["metadata"].to_string().contains("nuage-cni-"), "{table}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_add_of_a_live_interface_is_refused_and_leaves_it_untouched() {
    let node = attached().await;
    let before = node.left();
    let again = node.add(&sandbox()).await;
    assert_eq!(code(&again), 100, "{again:?}");
    assert_eq!(node.left(), before);

    // Nor does a record that cannot be read, perhaps a newer version's, cost it its link.
    node.write(&format!("{STATE}/{}.json", port(&node)), r#"{"format": 99}"#);
    assert_eq!(code(&node.add(&sandbox()).await), 100);
    assert_eq!(held(&node.kernel.pairs).len(), 1);
    node.del(&sandbox()).await;
    assert_nothing(&node);
}

#[tokio::test(start_paused = true)]
async fn a_del_without_an_add_succeeds_and_tells_nobody() {
    let node = Node::new();
    held(&node.services.counted).insert("shop/web".to_owned());
    node.del(&sandbox()).await;
    assert_eq!(node.left(), ["counted shop/web"], "it was not this sandbox that was counted");
}

#[tokio::test(start_paused = true)]
async fn a_del_takes_away_what_is_half_there() {
    for table in ["Nuage_VM_Table", "Nuage_Port_Table", "Port", "Interface"] {
        let node = attached().await;
        node.switch.change(table, std::collections::BTreeMap::clear);
        if table == "Port" || table == "Interface" {
            node.switch.change("Bridge", |rows| {
                for row in rows.values_mut() {
                    row.insert("ports".into(), json!(["set", []]));
                }
            });
        }
        node.del(&sandbox()).await;
        assert_nothing(&node);
    }
    let node = attached().await;
    held(&node.kernel.pairs).clear();
    node.del(&sandbox()).await;
    assert_nothing(&node);
}

#[tokio::test(start_paused = true)]
async fn a_del_needs_no_journal() {
    let node = attached().await;
    held(&node.disk.files).retain(|path, _| !path.starts_with(STATE));
    node.del(&sandbox()).await;
    // The monitor is told as well: the rows show that the pod was counted.
    assert_nothing(&node);
}

#[tokio::test(start_paused = true)]
async fn a_del_needs_no_arguments_when_the_journal_knows_the_sandbox() {
    let node = attached().await;
    node.del(&Sandbox { pod: None, ..sandbox() }).await;
    assert_nothing(&node);
}

#[tokio::test(start_paused = true)]
async fn a_del_finds_the_entity_by_its_port_when_its_key_is_another() {
    let node = attached().await;
    node.switch.change("Nuage_VM_Table", |rows| {
        for row in rows.values_mut() {
            row.insert("vm_uuid".into(), json!("somebody"));
        }
    });
    node.del(&sandbox()).await;
    assert_nothing(&node);
}

#[tokio::test(start_paused = true)]
async fn a_del_never_touches_the_rows_of_others() {
    let node = attached().await;
    node.switch.insert("Nuage_VM_Table", &[("vm_uuid", json!("vm")), ("ports", json!("tap0"))]);
    node.switch.insert("Nuage_VM_Table", &[("vm_uuid", json!("new")), ("ports", json!(["set", []]))]);
    node.switch.insert("Nuage_Port_Table", &[("name", json!("tap0"))]);
    node.del(&sandbox()).await;
    assert_eq!(node.switch.rows("Nuage_VM_Table").len(), 2);
    assert_eq!(node.switch.rows("Nuage_Port_Table").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_del_succeeds_in_time_with_the_switch_away_and_a_later_call_delivers() {
    for presence in [Presence::Away, Presence::Silent] {
        let node = attached().await;
        node.switch.set_presence(presence);
        del_in_time(&node, &sandbox()).await;
        assert_eq!(node.journal()[0]["state"], "owed", "{presence:?}");
        assert!(held(&node.kernel.pairs).is_empty(), "the link does not wait for the switch");
        assert!(node.counted().is_empty(), "nor does the monitor");
        del_in_time(&node, &sandbox()).await;

        node.switch.set_presence(Presence::Up);
        let other = Sandbox::new("ffff", "api");
        assert_eq!(code(&node.add(&other).await), 0);
        node.del(&other).await;
        assert_nothing(&node);
    }
}

#[tokio::test(start_paused = true)]
async fn a_del_succeeds_in_time_with_the_monitor_away_and_a_later_call_delivers() {
    for presence in [Presence::Away, Presence::Silent] {
        let node = attached().await;
        node.set_monitor(presence);
        del_in_time(&node, &sandbox()).await;
        assert_eq!(node.left().len(), 2, "the count and the debt: {:#?}", node.left());
        node.set_monitor(Presence::Up);
        node.del(&Sandbox::new("ffff", "api")).await;
        assert_nothing(&node);
    }
}

#[tokio::test(start_paused = true)]
async fn a_debt_to_the_monitor_is_moot_once_the_pod_is_attached_again() {
    let node = attached().await;
    node.set_monitor(Presence::Away);
    node.del(&sandbox()).await;
    node.set_monitor(Presence::Up);
    // A StatefulSet's pod comes back under its name in a new sandbox.
    let next = Sandbox::new("eeee", "web");
    assert_eq!(code(&node.add(&next).await), 0);
    assert_eq!(node.counted(), ["shop/web"], "told now, the monitor would give a live pod's address away");
    assert_eq!(node.journal().len(), 1);
    node.del(&next).await;
    assert_nothing(&node);
}

#[tokio::test(start_paused = true)]
async fn two_interfaces_share_an_entity_and_the_last_one_takes_it_along() {
    let node = attached().await;
    let second = sandbox().interface("net1");
    let outcome = node.add(&second).await;
    assert_eq!(code(&outcome), 0, "{outcome:?}");
    let entities = node.switch.rows("Nuage_VM_Table");
    assert_eq!(entities.len(), 1);
    assert_eq!(entities[0]["ports"][1].as_array().unwrap().len(), 2);

    node.del(&sandbox()).await;
    assert_eq!(node.switch.rows("Nuage_VM_Table").len(), 1);
    assert_eq!(node.switch.rows("Nuage_Port_Table").len(), 1);
    assert_eq!(node.counted(), ["shop/web"], "the pod still has an interface");
    node.del(&second).await;
    assert_nothing(&node);
}

#[tokio::test(start_paused = true)]
async fn calls_for_one_sandbox_at_the_same_time_end_in_nothing() {
    let node = Node::new();
    let (first, second) = (sandbox(), sandbox().interface("net1"));
    let (one, two) = tokio::join!(node.add(&first), node.add(&second));
    assert_eq!((code(&one), code(&two)), (0, 0), "{one:?} {two:?}");
    tokio::join!(node.del(&first), node.del(&second));
    assert_nothing(&node);
}

#[tokio::test(start_paused = true)]
async fn the_last_two_sandboxes_of_a_pod_that_go_together_are_told_of() {
    let node = attached().await;
    let next = Sandbox::new("eeee", "web");
    assert_eq!(code(&node.add(&next).await), 0);
    let first = sandbox();
    tokio::join!(node.del(&first), node.del(&next));
    assert_nothing(&node);
}

/// An ADD that nobody resolves, and a call that comes one second later; what both answer, and how long the second took.
async fn meanwhile(node: &Node, command: &str, second: &Sandbox) -> (Outcome, Outcome, Duration) {
    node.switch.resolve_in(None);
    let (one, process) = (sandbox(), Process::sound());
    let later = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let started = Instant::now();
        let outcome = node.call(&process, command, second).await.unwrap();
        (outcome, started.elapsed())
    };
    let (add, (other, took)) = tokio::join!(node.add(&one), later);
    (add, other, took)
}

#[tokio::test(start_paused = true)]
async fn a_del_ends_an_add_of_the_same_interface_that_is_running() {
    let node = Node::new();
    let (add, del, took) = Box::pin(meanwhile(&node, "DEL", &sandbox())).await;
    assert_eq!((code(&add), code(&del)), (107, 0), "{} {}", details(&add), details(&del));
    assert!(took <= Duration::from_secs(1), "{took:?}");
    assert_nothing(&node);
    // Nor does the wish outlive the ADD that it was meant for.
    node.switch.resolve_in(Some(Duration::from_secs(10)));
    assert_eq!(code(&node.add(&sandbox()).await), 0);
}

#[tokio::test(start_paused = true)]
async fn a_wish_that_a_killed_del_left_behind_ends_no_add() {
    let node = Node::new();
    node.switch.resolve_in(Some(Duration::from_secs(10)));
    assert_eq!(code(&node.add(&sandbox()).await), 0);
    node.write(&format!("/run/stops/{}", port(&node)), "");
    node.del(&sandbox()).await;
    node.write("/run/stops/nu0", "");
    let outcome = node.add(&sandbox()).await;
    assert_eq!(code(&outcome), 0, "{outcome:?}");
}

#[tokio::test(start_paused = true)]
async fn a_del_of_another_interface_of_the_sandbox_waits_its_turn_or_says_to_try_again() {
    let node = Node::new();
    let (add, del, took) = Box::pin(meanwhile(&node, "DEL", &sandbox().interface("net1"))).await;
    assert_eq!((code(&add), code(&del)), (101, 11), "{}", details(&del));
    assert!(took <= Duration::from_secs(5), "{took:?}");
    assert_nothing(&node);
}

#[tokio::test(start_paused = true)]
async fn seven_dels_tell_the_monitor_once_even_if_rows_come_back() {
    let node = attached().await;
    let rows = ["Nuage_Port_Table", "Nuage_VM_Table"].map(|table| (table, node.switch.rows(table)));
    node.del(&sandbox()).await;
    // Somebody of the same name lives elsewhere by now, and the switch comes back with rows of yesterday.
    held(&node.services.counted).insert("shop/web".to_owned());
    for _ in 0..6 {
        for (table, rows) in &rows {
            for row in rows {
                let row: Vec<(&str, Value)> =
                    row.iter().map(|(column, value)| (column.as_str(), value.clone())).collect();
                node.switch.insert(table, &row);
            }
        }
        node.del(&sandbox()).await;
        assert_eq!(node.left(), ["counted shop/web"]);
    }
    // After ten minutes nobody remembers.
    tokio::time::sleep(Duration::from_mins(10)).await;
    let row: Vec<(&str, Value)> =
        rows[0].1[0].iter().map(|(column, value)| (column.as_str(), value.clone())).collect();
    node.switch.insert("Nuage_Port_Table", &row);
    node.del(&sandbox()).await;
    assert_nothing(&node);
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_that_is_attached_again_is_told_of_again() {
    let node = attached().await;
    for _ in 0..3 {
        node.del(&sandbox()).await;
        assert_nothing(&node);
        assert_eq!(code(&node.add(&sandbox()).await), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_keeps_its_records_does_not_make_dels_tell_again() {
    let node = attached().await;
    let record: Vec<_> = held(&node.disk.files)
        .iter()
        .filter(|(path, _)| path.starts_with(STATE))
        .map(|(path, text)| (path.clone(), text.clone()))
        .collect();
    node.del(&sandbox()).await;
    held(&node.disk.files).extend(record);
    held(&node.services.counted).insert("shop/web".to_owned());
    node.del(&sandbox()).await;
    assert_eq!(node.left(), ["counted shop/web"]);
}

fn dual() -> Sandbox {
    sandbox().with(json!({"ipFamilies": ["IPv4", "IPv6"]}))
}

#[tokio::test(start_paused = true)]
async fn a_pod_gets_both_addresses_where_the_switch_tells_them() {
    for (one, conditions) in [(sandbox(), false), (dual(), false), (dual(), true)] {
        let node = Node::new();
        node.switch.know_ipv6();
        if conditions {
            node.switch.know_conditions();
        }
        let outcome = node.add(&one).await;
        assert_eq!(code(&outcome), 0, "{outcome:?}");
        let result: Value = serde_json::from_slice(&outcome.stdout).unwrap();
        assert_eq!(result["ips"][1]["gateway"], "fd00::1", "{result}");
        let destinations: Vec<String> = {
            let pairs = held(&node.kernel.pairs);
            let (_, link) = pairs.values().next().unwrap();
            assert_eq!(link.addresses.len(), 2);
            link.routes.iter().map(|route| route.destination.to_string()).collect()
        };
        assert_eq!(destinations, ["10.0.0.1/32", "0.0.0.0/0", "fd00::1/128", "::/0"]);
        assert_eq!(code(&check(&node).await), 0);
        for (_, link) in held(&node.kernel.pairs).values_mut() {
            link.routes.pop();
        }
        assert_eq!(code(&check(&node).await), 105, "its second default route is gone");
        node.del(&one).await;
        assert_nothing(&node);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_address_that_the_switch_cannot_tell_is_a_clear_error() {
    let node = Node::new();
    let outcome = node.add(&dual()).await;
    assert_eq!(code(&outcome), 7, "{outcome:?}");
    assert!(details(&outcome).contains("no columns for an IPv6 address"), "{outcome:?}");
    assert_nothing(&node);
}

#[tokio::test(start_paused = true)]
async fn an_old_and_a_new_server_are_watched_alike() {
    for conditions in [false, true] {
        let node = Node::new();
        node.switch.insert("Nuage_Port_Table", &[("name", json!("tap0")), ("ip_addr", json!("10.9.9.9"))]);
        if conditions {
            node.switch.know_conditions();
        }
        node.switch.resolve_in(Some(Duration::from_secs(5)));
        let outcome = node.add(&sandbox()).await;
        assert_eq!(code(&outcome), 0, "{outcome:?}");
        node.del(&sandbox()).await;
        assert_eq!(node.left().len(), 1, "the row of another: {:#?}", node.left());
    }
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_goes_during_the_wait_is_waited_for_and_named() {
    let node = Node::new();
    node.switch.resolve_in(None);
    let one = sandbox();
    let lose = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        node.switch.change("Controller", std::collections::BTreeMap::clear);
    };
    let (outcome, ()) = tokio::join!(node.add(&one), lose);
    assert_eq!(code(&outcome), 101, "{outcome:?}");
    assert!(details(&outcome).contains("0 controllers are master by now"), "{outcome:?}");
    assert_nothing(&node);
}

#[tokio::test(start_paused = true)]
async fn the_record_of_an_attachment_has_what_its_rows_can_be_made_of_again() {
    let node = attached().await;
    let record = node.journal().remove(0);
    assert_eq!(record["written"]["placement"]["network"], "shop-0");
    assert_eq!(record["written"]["gateways"], json!(["10.0.0.1"]));
    for table in ["Interface", "Port", "Nuage_Port_Table", "Nuage_VM_Table"] {
        assert!(record["written"]["rows"][table].is_string(), "{table}: {record}");
    }
    assert_eq!(record["mac"], "02:00:00:00:00:00");
}

#[tokio::test(start_paused = true)]
async fn what_another_boot_has_left_is_cleared_before_an_add() {
    let node = attached().await;
    node.boot("boot-2");
    assert_eq!(code(&node.add(&sandbox()).await), 0);
    assert_eq!(node.left().len(), 8, "{:#?}", node.left());
    node.del(&sandbox()).await;
    assert_nothing(&node);
}

#[tokio::test(start_paused = true)]
async fn a_row_that_is_deleted_while_it_is_waited_for_ends_the_wait() {
    let node = Node::new();
    node.switch.resolve_in(None);
    let (one, started) = (sandbox(), Instant::now());
    let delete = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        node.switch.change("Nuage_Port_Table", std::collections::BTreeMap::clear);
    };
    let (outcome, ()) = tokio::join!(node.add(&one), delete);
    assert_eq!(code(&outcome), 101, "{outcome:?}");
    assert!(started.elapsed() < Duration::from_secs(4));
    assert_nothing(&node);
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_restarts_during_the_wait_is_waited_for() {
    let node = Node::new();
    node.switch.resolve_in(Some(Duration::from_secs(10)));
    let one = sandbox();
    let restart = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        node.switch.set_presence(Presence::Away);
        tokio::time::sleep(Duration::from_secs(12)).await;
        node.switch.set_presence(Presence::Up);
    };
    let (outcome, ()) = tokio::join!(node.add(&one), restart);
    assert_eq!(code(&outcome), 0, "{outcome:?}");
    node.del(&one).await;
    assert_nothing(&node);
}

#[tokio::test(start_paused = true)]
async fn a_switch_without_controller_or_bridge_makes_an_add_try_again_later() {
    for (table, status) in [("Controller", 50), ("Bridge", 51)] {
        let node = Node::new();
        node.switch.change(table, std::collections::BTreeMap::clear);
        let outcome = node.add(&sandbox()).await;
        assert_eq!(code(&outcome), 11, "{outcome:?}");
        assert_nothing(&node);
        assert_eq!(code(&node.call_node("STATUS", &[]).await), status, "{table}");
    }
}

#[tokio::test(start_paused = true)]
async fn status_looks_at_the_switch_and_not_at_the_monitor() {
    let node = Node::new();
    node.set_monitor(Presence::Away);
    assert_eq!(code(&node.call_node("STATUS", &[]).await), 0);
    node.switch.set_presence(Presence::Away);
    assert_eq!(code(&node.call_node("STATUS", &[]).await), 50);
    node.switch.set_presence(Presence::Silent);
    assert_eq!(code(&node.call_node("STATUS", &[]).await), 50);
}

#[tokio::test(start_paused = true)]
async fn status_says_that_a_peer_is_away_once_the_audit_has_seen_it_for_a_minute_and_not_from_an_old_file() {
    let node = Node::new();
    let now = node.host(&Process::sound()).clock.now().as_millis();
    let file = |written: u128, seconds: u64| {
        json!({"format": 1, "written": written, "away": [
            {"peer": "the API server", "seconds": 5, "why": "503"},
            {"peer": "the Nuage monitor", "seconds": seconds, "why": "connection refused"}
        ]})
    };
    for (text, expected) in [
        (file(now, 59).to_string(), 0),
        (file(now, 60).to_string(), 50),
        (file(now - 45_000, 60).to_string(), 50),
        (file(now - 45_001, 3600).to_string(), 0),
        (file(now + 60_000, 3600).to_string(), 0),
        ("{".to_owned(), 0),
        (json!({"format": 2, "written": now, "away": []}).to_string(), 0),
    ] {
        node.write("/run/peers.json", &text);
        let outcome = node.call_node("STATUS", &[]).await;
        assert_eq!(code(&outcome), expected, "{text}: {outcome:?}");
    }
    node.write("/run/peers.json", &file(now, 75).to_string());
    let outcome = node.call_node("STATUS", &[]).await;
    let said = String::from_utf8_lossy(&outcome.stdout).into_owned();
    assert!(said.contains("the Nuage monitor cannot be reached since 75 s: connection refused"), "{said}");
}

async fn check(node: &Node) -> Outcome {
    node.call(&Process::sound(), "CHECK", &sandbox()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn check_compares_link_addresses_and_rows() {
    let node = attached().await;
    let outcome = check(&node).await;
    assert_eq!((code(&outcome), outcome.stdout.len()), (0, 0), "{outcome:?}");

    for (_, link) in held(&node.kernel.pairs).values_mut() {
        link.addresses.clear();
    }
    assert_eq!(code(&check(&node).await), 105);
    for table in ["Nuage_Port_Table", "Nuage_VM_Table", "Port"] {
        let node = attached().await;
        node.switch.change(table, std::collections::BTreeMap::clear);
        assert_eq!(code(&check(&node).await), 105, "{table}");
    }
    let node = attached().await;
    held(&node.kernel.pairs).clear();
    assert_eq!(code(&check(&node).await), 105);
    let node = attached().await;
    for (_, link) in held(&node.kernel.pairs).values_mut() {
        link.mac = "02:ff:ff:ff:ff:ff".to_owned();
    }
    assert_eq!(code(&check(&node).await), 105);
    assert_eq!(code(&check(&Node::new()).await), 3);
    // A runtime must not take a switch that restarts for an attachment that is broken.
    let node = attached().await;
    node.switch.set_presence(Presence::Away);
    assert_eq!(code(&check(&node).await), 11);
}

#[tokio::test(start_paused = true)]
async fn gc_removes_what_is_not_listed_and_nothing_of_other_networks() {
    let node = attached().await;
    let (kept, foreign) = (Sandbox::new("bbbb", "api"), Sandbox::new("cccc", "db"));
    assert_eq!(code(&node.add(&kept).await), 0);
    assert_eq!(code(&node.add(&foreign).await), 0);
    {
        let mut files = held(&node.disk.files);
        let record = files.iter_mut().find(|(_, text)| String::from_utf8_lossy(text).contains("\"cccc\""));
        let (_, text) = record.unwrap();
        *text = String::from_utf8_lossy(text).replace("\"net\"", "\"other\"").into();
    }
    let outcome = node.call_node("GC", &[&kept]).await;
    assert_eq!((code(&outcome), outcome.stdout.len()), (0, 0), "{outcome:?}");
    assert_eq!(node.counted(), ["shop/api", "shop/db"]);
    assert_eq!(node.switch.rows("Nuage_Port_Table").len(), 2);
    assert_eq!(node.journal().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn gc_says_what_it_could_not_remove_and_keeps_what_is_owed() {
    let node = attached().await;
    node.switch.set_presence(Presence::Away);
    node.set_monitor(Presence::Away);
    assert_eq!(code(&node.call_node("GC", &[]).await), 11);
    assert_eq!(node.journal()[0]["owes_monitor"], true);
    node.switch.set_presence(Presence::Up);
    node.set_monitor(Presence::Up);
    assert_eq!(code(&node.call_node("GC", &[]).await), 0);
    assert_nothing(&node);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_no_record_keeps_no_del_from_its_work() {
    for content in ["", "{\"format\": 1, \"sta", "{\"format\": 99}", "[]"] {
        let node = attached().await;
        node.write(&format!("{STATE}/{}.json", port(&node)), content);
        del_in_time(&node, &sandbox()).await;
        assert_nothing(&node);
    }
}

/// Fills the journal with attachments of others.
fn fill(node: &Node, state: &str) {
    let text = node.journal()[0].to_string();
    for index in 0..1024 {
        let name = format!("nu{index:013x}");
        let text = text.replace(&port(node), &name).replace("\"web\"", "\"other\"");
        let text = text.replace("\"attached\"", state).replace("0a1b2c3d", &format!("{index:08x}"));
        node.write(&format!("{STATE}/{name}.json"), &text);
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_journal_refuses_adds_and_lets_dels_go_on() {
    let node = attached().await;
    fill(&node, "\"attached\"");
    let before = node.journal().len();
    let outcome = node.add(&Sandbox::new("bbbb", "api")).await;
    assert_eq!(code(&outcome), 11, "{outcome:?}");
    assert!(details(&outcome).contains("is full"), "{outcome:?}");
    assert_eq!(node.counted(), ["shop/web"], "nothing is begun that could not be written down");

    // A DEL that nobody wrote down, with everybody away: nothing can be kept of it, and it succeeds.
    node.switch.set_presence(Presence::Away);
    node.set_monitor(Presence::Away);
    del_in_time(&node, &Sandbox::new("cccc", "db")).await;
    assert_eq!(node.journal().len(), before);
    node.switch.set_presence(Presence::Up);
    node.set_monitor(Presence::Up);
    del_in_time(&node, &sandbox()).await;
    assert!(node.counted().is_empty());
    assert!(node.switch.rows("Nuage_Port_Table").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_cannot_be_written_refuses_adds_and_lets_dels_go_on() {
    let node = attached().await;
    *held(&node.disk.full) = true;
    let outcome = node.add(&Sandbox::new("bbbb", "api")).await;
    assert_eq!(code(&outcome), 5, "{outcome:?}");
    assert_eq!(node.counted(), ["shop/web"]);
    del_in_time(&node, &sandbox()).await;
    assert_nothing(&node);
}
