//! Two controllers of one switch: one is master, the other takes over when it is lost.

use std::sync::atomic::Ordering;
use std::time::Duration;

use nuage_emulator::entropy::Entropy;
use nuage_emulator::faults::Values;
use nuage_emulator::vrs::{CONTROLLERS, DATABASE, Vrs, VrsOptions};
use nuage_emulator::vsc::Controller;
use serde_json::Value;

use crate::world::{Faults, Pod, URL, World, peer, run, settled, vsd};

/// A switch with two controllers, each of which reaches the VSD in its own way.
fn two() -> (World, Faults) {
    let (vsd, first, second) = (vsd(), Faults::default(), Faults::default());
    let options = VrsOptions { system_id: "node-1".to_owned(), standby: true, ..VrsOptions::default() };
    let vrs = Vrs::new(Entropy::seeded(2), &options).unwrap();
    let controller =
        |faults, target| run(Controller::new(peer(&vsd, faults), URL).taking_turns(target), &vrs);
    let master = controller(&first, CONTROLLERS[0]);
    drop(controller(&second, CONTROLLERS[1]));
    (World { vsd: vsd.clone(), vrs: vrs.clone(), faults: first, _controller: master }, second)
}

impl World {
    /// The roles of the two, and whether they are connected.
    fn roles(&self) -> Vec<(String, bool)> {
        let rows = self.vrs.server().rows(DATABASE, "Controller");
        let role = |target: &str| {
            let row = &rows.iter().find(|(_, row)| row["target"] == target).unwrap().1;
            (row["role"].as_str().unwrap_or_default().to_owned(), row["is_connected"] == Value::Bool(true))
        };
        CONTROLLERS.map(role).to_vec()
    }

    fn lose(&self) {
        self.vrs.suffer("vrs.controller_lost");
    }

    fn find(&self) {
        self.vrs.recover("vrs.controller_lost", &Values::default());
    }
}

fn role(role: &str, connected: bool) -> (String, bool) {
    (role.to_owned(), connected)
}

#[tokio::test(start_paused = true)]
async fn the_one_that_stands_by_resolves_nothing_until_the_master_is_lost() {
    let (world, second) = two();
    world.faults.unavailable.store(true, Ordering::Relaxed);
    world.add(&Pod::new("a"));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(world.address("a"), "", "the master cannot, and the other may not");
    assert!(!second.unavailable.load(Ordering::Relaxed));
    world.lose();
    settled().await;
    assert_eq!(world.roles(), [role("slave", false), role("slave", true)]);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(world.roles(), [role("slave", false), role("master", true)]);
    assert_eq!(world.address("a"), "10.1.0.2");
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_stands_by_and_takes_over_in_turn() {
    let (world, _) = two();
    world.lose();
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.find();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.roles(), [role("slave", true), role("master", true)]);
    world.lose();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.roles(), [role("master", true), role("slave", false)]);
    world.add(&Pod::new("a"));
    settled().await;
    assert_eq!(world.address("a"), "10.1.0.2");
}

#[tokio::test(start_paused = true)]
async fn who_is_back_before_anybody_took_over_is_master_and_of_two_lost_ones_one() {
    let (world, _) = two();
    world.lose();
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.find();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(world.roles(), [role("master", true), role("slave", true)]);
    for _ in 0..2 {
        world.lose();
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    assert_eq!(world.roles(), [role("slave", false), role("slave", false)]);
    world.find();
    settled().await;
    assert_eq!(world.roles(), [role("master", true), role("slave", true)]);
}

#[tokio::test(start_paused = true)]
async fn what_the_first_was_in_the_middle_of_the_second_finishes_and_has_once() {
    // Lost at any time between its first request and its last.
    for moment in (100..2_000).step_by(100) {
        let (world, _) = two();
        settled().await;
        world.faults.delay.store(250, Ordering::Relaxed);
        world.add(&Pod::new("a"));
        tokio::time::sleep(Duration::from_millis(moment)).await;
        world.lose();
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(world.address("a"), "10.1.0.2", "lost after {moment} ms");
        let objects = |entity| world.vsd.snapshot(entity).len();
        assert_eq!((objects("container"), objects("containerinterface"), objects("vport")), (1, 1, 1));
        world.delete("Nuage_VM_Table", "vm_uuid", "uuid-a");
        settled().await;
        assert_eq!((objects("container"), objects("vport")), (0, 0));
    }
}
