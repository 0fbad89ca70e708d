//! Every operation of every call fails once, in every way, and is a killed process's last once, on every path that a call
//! can take: whatever happens, the DEL that follows brings the node back to what it was, and so does the one after it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

mod doubles;

use doubles::process::{Break, Process};
use doubles::{Node, Sandbox, code};
use serde_json::json;

const FAILURES: [Break; 3] = [Break::Refused, Break::AnswerLost, Break::Outage];
const KILLS: [Break; 2] = [Break::KilledBefore, Break::KilledAfter];
const ID: &str = "5ac67fbb6c72850d236e378dd495934d13b386931f9d4e12942df653be4e5b18";
/// The original's names of the port of that sandbox's eth0.
const ORIGINALS: [&str; 2] = ["nu7db556744f4c7", "07db556744f4c70"];

/// What a call finds.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Setting {
    /// Nothing.
    Fresh,
    /// The first interface of the sandbox.
    Second,
    /// The first interface of the sandbox, which the original made.
    BesideTheOriginal,
    /// A switch that knows IPv6, as the pod must.
    Dual,
    /// What another plugin of the list made.
    Chained,
    /// What an ADD of an earlier boot left.
    Leftovers,
}

const SETTINGS: [Setting; 6] = [
    Setting::Fresh,
    Setting::Second,
    Setting::BesideTheOriginal,
    Setting::Dual,
    Setting::Chained,
    Setting::Leftovers,
];

fn first() -> Sandbox {
    Sandbox::new(ID, "web")
}

impl Setting {
    fn sandbox(self) -> Sandbox {
        match self {
            Self::Fresh | Self::Leftovers => first(),
            Self::Second | Self::BesideTheOriginal => first().interface("net1"),
            Self::Dual => first().with(json!({"ipFamilies": ["IPv4", "IPv6"]})),
            Self::Chained => first().with(json!({"prevResult": {
                "interfaces": [{"name": "other0", "sandbox": "/x"}], "ips": [{"address": "192.0.2.1/32"}]
            }})),
        }
    }

    async fn node(self) -> Node {
        let node = Node::new();
        match self {
            Self::Fresh | Self::Chained => {}
            Self::Second => add(&node, &first()).await,
            Self::BesideTheOriginal => node.attach_as_the_original(&first(), ORIGINALS[0]),
            Self::Dual => node.switch.know_ipv6(),
            Self::Leftovers => {
                add(&node, &first()).await;
                node.boot("boot-2");
            }
        }
        node
    }

    /// What is there when the attachment is not.
    fn without(self, found: Vec<String>) -> Vec<String> {
        if self == Self::Leftovers { Vec::new() } else { found }
    }
}

async fn add(node: &Node, sandbox: &Sandbox) {
    let outcome = node.add(sandbox).await;
    assert_eq!(code(&outcome), 0, "{outcome:?}");
}

/// Counts what was tried, prints it, and asserts that it was no less than it must be.
struct Count {
    what: &'static str,
    tried: usize,
}

impl Count {
    fn new(what: &'static str) -> Self {
        Self { what, tried: 0 }
    }
}

impl Count {
    fn report(&self, least: usize) {
        eprintln!("{}: {} cases, none skipped", self.what, self.tried);
        assert!(self.tried >= least, "{}: {}", self.what, self.tried);
    }
}

/// The operations of a call in which nothing goes wrong.
async fn operations(setting: Setting, command: &str) -> Vec<String> {
    let (node, process) = (setting.node().await, Process::sound());
    if command == "DEL" {
        add(&node, &setting.sandbox()).await;
    }
    let outcome = node.call(&process, command, &setting.sandbox()).await.unwrap();
    assert_eq!(code(&outcome), 0, "{outcome:?}");
    process.operations()
}

/// Two DELs, each of which leaves what there was without the attachment.
async fn assert_deleted(node: &Node, sandbox: &Sandbox, clean: &[String], at: &str) {
    for round in ["once", "twice"] {
        node.del(sandbox).await;
        assert_eq!(node.left(), clean, "{at}: {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_add_makes_everything_and_a_del_takes_all_of_it_away() {
    let node = Node::new();
    assert!(node.left().is_empty());
    let outcome = node.add(&first()).await;
    assert_eq!(code(&outcome), 0, "{outcome:?}");
    assert_eq!(node.left().len(), 8, "{:#?}", node.left());
    assert_deleted(&node, &first(), &[], "a DEL").await;
}

#[tokio::test(start_paused = true)]
async fn an_add_that_fails_at_any_step_leaves_nothing_or_it_is_in_the_journal() {
    let mut count = Count::new("ADD: failures");
    for setting in SETTINGS {
        for (index, name) in operations(setting, "ADD").await.iter().enumerate() {
            for how in FAILURES {
                let (node, process) = (setting.node().await, Process::broken(index, how));
                let found = node.left();
                let (records, clean) = (node.journal().len(), setting.without(found.clone()));
                let sandbox = setting.sandbox();
                let outcome = node.call(&process, "ADD", &sandbox).await.unwrap();
                let at = format!("{setting:?}: operation {index} ({name}): {how:?}: {outcome:?}");
                let left = node.left();
                if outcome.exit_code != 0 {
                    // What was found before the first step is as it was, or gone.
                    let untouched = left == clean || left == found;
                    let in_journal = setting == Setting::Leftovers || node.journal().len() > records;
                    assert!(untouched || in_journal, "{at}: {left:#?}");
                    // Only what is broken for longer than the call can be owed.
                    assert!(untouched || how != Break::Refused, "{at}: {left:#?}");
                }
                assert_deleted(&node, &sandbox, &clean, &at).await;
                count.tried += 1;
            }
        }
    }
    count.report(6 * 15 * 3);
}

#[tokio::test(start_paused = true)]
async fn an_add_that_is_killed_at_any_step_is_undone_by_the_del_that_follows() {
    let mut count = Count::new("ADD: kills, then DEL");
    for setting in SETTINGS {
        for (index, name) in operations(setting, "ADD").await.iter().enumerate() {
            for how in KILLS {
                let (node, process) = (setting.node().await, Process::broken(index, how));
                let clean = setting.without(node.left());
                let sandbox = setting.sandbox();
                let at = format!("{setting:?}: operation {index} ({name}): {how:?}");
                assert_eq!(node.call(&process, "ADD", &sandbox).await, None, "{at}");
                assert_deleted(&node, &sandbox, &clean, &at).await;
                count.tried += 1;
            }
        }
    }
    count.report(6 * 15 * 2);
}

#[tokio::test(start_paused = true)]
async fn an_add_that_is_killed_at_any_step_is_made_good_by_the_next_add() {
    let mut count = Count::new("ADD: kills, then ADD");
    for setting in SETTINGS {
        let whole = setting.node().await;
        add(&whole, &setting.sandbox()).await;
        for (index, name) in operations(setting, "ADD").await.iter().enumerate() {
            for how in KILLS {
                let (node, process) = (setting.node().await, Process::broken(index, how));
                let clean = setting.without(node.left());
                let sandbox = setting.sandbox();
                let at = format!("{setting:?}: operation {index} ({name}): {how:?}");
                assert_eq!(node.call(&process, "ADD", &sandbox).await, None, "{at}");
                let again = node.add(&sandbox).await;
                // What was complete but for its answer is up, and is left alone.
                let complete = node.left().len() == whole.left().len() && code(&again) == 100;
                assert!(code(&again) == 0 || complete, "{at}: {again:?}");
                assert_deleted(&node, &sandbox, &clean, &at).await;
                count.tried += 1;
            }
        }
    }
    count.report(6 * 15 * 2);
}

#[tokio::test(start_paused = true)]
async fn a_del_that_fails_at_any_step_succeeds_and_the_next_one_ends_it() {
    let mut count = Count::new("DEL: failures");
    for setting in SETTINGS {
        for (index, name) in operations(setting, "DEL").await.iter().enumerate() {
            for how in FAILURES {
                let (node, process) = (setting.node().await, Process::broken(index, how));
                let (records, clean) = (node.journal().len(), setting.without(node.left()));
                let sandbox = setting.sandbox();
                add(&node, &sandbox).await;
                let outcome = node.call(&process, "DEL", &sandbox).await.unwrap();
                let at = format!("{setting:?}: operation {index} ({name}): {how:?}: {outcome:?}");
                // The configuration says where everything is: only without it nothing can be done.
                assert!(outcome.exit_code == 0 || index == 0, "{at}");
                let (left, journal) = (node.left(), node.journal());
                let in_journal = setting == Setting::Leftovers || journal.len() > records;
                assert!(left == clean || in_journal, "{at}: {left:#?}");
                assert_deleted(&node, &sandbox, &clean, &at).await;
                count.tried += 1;
            }
        }
    }
    count.report(6 * 10 * 3);
}

#[tokio::test(start_paused = true)]
async fn a_del_that_is_killed_at_any_step_is_ended_by_the_next_one() {
    let mut count = Count::new("DEL: kills");
    for setting in SETTINGS {
        for (index, name) in operations(setting, "DEL").await.iter().enumerate() {
            for how in KILLS {
                let (node, process) = (setting.node().await, Process::broken(index, how));
                let clean = setting.without(node.left());
                let sandbox = setting.sandbox();
                add(&node, &sandbox).await;
                let at = format!("{setting:?}: operation {index} ({name}): {how:?}");
                assert_eq!(node.call(&process, "DEL", &sandbox).await, None, "{at}");
                assert_deleted(&node, &sandbox, &clean, &at).await;
                count.tried += 1;
            }
        }
    }
    count.report(6 * 10 * 2);
}

#[tokio::test(start_paused = true)]
async fn a_del_of_the_originals_that_fails_or_is_killed_at_any_step_is_ended_by_the_next_one() {
    let mut count = Count::new("DEL of the original's");
    for port in ORIGINALS {
        let prepare = || {
            let node = Node::new();
            node.attach_as_the_original(&first(), port);
            node
        };
        let sound = Process::sound();
        prepare().call(&sound, "DEL", &first()).await.unwrap();
        for (index, name) in sound.operations().iter().enumerate() {
            for how in FAILURES.into_iter().chain(KILLS) {
                let (node, process) = (prepare(), Process::broken(index, how));
                let outcome = node.call(&process, "DEL", &first()).await;
                let at = format!("{port}: operation {index} ({name}): {how:?}: {outcome:?}");
                let killed = KILLS.contains(&how);
                assert_eq!(outcome.is_none(), killed, "{at}");
                assert!(killed || index == 0 || outcome.unwrap().exit_code == 0, "{at}");
                // Once the rows are gone nothing tells any more that the monitor counted the pod, unless it could be
                // written down.
                let forgetful = killed || (how == Break::Outage && name.starts_with("files"));
                for round in ["once", "twice"] {
                    node.del(&first()).await;
                    let left: Vec<String> = node
                        .left()
                        .into_iter()
                        .filter(|left| !(forgetful && left.starts_with("counted")))
                        .collect();
                    assert!(left.is_empty(), "{at}: {round}: {left:#?}");
                }
                count.tried += 1;
            }
        }
    }
    count.report(2 * 10 * 5);
}

#[tokio::test(start_paused = true)]
async fn an_add_that_nobody_resolves_fails_in_time_and_leaves_nothing() {
    let node = Node::new();
    node.switch.resolve_in(None);
    let started = tokio::time::Instant::now();
    let outcome = node.add(&first()).await;
    assert_eq!(code(&outcome), 101, "{outcome:?}");
    let took = started.elapsed().as_secs();
    assert!((60..62).contains(&took), "portresolvetimer is 60 s: {took}");
    assert!(node.left().is_empty(), "{:#?}", node.left());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_with_the_row_is_not_missed() {
    let node = Node::new();
    node.switch.resolve_in(Some(std::time::Duration::ZERO));
    for index in 0..20 {
        let one = Sandbox::new(&format!("0a{index}"), &format!("web-{index}"));
        assert_eq!(code(&node.add(&one).await), 0);
    }
}
