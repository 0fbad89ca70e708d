//! A model of a node under random life: pods come and go, plugins are killed, switch, API server and monitor go away, the daemon,
//! the switch and the node restart. Always: nothing that lives and nothing of others is touched. Finally: what is on the node is
//! what lives, whole.

use std::collections::BTreeMap;

use nuage_cni::audit::Mode;
use nuage_cni::audit::containers::Life;
use nuage_cni::audit::report::Remembered;
use proptest::prelude::*;
use proptest::test_runner::Config;
use serde_json::Value;

use crate::doubles::process::{Break, Process};
use crate::doubles::seams::held;
use crate::doubles::switch::Presence;
use crate::site::{Api, ENOUGH, Site, simulate};

/// How many sequences `ci/test` runs.
const SEQUENCES: u32 = 1_000;
const LONGEST: usize = 12;

/// Something that happens on the node.
#[derive(Clone, Debug)]
enum Step {
    /// A pod comes; its plugin may be killed at that operation.
    Start {
        name: usize,
        killed: Option<usize>,
    },
    /// A pod goes. Its DEL may be killed, or never be called.
    Stop {
        which: usize,
        del: Del,
    },
    /// A pod ends by itself, and its sandbox with it; nobody calls DEL.
    Finish {
        which: usize,
    },
    /// A pod's sandbox dies; the runtime makes another one and forgets the old.
    Resandbox {
        which: usize,
    },
    Switch(Presence),
    LoseRows,
    Monitor(Presence),
    Api(Api),
    RestartDaemon,
    Reboot,
    Pass,
}

#[derive(Clone, Copy, Debug)]
enum Del {
    Called,
    KilledAt(usize),
    Never,
}

fn step() -> impl Strategy<Value = Step> {
    let which = 0..4_usize;
    let del = prop_oneof![
        3 => Just(Del::Called),
        2 => (0..14_usize).prop_map(Del::KilledAt),
        1 => Just(Del::Never),
    ];
    prop_oneof![
        6 => (0..3_usize, proptest::option::weighted(0.4, 0..32_usize)).prop_map(|(name, killed)| Step::Start { name, killed }),
        4 => (which.clone(), del).prop_map(|(which, del)| Step::Stop { which, del }),
        1 => which.clone().prop_map(|which| Step::Finish { which }),
        2 => which.prop_map(|which| Step::Resandbox { which }),
        2 => prop_oneof![2 => Just(Presence::Up), 1 => Just(Presence::Away)].prop_map(Step::Switch),
        1 => Just(Step::LoseRows),
        2 => prop_oneof![2 => Just(Presence::Up), 1 => Just(Presence::Away)].prop_map(Step::Monitor),
        3 => prop_oneof![Just(Api::Up), Just(Api::Down), Just(Api::Empty), Just(Api::Stale)].prop_map(Step::Api),
        1 => Just(Step::RestartDaemon),
        1 => Just(Step::Reboot),
        6 => Just(Step::Pass),
    ]
}

/// A pod of the model.
#[derive(Clone, Debug)]
struct Pod {
    name: String,
    uid: String,
    /// Its sandbox, while it is attached.
    sandbox: Option<String>,
    /// What its record said when it was attached.
    record: Value,
    /// Its port.
    port: String,
    /// The switch has lost its rows since.
    lost: bool,
}

struct Model {
    site: Site,
    pods: Vec<Pod>,
    made: usize,
    boots: usize,
    foreign: Vec<Value>,
}

impl Model {
    fn new() -> Self {
        let site = Site::new();
        let foreign = site.foreign();
        // A node is never without any pod.
        site.pod("kube-system", "proxy", "uid-proxy");
        site.change_pod("uid-proxy", |pod| pod.host_network = true);
        Self { site, pods: Vec::new(), made: 0, boots: 1, foreign }
    }

    fn record(&self, sandbox: &str) -> Option<Value> {
        self.site.node.journal().into_iter().find(|record| record["container_id"] == sandbox)
    }

    /// A new sandbox for a pod; its ADD may be killed.
    async fn attach(&mut self, index: usize, killed: Option<usize>) {
        self.made += 1;
        let sandbox = format!("s{}", self.made);
        let pod = self.pods[index].clone();
        let process = killed.map_or_else(Process::sound, |at| Process::broken(at, Break::KilledAfter));
        let done = self.site.call(&process, "ADD", &sandbox, ("shop", &pod.name, &pod.uid)).await;
        if done != Some(true) {
            // A runtime that was not killed itself throws the sandbox away; here it never calls DEL.
            self.site.remove_sandbox(&sandbox);
            return;
        }
        self.site.change_pod(&pod.uid, |pod| pod.life = Life::Running);
        let record = self.record(&sandbox).unwrap();
        let port = record["port_name"].as_str().unwrap().to_owned();
        self.pods[index] = Pod { sandbox: Some(sandbox), record, port, lost: false, ..pod };
    }

    async fn take(&mut self, step: Step) {
        let which = |which: usize, pods: &[Pod]| (!pods.is_empty()).then(|| which % pods.len());
        match step {
            Step::Start { name, killed } => {
                let name = format!("web-{name}");
                if self.pods.iter().any(|pod| pod.name == name) {
                    return;
                }
                self.made += 1;
                let uid = format!("uid-{}", self.made);
                self.site.pod("shop", &name, &uid);
                self.site.change_pod(&uid, |pod| pod.life = Life::Pending);
                self.pods.push(Pod {
                    name,
                    uid,
                    sandbox: None,
                    record: Value::Null,
                    port: String::new(),
                    lost: false,
                });
                self.attach(self.pods.len() - 1, killed).await;
            }
            Step::Stop { which: number, del } => {
                let Some(index) = which(number, &self.pods) else { return };
                let pod = self.pods.remove(index);
                if let Some(sandbox) = &pod.sandbox {
                    let process = match del {
                        Del::KilledAt(at) => Process::broken(at, Break::KilledAfter),
                        Del::Called | Del::Never => Process::sound(),
                    };
                    if !matches!(del, Del::Never) {
                        let names = ("shop", pod.name.as_str(), pod.uid.as_str());
                        self.site.call(&process, "DEL", sandbox, names).await;
                    }
                    self.site.remove_sandbox(sandbox);
                }
                self.site.forget_pod(&pod.uid);
            }
            Step::Finish { which: number } => {
                let Some(index) = which(number, &self.pods) else { return };
                let pod = self.pods.remove(index);
                self.site.change_pod(&pod.uid, |pod| pod.life = Life::Finished);
                if let Some(sandbox) = &pod.sandbox {
                    self.site.remove_sandbox(sandbox);
                }
            }
            Step::Resandbox { which: number } => {
                let Some(index) = which(number, &self.pods) else { return };
                if let Some(sandbox) = self.pods[index].sandbox.take() {
                    self.site.remove_sandbox(&sandbox);
                }
                self.attach(index, None).await;
            }
            Step::Switch(presence) => self.site.node.switch.set_presence(presence),
            Step::LoseRows => {
                self.site.lose_rows();
                self.pods.iter_mut().for_each(|pod| pod.lost = true);
            }
            Step::Monitor(presence) => self.site.node.set_monitor(presence),
            Step::Api(api) => self.site.set_api(api),
            Step::RestartDaemon => self.site.restart_daemon(),
            Step::Reboot => {
                self.boots += 1;
                self.site.node.boot(&format!("boot-{}", self.boots));
                self.pods.iter_mut().for_each(|pod| pod.sandbox = None);
            }
            Step::Pass => drop(self.site.pass().await),
        }
    }

    /// Nothing that lives and nothing of others was touched.
    fn check(&mut self, after: &str) {
        assert_eq!(self.site.foreign(), self.foreign, "{after}: rows of others");
        let ports = self.site.ports();
        let links: BTreeMap<String, u64> = held(&self.site.node.kernel.pairs)
            .iter()
            .map(|(name, (inode, _))| (name.clone(), *inode))
            .collect();
        for pod in &mut self.pods {
            let Some(sandbox) = &pod.sandbox else { continue };
            assert!(links.contains_key(&pod.port), "{after}: the link of {pod:?} is gone");
            let now = self.site.node.journal().into_iter().find(|record| record["container_id"] == **sandbox);
            assert_eq!(now.as_ref(), Some(&pod.record), "{after}: the record of {pod:?}");
            assert!(pod.lost || ports.contains(&pod.port), "{after}: the rows of {pod:?} are gone");
        }
    }

    /// Everything heals; the audit alone brings the node to what lives.
    async fn settle(&mut self) {
        self.site.node.switch.set_presence(Presence::Up);
        self.site.node.set_monitor(Presence::Up);
        self.site.set_api(Api::Up);
        for index in 0..self.pods.len() {
            if self.pods[index].sandbox.is_none() {
                self.attach(index, None).await;
            }
        }
        // Debts are tried again at pauses that grow to ten minutes.
        let mut remembered = Remembered::default();
        for _ in 0..ENOUGH + 12 {
            tokio::time::sleep(crate::site::INTERVAL).await;
            let report = self.site.auditor.pass(Mode { dry_run: false, confirmed: true }).await.unwrap();
            remembered = report.remembered;
        }
        self.check("in the end");
        assert_eq!((remembered.sightings, remembered.debts), (0, 0), "what is over is forgotten");
        let alive: Vec<&Pod> = self.pods.iter().filter(|pod| pod.sandbox.is_some()).collect();
        assert_eq!(alive.len(), self.pods.len(), "every pod is attached");
        let ports: Vec<&String> = alive.iter().map(|pod| &pod.port).collect();
        let left = self.site.left();
        for what in &left {
            let owned = ports.iter().any(|port| what.contains(port.as_str()))
                || alive.iter().any(|pod| *what == format!("counted shop/{}", pod.name));
            assert!(owned, "left: {what}");
        }
        for pod in &alive {
            for part in ["Port:", "Nuage_Port_Table:", "Nuage_VM_Table:", "link ", "journal: "] {
                let there = left.iter().any(|what| what.starts_with(part) && what.contains(&pod.port));
                assert!(there, "{part} of {pod:?}: {left:#?}");
            }
            assert!(left.contains(&format!("counted shop/{}", pod.name)), "{pod:?} is counted: {left:#?}");
        }
    }
}

fn sequences() -> u32 {
    // More of them in ci/soak.
    std::env::var("NUAGE_AUDIT_SEQUENCES").ok().and_then(|text| text.parse().ok()).unwrap_or(SEQUENCES)
}

proptest! {
    #![proptest_config(Config { cases: sequences(), failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() })]

    #[test]
    fn nothing_that_lives_is_ever_touched_and_in_the_end_nothing_else_is_there(
        steps in proptest::collection::vec(step(), 1..=LONGEST)
    ) {
        simulate(async {
            let mut model = Model::new();
            for step in steps {
                let after = format!("{step:?}");
                model.take(step).await;
                model.check(&after);
            }
            model.settle().await;
        });
    }
}
