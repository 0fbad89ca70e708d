//! Whatever a plugin leaves behind when it is killed, the audit brings the node back to nothing, and is the only one to clean up.

use nuage_cni::audit::act::Outcome;
use nuage_cni::audit::containers::{Life, Reception};
use nuage_cni::audit::report::Kind;

use crate::doubles::process::{Break, Process};
use crate::doubles::seams::held;
use crate::doubles::switch::Presence;
use crate::site::{Api, OTHER, Site, WEB, simulate, site};

/// What a node with the other pod alone has.
async fn only_other() -> Vec<String> {
    site().await.left()
}

/// A call killed at each of its points in turn, whose runtime never calls again: `least` points, and nothing left after any.
fn killed_anywhere_leaves_nothing(command: &str, attached: bool, least: usize) {
    simulate(async {
        let nothing = only_other().await.len();
        for how in [Break::KilledBefore, Break::KilledAfter] {
            let mut points = 0;
            loop {
                let mut site = site().await;
                site.pod(WEB.0, WEB.1, WEB.2);
                if attached {
                    site.add("web", WEB).await;
                }
                let process = Process::broken(points, how);
                if site.call(&process, command, "web", WEB).await.is_some() {
                    break;
                }
                site.remove_sandbox("web");
                site.forget_pod(WEB.2);
                site.passes().await;
                let left = site.left();
                assert_eq!(
                    left.len(),
                    nothing,
                    "{how:?} at {points} ({:?}): {left:#?}",
                    process.operations().last()
                );
                points += 1;
            }
            assert!(points > least, "{points}");
        }
    });
}

/// 1.10, all five rows of it: a plugin that is killed at any point of an ADD, whose runtime never calls DEL.
#[test]
fn an_add_that_is_killed_anywhere_leaves_nothing_once_the_audit_has_looked() {
    killed_anywhere_leaves_nothing("ADD", false, 15);
}

#[test]
fn a_del_that_is_killed_anywhere_leaves_nothing_once_the_audit_has_looked() {
    killed_anywhere_leaves_nothing("DEL", true, 5);
}

/// 1.10, row 5: a second port of a sandbox whose entity was there, as the original made it.
#[test]
fn every_port_that_the_original_gave_one_sandbox_goes() {
    simulate(async {
        let mut site = Site::new();
        site.pod(OTHER.0, OTHER.1, OTHER.2);
        let id = "5ac67fbb6c72850d236e378dd495934d13b386931f9d4e12942df653be4e5b18";
        for port in ["nu7db556744f4c7", "07db556744f4c70", "nu00000000000aa"] {
            site.original(id, "web-0", port);
        }
        site.remove_sandbox(id);
        site.passes().await;
        assert!(site.left().is_empty(), "{:#?}", site.left());
    });
}

#[test]
fn each_part_of_an_attachment_that_is_left_alone_is_found_and_goes() {
    simulate(async {
        let tables = ["Port", "Nuage_Port_Table", "Nuage_VM_Table", "link", "record"];
        for kept in tables {
            let mut site = Site::new();
            site.pod(OTHER.0, OTHER.1, OTHER.2);
            site.add("other", OTHER).await;
            let nothing = site.left().len();
            let ports = site.ports();
            site.pod(WEB.0, WEB.1, WEB.2);
            site.add("web", WEB).await;
            let port = site.ports().difference(&ports).next().unwrap().clone();
            for table in ["Port", "Nuage_Port_Table", "Nuage_VM_Table"] {
                if table != kept {
                    let is_ours = |text: &str| text.contains(&port);
                    site.node.switch.change(table, |rows| {
                        rows.retain(|_, row| !is_ours(&serde_json::json!(row).to_string()));
                    });
                }
            }
            if kept != "link" {
                site.remove_sandbox("web");
            }
            if kept != "record" {
                held(&site.node.disk.files)
                    .remove(std::path::Path::new(&format!("/state/attachments/{port}.json")));
            }
            held(&site.node.services.counted).remove("shop/web-0");
            site.forget_pod(WEB.2);
            site.passes().await;
            let left = site.left();
            let interfaces =
                left.iter().filter(|what| what.starts_with("Interface") && what.contains(&port)).count();
            assert_eq!(left.len() - interfaces, nothing, "{kept}: {left:#?}");
        }
    });
}

#[test]
fn what_a_del_owes_is_delivered_as_soon_as_it_can_be_and_told_once() {
    simulate(async {
        let mut site = site().await;
        let nothing = site.left().len();
        site.pod(WEB.0, WEB.1, WEB.2);
        site.add("web", WEB).await;
        site.node.switch.set_presence(Presence::Away);
        site.node.set_monitor(Presence::Away);
        assert_eq!(site.call(&Process::sound(), "DEL", "web", WEB).await, Some(true));
        site.remove_sandbox("web");
        site.forget_pod(WEB.2);
        assert!(site.pass().await.is_none(), "the switch is away: nothing is done");
        site.node.switch.set_presence(Presence::Up);
        let report = site.pass().await.unwrap();
        let done: Vec<_> = report.actions.iter().map(|action| (action.kind, action.outcome.name())).collect();
        assert_eq!(done, [(Kind::Deliver, "undelivered")], "the rows are gone, the monitor is not told");
        site.node.set_monitor(Presence::Up);
        for _ in 0..4 {
            site.pass().await;
        }
        assert_eq!(site.left().len(), nothing, "{:#?}", site.left());
        let asked = held(&site.node.services.asked);
        let notices = asked.iter().filter(|(_, _, body)| body["action"] == "delete").count();
        assert_eq!(notices, 1);
    });
}

#[test]
fn the_monitor_is_not_told_of_a_pod_whose_name_another_one_has() {
    simulate(async {
        let mut site = site().await;
        site.pod(WEB.0, WEB.1, WEB.2);
        site.add("web", WEB).await;
        site.remove_sandbox("web");
        site.forget_pod(WEB.2);
        // A StatefulSet makes it again.
        site.pod(WEB.0, WEB.1, "uid-3");
        site.add("again", (WEB.0, WEB.1, "uid-3")).await;
        site.passes().await;
        assert!(site.node.counted().contains(&"shop/web-0".to_owned()));
        assert_eq!(site.ports().len(), 2, "the other's and the new one's");
    });
}

/// A pod that ended leaks its attachment; another of its name is never attached, and ends or waits.
#[test]
fn the_monitor_is_told_of_a_pod_whose_name_another_has_that_is_not_attached() {
    simulate(async {
        for life in [Life::Finished, Life::Pending] {
            let mut site = site().await;
            site.pod(WEB.0, WEB.1, WEB.2);
            site.add("web", WEB).await;
            site.change_pod(WEB.2, |pod| pod.life = Life::Finished);
            site.remove_sandbox("web");
            site.pod(WEB.0, WEB.1, "uid-3");
            site.change_pod("uid-3", |pod| pod.life = life);
            site.passes().await;
            assert!(!site.node.counted().contains(&"shop/web-0".to_owned()), "{life:?}");
            assert_eq!(site.ports().len(), 1);
        }
    });
}

#[test]
fn whoever_is_silent_or_odd_keeps_everything_as_it_is() {
    simulate(async {
        for api in [Api::Down, Api::Empty, Api::Stale] {
            let mut site = site().await;
            site.set_api(api);
            // Born after the API server went quiet: it must live, too.
            site.pod(WEB.0, WEB.1, WEB.2);
            site.add("web", WEB).await;
            let before = site.left();
            for _ in 0..20 {
                site.pass().await.unwrap();
            }
            assert_eq!(site.left(), before, "{api:?}");
        }
    });
}

#[test]
fn what_lives_when_it_is_looked_at_once_more_is_spared() {
    simulate(async {
        let mut site = site().await;
        site.set_api(Api::Stale);
        site.pod(WEB.0, WEB.1, WEB.2);
        site.add("web", WEB).await;
        let mut spared = 0;
        for _ in 0..8 {
            let report = site.pass().await.unwrap();
            spared +=
                report.actions.iter().filter(|action| matches!(action.outcome, Outcome::Spared(_))).count();
        }
        assert!(spared > 0, "the stale list condemns it, the pod's origin does not");
    });
}

#[test]
fn a_runtime_that_knows_its_sandboxes_is_believed_before_the_api_server() {
    simulate(async {
        let mut site = site().await;
        site.pod(WEB.0, WEB.1, WEB.2);
        site.add("web", WEB).await;
        site.set_sandboxes(&[("other", true), ("web", true)]);
        site.forget_pod(WEB.2);
        let before = site.left();
        site.passes().await;
        assert_eq!(site.left(), before, "the sandbox is ready: its pod is terminating");
        site.set_sandboxes(&[("other", true), ("web", false)]);
        site.passes().await;
        assert_eq!(site.ports().len(), 1);
    });
}

#[test]
fn rows_that_the_switch_has_lost_are_written_again_with_the_names_mac_and_address_that_they_had() {
    simulate(async {
        let mut site = site().await;
        let before = site.node.switch.rows("Nuage_Port_Table");
        let mine = |rows: &[nuage_ovsdb::value::Row]| {
            let row = rows
                .iter()
                .find(|row| row["name"].as_str().unwrap().starts_with("nu") && row["alias"] != "foreign");
            row.map(|row| {
                (row["name"].clone(), row["mac"].clone(), row["ip_addr"].clone(), row["metadata"].clone())
            })
        };
        let (name, mac, address, _) = mine(&before).unwrap();
        site.lose_rows();
        assert!(mine(&site.node.switch.rows("Nuage_Port_Table")).is_none());
        let report = site.pass().await.unwrap();
        assert_eq!(report.actions.len(), 1);
        assert_eq!((report.actions[0].kind, report.actions[0].outcome.name()), (Kind::Restore, "done"));
        let (name_again, mac_again, _, metadata) = mine(&site.node.switch.rows("Nuage_Port_Table")).unwrap();
        assert_eq!((name_again, mac_again), (name, mac));
        let asked = format!("[\"static-ip\",{address}]");
        assert!(metadata.to_string().contains(&asked), "{metadata}");
        assert_eq!(
            site.node.switch.rows("Nuage_VM_Table").iter().filter(|row| row["vm_uuid"] == "other").count(),
            1
        );
        let told = site.news();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!((told[0].pod.name.as_str(), told[0].reason), ("other", "AttachmentRestored"));
        let again = site.pass().await.unwrap();
        assert!(again.actions.is_empty() && site.news().is_empty(), "{:?}", again.actions);
    });
}

#[test]
fn pods_are_told_of_in_moderation_and_an_address_that_differs_once() {
    simulate(async {
        let mut site = site().await;
        for number in 0..20 {
            let (name, uid, id) = (format!("p{number}"), format!("u{number}"), format!("s{number}"));
            site.pod("shop", &name, &uid);
            site.add(&id, ("shop", &name, &uid)).await;
        }
        site.lose_rows();
        let report = site.pass().await.unwrap();
        assert_eq!((report.actions.len(), site.news().len()), (21, 10));
        site.node.switch.change("Nuage_Port_Table", |rows| {
            let (_, row) = rows.iter_mut().find(|(_, row)| row["alias"] != "foreign").unwrap();
            // So the controller answers anew, without the wish for the address that the pod has.
            row.insert("metadata".to_owned(), serde_json::json!(["map", []]));
        });
        for expected in [1, 0, 0] {
            site.pass().await.unwrap();
            let told = site.news();
            assert_eq!(told.len(), expected, "{told:?}");
            assert!(told.iter().all(|news| news.is_warning && news.reason == "AddressDiffers"), "{told:?}");
        }
    });
}

#[test]
fn where_events_are_forbidden_the_audit_goes_on_and_says_so_once() {
    simulate(async {
        let mut site = site().await;
        site.set_reception(Reception::Forbidden);
        for _ in 0..3 {
            site.lose_rows();
            let report = site.pass().await.unwrap();
            assert_eq!(report.actions.len(), 1);
            assert_eq!((report.actions[0].kind, report.actions[0].outcome.name()), (Kind::Restore, "done"));
            assert_eq!(site.news().len(), 1, "the audit does not know better than to ask its source");
        }
        let lines = held(&site.node.log.log).clone();
        let told: Vec<_> = lines.iter().filter(|line| line.contains("no Events are shown")).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("create events"), "{told:?}");
    });
}

#[test]
fn a_reboot_releases_what_was_and_leaves_what_has_come_up_since() {
    simulate(async {
        let mut site = site().await;
        site.node.boot("boot-2");
        site.add("other-2", OTHER).await;
        assert!(site.pass().await.unwrap().tripped.is_none());
        assert_eq!(site.ports().len(), 1);
        assert!(site.node.counted().contains(&"shop/other".to_owned()), "its pod lives on");
        assert_eq!(site.node.journal().len(), 1);
    });
}
