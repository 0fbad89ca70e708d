//! What others have made: the original plugin's attachments, which this one takes over on its nodes, and the plugins before
//! it in a list.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod doubles;

use doubles::process::Process;
use doubles::seams::held;
use doubles::switch::Presence;
use doubles::{Node, Sandbox, code};
use nuage_cni::Outcome;
use serde_json::{Value, json};

const ID: &str = "5ac67fbb6c72850d236e378dd495934d13b386931f9d4e12942df653be4e5b18";
/// The port of that sandbox's eth0 since May 2018, and before.
const PORT: &str = "nu7db556744f4c7";
const OLD_PORT: &str = "07db556744f4c70";

fn sandbox() -> Sandbox {
    Sandbox::new(ID, "web")
}

async fn call(node: &Node, command: &str, sandbox: &Sandbox) -> Outcome {
    node.call(&Process::sound(), command, sandbox).await.unwrap()
}

fn assert_nothing(node: &Node) {
    assert!(node.left().is_empty(), "{:#?}", node.left());
}

#[tokio::test(start_paused = true)]
async fn a_del_takes_away_what_the_original_attached_under_either_name() {
    for ports in [&[PORT][..], &[OLD_PORT], &[OLD_PORT, PORT]] {
        let node = Node::new();
        for port in ports {
            node.attach_as_the_original(&sandbox(), port);
        }
        node.del(&sandbox()).await;
        assert_nothing(&node);
    }
}

#[tokio::test(start_paused = true)]
async fn a_del_takes_away_the_originals_ports_whatever_is_missing_of_them() {
    for table in ["Nuage_VM_Table", "Nuage_Port_Table", "Port"] {
        for port in [PORT, OLD_PORT] {
            let node = Node::new();
            node.attach_as_the_original(&sandbox(), port);
            node.switch.change(table, std::collections::BTreeMap::clear);
            if table == "Port" {
                node.switch.change("Bridge", |rows| {
                    for row in rows.values_mut() {
                        row.insert("ports".into(), json!(["set", []]));
                    }
                });
            }
            node.del(&sandbox()).await;
            assert_nothing(&node);
        }
    }
    // An entity without a port: the original took its DEL for done and left it for ever.
    let node = Node::new();
    node.attach_as_the_original(&sandbox(), PORT);
    for table in ["Nuage_Port_Table", "Port", "Interface"] {
        node.switch.change(table, std::collections::BTreeMap::clear);
    }
    for table in ["Nuage_VM_Table", "Bridge"] {
        node.switch.change(table, |rows| {
            for row in rows.values_mut() {
                row.insert("ports".into(), json!(["set", []]));
            }
        });
    }
    held(&node.kernel.pairs).clear();
    held(&node.services.counted).clear();
    node.del(&sandbox()).await;
    assert_nothing(&node);
}

#[tokio::test(start_paused = true)]
async fn a_port_that_the_originals_entity_lists_under_another_name_goes_with_it() {
    let node = Node::new();
    // Made while the sandbox had another id, as its entity's key tells.
    node.attach_as_the_original(&sandbox(), "nu0123456789abc");
    node.attach_as_the_original(&sandbox(), PORT);
    node.del(&sandbox()).await;
    assert_nothing(&node);
}

#[tokio::test(start_paused = true)]
async fn ports_of_other_drivers_in_the_originals_entity_stay() {
    let node = Node::new();
    node.attach_as_the_original(&sandbox(), PORT);
    node.attach_as_the_original(&sandbox(), "nln123456789abc");
    node.del(&sandbox()).await;
    assert_eq!(node.switch.rows("Nuage_VM_Table")[0]["ports"], "nln123456789abc");
    assert_eq!(node.switch.rows("Nuage_Port_Table").len(), 1);
    assert_eq!(held(&node.kernel.pairs).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_interface_beside_the_originals_first_comes_and_goes_without_it() {
    let node = Node::new();
    node.attach_as_the_original(&sandbox(), PORT);
    let second = sandbox().interface("net1");
    assert_eq!(code(&call(&node, "ADD", &second).await), 0);
    assert_eq!(node.switch.rows("Nuage_VM_Table")[0]["ports"][1].as_array().unwrap().len(), 2);
    // A runtime repeats its DELs.
    for _ in 0..7 {
        node.del(&second).await;
        assert_eq!(node.switch.rows("Nuage_VM_Table")[0]["ports"], PORT);
        assert!(held(&node.kernel.pairs).contains_key(PORT));
    }
    node.del(&sandbox()).await;
    assert_nothing(&node);
}

#[tokio::test(start_paused = true)]
async fn a_del_of_what_the_original_attached_is_delivered_later_if_the_switch_is_away() {
    for port in [PORT, OLD_PORT] {
        let node = Node::new();
        node.attach_as_the_original(&sandbox(), port);
        node.switch.set_presence(Presence::Away);
        node.del(&sandbox()).await;
        assert_eq!(node.counted(), ["shop/web"], "only the rows tell whether it was counted");
        node.switch.set_presence(Presence::Up);
        node.del(&Sandbox::new("ffff", "api")).await;
        assert_nothing(&node);
    }
}

#[tokio::test(start_paused = true)]
async fn check_compares_what_the_original_attached() {
    for port in [PORT, OLD_PORT] {
        let node = Node::new();
        node.attach_as_the_original(&sandbox(), port);
        let outcome = call(&node, "CHECK", &sandbox()).await;
        assert_eq!(code(&outcome), 0, "{port}: {outcome:?}");
        held(&node.kernel.pairs).get_mut(port).unwrap().1.addresses.clear();
        assert_eq!(code(&call(&node, "CHECK", &sandbox()).await), 105);
    }
}

fn before(interfaces: &Value) -> Value {
    json!({"prevResult": {"cniVersion": "1.1.0", "interfaces": interfaces, "ips": [], "dns": {}}})
}

#[tokio::test(start_paused = true)]
async fn an_add_after_another_plugin_answers_with_what_both_made() {
    let node = Node::new();
    let other = json!([{"name": "other0", "sandbox": "/var/run/netns/x"}]);
    let one = sandbox().with(before(&other));
    let outcome = call(&node, "ADD", &one).await;
    assert_eq!(code(&outcome), 0, "{outcome:?}");
    let result: Value = serde_json::from_slice(&outcome.stdout).unwrap();
    assert_eq!(result["interfaces"][0]["name"], "other0");
    assert_eq!(result["interfaces"][2]["name"], "eth0");
    assert_eq!(result["ips"][0]["interface"], 2);
    let checked = call(&node, "CHECK", &sandbox().with(json!({"prevResult": result}))).await;
    assert_eq!(code(&checked), 0, "{checked:?}");
    node.del(&one).await;
    assert_nothing(&node);
}

#[tokio::test(start_paused = true)]
async fn an_add_after_a_plugin_that_made_the_same_interface_is_refused_before_anything_is_touched() {
    let node = Node::new();
    let taken = json!([{"name": "eth0", "sandbox": sandbox().netns()}]);
    assert_eq!(code(&call(&node, "ADD", &sandbox().with(before(&taken))).await), 100);
    assert_nothing(&node);
}

/// A result of ADD that a later plugin may have changed.
async fn attached() -> (Node, Value) {
    let node = Node::new();
    let outcome = node.add(&sandbox()).await;
    assert_eq!(code(&outcome), 0, "{outcome:?}");
    let result = serde_json::from_slice(&outcome.stdout).unwrap();
    (node, result)
}

#[tokio::test(start_paused = true)]
async fn check_holds_the_link_to_what_the_runtime_was_told_at_the_end_of_the_list() {
    let (node, result) = attached().await;
    let check = async |change: &dyn Fn(&mut Value)| {
        let mut changed = result.clone();
        change(&mut changed);
        code(&call(&node, "CHECK", &sandbox().with(json!({"prevResult": changed}))).await)
    };
    assert_eq!(check(&|_| {}).await, 0);
    let tuned = "02:00:00:00:00:99";
    assert_eq!(check(&|result| result["interfaces"][1]["mac"] = json!(tuned)).await, 105);
    for (_, link) in held(&node.kernel.pairs).values_mut() {
        link.mac = tuned.to_owned();
    }
    assert_eq!(check(&|result| result["interfaces"][1]["mac"] = json!(tuned)).await, 0);
    let change: [&dyn Fn(&mut Value); 4] = [
        &|result| result["interfaces"][1]["mtu"] = json!(9000),
        &|result| result["interfaces"][1]["sandbox"] = json!("/var/run/netns/another"),
        &|result| result["interfaces"][1]["name"] = json!("eth7"),
        &|result| result["ips"][0]["address"] = json!("10.0.0.250/24"),
    ];
    for change in change {
        let told = |result: &mut Value| {
            result["interfaces"][1]["mac"] = json!(tuned);
            change(result);
        };
        assert_eq!(check(&told).await, 105);
    }
}

#[tokio::test(start_paused = true)]
async fn check_and_del_need_no_journal() {
    let (node, result) = attached().await;
    held(&node.disk.files).retain(|path, _| !path.starts_with(doubles::STATE));
    let told = sandbox().with(json!({"prevResult": result}));
    assert_eq!(code(&call(&node, "CHECK", &told).await), 0);
    assert_eq!(code(&call(&node, "CHECK", &sandbox()).await), 0);
    held(&node.kernel.pairs).values_mut().next().unwrap().1.mtu = 1300;
    assert_eq!(code(&call(&node, "CHECK", &told).await), 105);
    node.del(&told).await;
    assert_nothing(&node);
}
