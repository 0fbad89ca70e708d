//! What the original left behind, and when (the five ways in which its ADD could end halfway). Each has its number and its test: the
//! same state, its pod gone, and the audit as the only one to clean up.

use crate::doubles::process::{Break, Process};
use crate::site::{Site, WEB, simulate, site};

const SANDBOX: &str = "5ac67fbb6c72850d236e378dd495934d13b386931f9d4e12942df653be4e5b18";
const PORT: &str = "nu7db556744f4c7";

/// What the original left of a sandbox, but for these tables' rows.
async fn left_by_the_original(without: &[&str]) -> (Site, usize) {
    let mut site = site().await;
    let nothing = site.left().len();
    site.original(SANDBOX, "web-0", PORT);
    for table in without {
        site.node.switch.change(table, |rows| {
            rows.retain(|_, row| !serde_json::json!(row).to_string().contains(PORT));
        });
    }
    (site, nothing)
}

async fn all_of_it_goes(mut site: Site, nothing: usize) {
    assert!(site.left().len() > nothing);
    site.passes().await;
    assert_eq!(site.left().len(), nothing, "{:#?}", site.left());
}

#[test]
fn l1_a_pod_that_the_monitor_counted_and_nobody_attached_is_counted_no_more() {
    simulate(async {
        let mut met = 0;
        for point in 0.. {
            let mut site = site().await;
            let before = site.left().len();
            site.pod(WEB.0, WEB.1, WEB.2);
            if site.call(&Process::broken(point, Break::KilledAfter), "ADD", "web", WEB).await.is_some() {
                break;
            }
            if site.ports().len() > 1 || !site.node.counted().contains(&"shop/web-0".to_owned()) {
                continue;
            }
            met += 1;
            site.remove_sandbox("web");
            site.forget_pod(WEB.2);
            all_of_it_goes(site, before).await;
        }
        assert!(met > 0, "an ADD is killed between the monitor's answer and the switch's rows");
    });
}

#[test]
fn l2_link_and_rows_without_an_entity_go() {
    simulate(async {
        let (site, nothing) = left_by_the_original(&["Nuage_VM_Table"]).await;
        all_of_it_goes(site, nothing).await;
    });
}

#[test]
fn l3_all_of_an_attachment_that_was_never_resolved_goes() {
    simulate(async {
        let (site, nothing) = left_by_the_original(&[]).await;
        all_of_it_goes(site, nothing).await;
    });
}

#[test]
fn l4_a_link_and_a_port_of_the_switch_alone_go() {
    simulate(async {
        let (site, nothing) = left_by_the_original(&["Nuage_VM_Table", "Nuage_Port_Table"]).await;
        all_of_it_goes(site, nothing).await;
    });
}

#[test]
fn l5_a_second_port_of_an_entity_that_was_there_goes() {
    simulate(async {
        let (mut site, nothing) = left_by_the_original(&[]).await;
        site.original(SANDBOX, "web-0", "nu00000000000aa");
        all_of_it_goes(site, nothing).await;
    });
}
