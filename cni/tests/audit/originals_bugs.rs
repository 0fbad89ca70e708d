//! The original's audit had bugs that deleted what lived and kept what did not. Each has its number and its test.

use std::time::Duration;

use nuage_cni::audit::Mode;
use nuage_cni::config::load_node;
use serde_json::json;

use crate::doubles::process::Process;
use crate::doubles::switch::Presence;
use crate::doubles::{Node, seams::held};
use crate::site::{Api, ENOUGH, Site, simulate};

const SANDBOX: &str = "5ac67fbb6c72850d236e378dd495934d13b386931f9d4e12942df653be4e5b18";
const PORT: &str = "nu7db556744f4c7";
const WEB: (&str, &str, &str) = ("shop", "web", "uid-1");
const TWIN: (&str, &str, &str) = ("bank", "web", "uid-2");

#[test]
fn a1_entities_of_others_are_no_business_of_ours_whatever_they_are_called() {
    simulate(async {
        let mut site = Site::new();
        site.pod(WEB.0, WEB.1, WEB.2);
        site.add("web", WEB).await;
        let foreign = site.foreign();
        let reports = [site.pass().await.unwrap(), site.pass().await.unwrap()];
        site.passes().await;
        assert_eq!(site.foreign(), foreign);
        assert_eq!(reports[1].foreign.entities, 5);
    });
}

#[test]
fn a2_pods_of_one_name_in_two_namespaces_both_live() {
    simulate(async {
        let mut site = Site::new();
        for (id, pod) in [("web", WEB), ("twin", TWIN)] {
            site.pod(pod.0, pod.1, pod.2);
            site.add(id, pod).await;
        }
        let before = site.left();
        site.passes().await;
        assert_eq!(site.left(), before);
    });
}

#[test]
fn a2_a_stale_row_that_shares_its_name_with_a_living_pod_goes() {
    simulate(async {
        let mut site = Site::new();
        site.original(SANDBOX, "web", PORT);
        site.remove_sandbox(SANDBOX);
        site.pod(WEB.0, WEB.1, WEB.2);
        site.add("web", WEB).await;
        site.passes().await;
        assert!(!site.ports().contains(PORT));
        assert_eq!(site.ports().len(), 1);
    });
}

#[test]
fn a3_two_rows_of_one_entity_both_go_and_the_monitor_is_told() {
    simulate(async {
        let mut site = Site::new();
        site.pod(TWIN.0, TWIN.1, TWIN.2);
        site.pod(WEB.0, WEB.1, WEB.2);
        site.add("web", WEB).await;
        let row =
            site.node.switch.rows("Nuage_VM_Table").into_iter().find(|row| row["vm_uuid"] == "web").unwrap();
        let columns: Vec<(&str, serde_json::Value)> =
            row.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        site.node.switch.insert("Nuage_VM_Table", &columns);
        site.remove_sandbox("web");
        site.forget_pod(WEB.2);
        site.passes().await;
        assert!(site.left().is_empty(), "{:#?}", site.left());
    });
}

#[test]
fn a4_a_port_of_others_does_not_stop_the_pass() {
    simulate(async {
        let mut site = Site::new();
        site.pod(TWIN.0, TWIN.1, TWIN.2);
        site.original(SANDBOX, "gone", PORT);
        site.remove_sandbox(SANDBOX);
        site.passes().await;
        assert!(site.ports().is_empty(), "{:?}", site.ports());
        assert_eq!(site.foreign().len(), 15);
    });
}

#[test]
fn a5_a_port_that_comes_back_has_its_whole_grace_period_again() {
    simulate(async {
        let mut site = Site::new();
        site.pod(WEB.0, WEB.1, WEB.2);
        site.add("web", WEB).await;
        // Suspected nearly long enough, then well again.
        site.change_pod(WEB.2, |pod| pod.host_network = true);
        for _ in 0..3 {
            site.pass().await;
        }
        site.change_pod(WEB.2, |pod| pod.host_network = false);
        site.pass().await;
        site.change_pod(WEB.2, |pod| pod.host_network = true);
        for _ in 0..3 {
            let report = site.pass().await.unwrap();
            assert!(report.actions.is_empty(), "{:?}", report.actions);
        }
        assert_eq!(site.ports().len(), 1);
    });
}

#[test]
fn a6_an_empty_list_is_not_believed() {
    simulate(async {
        let mut site = Site::new();
        for number in 0..4 {
            let (name, uid, id) = (format!("p{number}"), format!("u{number}"), format!("s{number}"));
            site.pod("shop", &name, &uid);
            site.add(&id, ("shop", &name, &uid)).await;
        }
        site.set_api(Api::Empty);
        let before = site.left();
        for _ in 0..2 * ENOUGH {
            let report = site.pass().await.unwrap();
            assert!(report.doubts.iter().any(|doubt| doubt.contains("not believed")), "{:?}", report.doubts);
        }
        assert_eq!(site.left(), before);
    });
}

#[test]
fn a8_without_a_staleentrytimeout_the_grace_period_is_ten_minutes() {
    let host = simulate(async { Node::new().host(&Process::sound()) });
    let config = load_node(&*host.files, Some(std::path::Path::new("/config"))).unwrap();
    assert_eq!(config.stale_timeout, Duration::from_mins(10));
}

#[test]
fn a9_a_port_and_a_link_without_a_row_of_nuages_are_seen_and_go() {
    simulate(async {
        let mut site = Site::new();
        site.pod(TWIN.0, TWIN.1, TWIN.2);
        site.add("twin", TWIN).await;
        let before = site.left().len();
        site.original(SANDBOX, "gone", PORT);
        for table in ["Nuage_Port_Table", "Nuage_VM_Table"] {
            site.node
                .switch
                .change(table, |rows| rows.retain(|_, row| !json!(row).to_string().contains(PORT)));
        }
        site.passes().await;
        assert_eq!(site.left().len(), before, "{:#?}", site.left());
    });
}

#[test]
fn a10_a_switch_that_is_away_costs_a_pass_and_nothing_else() {
    simulate(async {
        let mut site = Site::new();
        site.pod(WEB.0, WEB.1, WEB.2);
        site.add("web", WEB).await;
        for presence in [Presence::Away, Presence::Silent] {
            site.node.switch.set_presence(presence);
            for _ in 0..3 {
                assert!(site.pass().await.is_none());
            }
            site.node.switch.set_presence(Presence::Up);
            assert!(site.pass().await.unwrap().actions.is_empty());
        }
        assert_eq!(site.ports().len(), 1);
    });
}

#[test]
fn a11_the_link_that_goes_is_the_ports_own() {
    simulate(async {
        let mut site = Site::new();
        for (id, pod) in [("web", WEB), ("twin", TWIN)] {
            site.pod(pod.0, pod.1, pod.2);
            site.add(id, pod).await;
        }
        site.forget_pod(WEB.2);
        site.passes().await;
        let links: Vec<String> = held(&site.node.kernel.pairs).keys().cloned().collect();
        assert_eq!(links, site.ports().into_iter().collect::<Vec<_>>());
        assert_eq!(links.len(), 1);
    });
}

#[test]
fn a12_half_made_rows_of_others_without_a_name_stay() {
    simulate(async {
        let mut site = Site::new();
        site.pod(TWIN.0, TWIN.1, TWIN.2);
        for name in ["", "something"] {
            let row = [
                ("vm_uuid", json!("foreign-half")),
                ("vm_name", json!(name)),
                ("ports", json!(["set", []])),
                ("type", json!(4)),
                ("domain", json!(4)),
                ("event", json!(0)),
                ("state", json!(0)),
            ];
            site.node.switch.insert("Nuage_VM_Table", &row);
        }
        let before = site.foreign();
        site.passes().await;
        assert_eq!(site.foreign(), before);
    });
}

#[test]
fn a14_a_witness_that_answers_nobody_is_no_crash_and_no_verdict() {
    simulate(async {
        let mut site = Site::new();
        site.pod(WEB.0, WEB.1, WEB.2);
        site.add("web", WEB).await;
        site.set_api(Api::Down);
        site.remove_sandbox("web");
        let before = site.left();
        for _ in 0..2 * ENOUGH {
            assert!(site.pass().await.unwrap().actions.is_empty());
        }
        assert_eq!(site.left(), before);
    });
}

#[test]
fn the_trip_wire_holds_a_wrong_belief_until_a_person_confirms_and_lets_go_when_it_was_wrong() {
    simulate(async {
        let mut site = Site::new();
        site.pod(TWIN.0, TWIN.1, TWIN.2);
        site.add("twin", TWIN).await;
        for number in 0..6 {
            let (name, uid, id) = (format!("p{number}"), format!("u{number}"), format!("s{number}"));
            site.pod("shop", &name, &uid);
            site.add(&id, ("shop", &name, &uid)).await;
        }
        for number in 0..6 {
            site.forget_pod(&format!("u{number}"));
        }
        for _ in 0..ENOUGH {
            site.pass().await;
        }
        assert_eq!(site.ports().len(), 7, "six are due, five are believed");
        // A restart of the daemon confirms nothing.
        site.restart_daemon();
        assert!(site.pass().await.unwrap().tripped.is_some());
        let dry = site.auditor.pass(Mode { dry_run: true, confirmed: true }).await.unwrap();
        assert_eq!(dry.actions.len(), 6);
        assert_eq!(site.ports().len(), 7, "a dry run only says so");
        site.auditor.pass(Mode { dry_run: false, confirmed: true }).await.unwrap();
        assert_eq!(site.ports().len(), 1);
        assert!(site.pass().await.unwrap().tripped.is_none());
    });
}
