//! The audit against the emulated API server: a watch that is resumed and listed anew, and passes that rest on it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nuage_cni::audit::containers::{Containers, Life, Reception, Word};
use nuage_cni::audit::kubernetes::{ApiServer, ListedPods, WatchedPods};
use nuage_cni::audit::news::News;
use nuage_cni::audit::{Auditor, Mode, node_name};
use nuage_cni::config::{load_node, load_vsp};
use nuage_cni::host::{Host, LockGuard};
use nuage_cni::orchestrator::{Orchestrator, Pod};
use nuage_emulator::faults::Setting;
use nuage_harness::scenario::Cluster;
use nuage_harness::world::sim::{Tampering, World, config_directory};
use serde_json::json;
use tokio::time::sleep;

const NODE: &str = "node-1";

fn simulate<T>(future: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, future)
}

fn world() -> Arc<World> {
    World::new(&Cluster { parallel: 4, ..Cluster::default() }, 1, Tampering::default()).unwrap()
}

fn api(host: &Host) -> ApiServer {
    let vsp = load_vsp(&*host.files, Orchestrator::Kubernetes, Some(&config_directory(NODE))).unwrap();
    ApiServer::new(host.clone(), vsp)
}

fn make_pod(world: &World, name: &str, node: &str) -> String {
    let object = json!({
        "kind": "Pod", "metadata": {"namespace": "default", "name": name}, "spec": {"nodeName": node},
        "status": {"phase": "Running"}
    });
    world.kube.create(object).unwrap()["metadata"]["uid"].as_str().unwrap().to_owned()
}

async fn names(pods: &dyn Containers) -> Option<Vec<String>> {
    let told = pods.observe().await.pods;
    told.told().map(|pods| {
        pods.iter()
            .map(|pod| pod.name.clone())
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect()
    })
}

#[test]
fn the_watch_knows_the_pods_of_its_node_as_they_come_change_and_go() {
    simulate(async {
        let world = world();
        make_pod(&world, "first", NODE);
        make_pod(&world, "elsewhere", "node-2");
        let host = world.host(0);
        let pods = WatchedPods::start(api(&host), Some(NODE.to_owned()));
        assert!(names(&pods).await.is_none(), "nothing was listed yet: it says nothing");
        sleep(Duration::from_secs(1)).await;
        assert_eq!(names(&pods).await.unwrap(), ["first"]);
        make_pod(&world, "second", NODE);
        world.kube.update("Pod", "default", "first", |pod| pod["status"]["phase"] = json!("Failed")).unwrap();
        sleep(Duration::from_secs(1)).await;
        let told = pods.observe().await.pods;
        let life = |name: &str| told.told().unwrap().iter().find(|pod| pod.name == name).unwrap().life;
        assert_eq!((life("first"), life("second")), (Life::Finished, Life::Running));
        world.kube.delete("Pod", "default", "first").unwrap();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(names(&pods).await.unwrap(), ["second"]);
        let gone = Pod { namespace: "default".into(), name: "first".into(), uid: None };
        assert_eq!(pods.look_again(&gone).await, Word::Told(None));
        world.end();
    });
}

#[test]
fn a_watch_that_breaks_says_nothing_until_it_stands_again() {
    for fault in ["kube.down", "kube.unavailable", "kube.unauthorized", "kube.truncated", "kube.gone"] {
        simulate(async {
            let world = world();
            make_pod(&world, "first", NODE);
            let host = world.host(0);
            let pods = WatchedPods::start(api(&host), Some(NODE.to_owned()));
            sleep(Duration::from_secs(1)).await;
            let id = world.faults.on(fault, Setting::default()).unwrap();
            // A watch is begun anew after five minutes at the latest.
            sleep(Duration::from_mins(11)).await;
            make_pod(&world, "second", NODE);
            world.kube.delete("Pod", "default", "first").unwrap();
            let told = names(&pods).await;
            assert!(
                told.is_none() || told == Some(vec!["first".to_owned()]) || fault == "kube.gone",
                "{fault}: {told:?}"
            );
            world.faults.off(id);
            sleep(Duration::from_mins(2)).await;
            assert_eq!(names(&pods).await.unwrap(), ["second"], "{fault}");
            world.end();
        });
    }
}

#[test]
fn the_node_is_the_one_that_runs_this_boot() {
    simulate(async {
        let world = world();
        let host = world.host(0);
        host.files.write(Path::new("/proc/sys/kernel/random/boot_id"), b"boot-7\n").unwrap();
        host.files.write(Path::new("/proc/sys/kernel/hostname"), b"localhost\n").unwrap();
        let api = api(&host);
        let found = node_name::find(&api, &*host.files, None).await;
        assert!(found.silence().is_some_and(|why| why.contains("KUBERNETES_NODE_NAME")), "{found:?}");
        world
            .kube
            .update("Node", "", NODE, |node| node["status"]["nodeInfo"]["bootID"] = json!("boot-7"))
            .unwrap();
        assert_eq!(node_name::find(&api, &*host.files, None).await, Word::Told(NODE.to_owned()));
        world.end();
    });
}

/// A7: the original could list pods from inside a pod only.
#[test]
fn a7_a_daemon_outside_the_cluster_lists_pods_by_its_kubeconfig() {
    simulate(async {
        let world = world();
        for number in 0..250 {
            make_pod(&world, &format!("p{number}"), NODE);
        }
        let host = world.host(0);
        let pods = ListedPods::new(api(&host), NODE.to_owned());
        assert_eq!(names(&pods).await.unwrap().len(), 250);
        world.end();
    });
}

#[test]
fn an_event_is_shown_on_its_pod_and_where_it_is_refused_nothing_waits() {
    simulate(async {
        let world = world();
        let uid = make_pod(&world, "first", NODE);
        let pods = ListedPods::new(api(&world.host(0)), NODE.to_owned());
        let pod = Pod { namespace: "default".into(), name: "first".into(), uid: Some(uid) };
        let news = News { pod, reason: "AttachmentRestored", message: "again".into(), is_warning: false };
        let now = Duration::from_secs(1_700_000_000);
        assert_eq!(pods.tell(&news, now).await, Reception::Shown);
        let event = world.kube.get("Event", "default", &format!("first.{:x}", now.as_nanos())).unwrap();
        assert_eq!(
            (&event["involvedObject"]["name"], &event["source"]["host"]),
            (&json!("first"), &json!(NODE))
        );
        for fault in ["kube.down", "kube.unavailable"] {
            let id = world.faults.on(fault, Setting::default()).unwrap();
            let before = tokio::time::Instant::now();
            assert_eq!(pods.tell(&news, now).await, Reception::Failed, "{fault}");
            assert!(before.elapsed() <= Duration::from_secs(3), "{fault}");
            world.faults.off(id);
        }
        assert_eq!(pods.tell(&news, now).await, Reception::Shown, "it is tried again");
        // Nobody asks again whether the right has come: an operator who grants it loads the files anew.
        let id = world.faults.on("kube.forbidden", Setting::default()).unwrap();
        assert_eq!(pods.tell(&news, now).await, Reception::Forbidden);
        world.faults.off(id);
        assert_eq!(pods.tell(&news, now).await, Reception::Forbidden);
        let anew = ListedPods::new(api(&world.host(0)), NODE.to_owned());
        assert_eq!(anew.tell(&news, now + Duration::from_secs(1)).await, Reception::Shown);
        world.end();
    });
}

#[test]
fn two_passes_of_a_node_wait_for_each_other() {
    simulate(async {
        let world = world();
        let host = world.host(0);
        let directory = config_directory(NODE);
        let node = load_node(&*host.files, Some(&directory)).unwrap();
        let lock: Box<dyn LockGuard> =
            host.files.try_lock(&node.run_dir.join("audit.lock")).unwrap().unwrap();
        let pods = Arc::new(ListedPods::new(api(&host), NODE.to_owned()));
        let mut auditor = Auditor::new(host.clone(), Orchestrator::Kubernetes, node, Some(directory), pods);
        assert!(auditor.pass(Mode::default()).await.is_err());
        drop(lock);
        let report = auditor.pass(Mode::default()).await.unwrap();
        assert!(report.actions.is_empty() && report.foreign.entities > 0, "{report:?}");
        world.end();
    });
}
