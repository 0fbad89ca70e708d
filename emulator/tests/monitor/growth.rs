//! Subnets that come and go with a namespace's pods, whatever is lost or made again; and what the original does instead.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nuage_emulator::faults::Setting;

use crate::world::{growing, placed, refused};

#[tokio::test(start_paused = true)]
async fn a_namespace_grows_above_three_quarters_and_shrinks_below_one() {
    let world = growing("10.0.0.0/16");
    world.namespace("shop");
    for number in 0..9 {
        assert_eq!(world.place("shop", &format!("p{number}")).await, "shop-0");
    }
    assert_eq!(world.names("shop"), ["shop-0"]);
    assert_eq!(world.place("shop", "p9").await, "shop-0", "the tenth of thirteen still has room");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.names("shop"), ["shop-0", "shop-1"]);
    for number in 10..13 {
        assert_eq!(world.place("shop", &format!("p{number}")).await, "shop-0");
    }
    assert_eq!(world.place("shop", "p13").await, "shop-1");
    assert_eq!(world.place("shop", "p3").await, "shop-0", "who asks again keeps its place");
    for number in (7..14).rev() {
        world.leave("shop", &format!("p{number}")).await;
    }
    assert_eq!(world.names("shop"), ["shop-0", "shop-1"], "7 of 26 are more than a quarter");
    world.leave("shop", "p6").await;
    world.leave("shop", "p5").await;
    assert_eq!(world.names("shop"), ["shop-0"]);
    world.leave("shop", "nobody").await;
    assert_eq!(world.place("shop", "new").await, "shop-0");
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_pods_gets_as_many_subnets_as_it_needs_and_no_pod_two_places() {
    let world = growing("10.0.0.0/16");
    let names: Vec<String> = (0..100).map(|number| format!("p{number}")).collect();
    world.namespace("shop");
    for name in &names {
        world.pod("shop", name);
    }
    let places = futures_util::future::join_all(names.iter().map(|name| world.place("shop", name))).await;
    let again = futures_util::future::join_all(names.iter().map(|name| world.place("shop", name))).await;
    assert_eq!(places, again);
    for subnet in world.names("shop") {
        let pods = places.iter().filter(|place| **place == subnet).count();
        assert!(pods <= 13, "{subnet}: {pods}");
    }
    assert!((8..=11).contains(&world.names("shop").len()), "{:?}", world.names("shop"));
}

#[tokio::test(start_paused = true)]
async fn where_no_place_is_left_that_is_said_and_the_original_answers_a_dot() {
    let world = growing("10.0.0.0/28");
    for number in 0..13 {
        world.place("shop", &format!("p{number}")).await;
    }
    let full = refused(500, "the VSD has no free address block");
    assert_eq!(world.post("shop", r#"{"podName":"more"}"#).await, full);
    let fault = world.on("monitor.dot_when_full");
    assert_eq!(world.post("shop", r#"{"podName":"more"}"#).await, placed("."));
    assert!(world.named.off(fault).is_some());
    world.leave("shop", "p5").await;
    assert_eq!(world.place("shop", "more").await, "shop-0");
}

#[tokio::test(start_paused = true)]
async fn what_a_restarted_monitor_cannot_remember_it_counts_in_the_vsd() {
    let world = growing("10.0.0.0/16");
    world.namespace("shop");
    for number in 0..12 {
        let pod = format!("p{number}");
        world.pod("shop", &pod);
        let subnet = world.place("shop", &pod).await;
        world.attach(&subnet, &pod).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.named.on("monitor.restart", Setting { times: Some(1), ..Setting::default() }).unwrap();
    assert_eq!(world.place("shop", "p3").await, "shop-0", "who has an address there");
    assert_eq!(world.place("shop", "q0").await, "shop-0");
    assert_eq!(world.place("shop", "q1").await, "shop-1", "thirteen are all");
}

#[tokio::test(start_paused = true)]
async fn pods_whose_del_was_lost_hold_no_place_for_ever() {
    let world = growing("10.0.0.0/28");
    world.namespace("shop");
    for number in 0..13 {
        world.pod("shop", &format!("p{number}"));
        world.place("shop", &format!("p{number}")).await;
    }
    world.attach("shop-0", "p1").await;
    for number in 0..2 {
        world.kube.delete("Pod", "shop", &format!("p{number}")).unwrap();
    }
    world.pod("shop", "q");
    assert_eq!(world.place("shop", "q").await, "shop-0", "p0 is gone");
    world.pod("shop", "r");
    let full = refused(500, "the VSD has no free address block");
    assert_eq!(world.post("shop", r#"{"podName":"r"}"#).await, full, "p1 still has an address");
}

#[tokio::test(start_paused = true)]
async fn a_pod_of_the_same_name_has_a_place_of_its_own_and_the_original_gives_both_one() {
    for by_name in [false, true] {
        let world = growing("10.0.0.0/28");
        world.namespace("shop");
        if by_name {
            world.on("monitor.counts_names");
        }
        for number in 0..12 {
            world.pod("shop", &format!("p{number}"));
            world.place("shop", &format!("p{number}")).await;
        }
        world.kube.delete("Pod", "shop", "p0").unwrap();
        world.pod("shop", "p0");
        assert_eq!(world.place("shop", "p0").await, "shop-0");
        // The old one's DEL comes late: the thirteen places are 11 others, the new one and one that is free.
        world.leave("shop", "p0").await;
        world.pod("shop", "q");
        assert_eq!(world.place("shop", "q").await, "shop-0");
        world.pod("shop", "r");
        let (status, _) = world.post("shop", r#"{"podName":"r"}"#).await;
        assert_eq!(status, if by_name { 200 } else { 500 }, "one place too many: {by_name}");
    }
}

#[tokio::test(start_paused = true)]
async fn namespaces_of_the_cluster_have_their_place_before_a_pod_asks_and_lose_it_when_they_go() {
    let world = growing("10.0.0.0/16");
    let monitor = world.monitor.clone();
    let following = tokio::spawn(async move { monitor.run().await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(world.has_zone("default") && world.has_zone("kube-system"));
    world.namespace("shop");
    world.namespace("infra");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.names("shop"), ["shop-0"]);
    let container = world.attach("shop-0", "p").await;
    for namespace in ["shop", "infra"] {
        world.kube.delete("Namespace", "", namespace).unwrap();
    }
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(world.has_zone("shop"), "a pod still has an address there");
    world.detach(&container).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!world.has_zone("shop") && world.names("shop").is_empty());
    assert!(world.has_zone("infra"), "that one was there before");
    // Its addresses are free again, and so is its name.
    world.namespace("shop");
    assert_eq!(world.place("shop", "p").await, "shop-0");
    following.abort();
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_goes_is_removed_though_the_monitor_has_forgotten_it() {
    let world = growing("10.0.0.0/16");
    let monitor = world.monitor.clone();
    let following = tokio::spawn(async move { monitor.run().await });
    world.namespace("shop");
    world.namespace("bank");
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.named.on("monitor.restart", Setting { times: Some(1), ..Setting::default() }).unwrap();
    world.place("bank", "p").await;
    world.kube.delete("Namespace", "", "shop").unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!world.has_zone("shop"));
    following.abort();
    world.kube.delete("Namespace", "", "bank").unwrap();
    let monitor = world.monitor.clone();
    let following = tokio::spawn(async move { monitor.run().await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!world.has_zone("bank"), "it went while nobody looked");
    following.abort();
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_comes_again_keeps_its_place() {
    let world = growing("10.0.0.0/16");
    let monitor = world.monitor.clone();
    let following = tokio::spawn(async move { monitor.run().await });
    world.namespace("shop");
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.attach("shop-0", "p").await;
    world.kube.delete("Namespace", "", "shop").unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.namespace("shop");
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(world.names("shop"), ["shop-0"]);
    following.abort();
}

#[tokio::test(start_paused = true)]
async fn a_namespace_waits_for_no_other_but_in_the_original() {
    for one_loop in [false, true] {
        let world = growing("10.0.0.0/16");
        if one_loop {
            world.on("monitor.one_loop");
        }
        world.place("ready", "p").await;
        world.faults.silent.store(true, Ordering::Relaxed);
        let start = tokio::time::Instant::now();
        let slow = world.post("new", r#"{"podName":"p"}"#);
        let quick = async {
            tokio::task::yield_now().await;
            world.place("ready", "q").await;
            start.elapsed() >= Duration::from_secs(5)
        };
        let ((status, _), waited) = tokio::join!(slow, quick);
        assert_eq!((status, waited), (500, one_loop));
    }
}

#[tokio::test(start_paused = true)]
async fn a_monitor_that_takes_the_pool_for_free_gives_no_block_twice() {
    let world = growing("10.0.0.0/16");
    for namespace in ["one", "two"] {
        world.place(namespace, "p").await;
    }
    world.named.on("monitor.restart", Setting { times: Some(1), ..Setting::default() }).unwrap();
    world.on("monitor.forgets_pool");
    for namespace in ["three", "one"] {
        world.place(namespace, "p").await;
    }
    let addresses: Vec<String> = world.subnets().into_iter().map(|(_, address)| address).collect();
    let different: BTreeSet<&String> = addresses.iter().collect();
    assert_eq!(different.len(), addresses.len());
    assert_eq!(world.vsd.snapshot("subnet").len(), 4);
}
