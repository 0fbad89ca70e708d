//! Every operation of every call fails once, in every way, and is a killed process's last once: whatever happens, the
//! DEL that follows brings the node back to nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod doubles;

use doubles::process::{Break, Process};
use doubles::{Node, Sandbox, code};

const FAILURES: [Break; 3] = [Break::Refused, Break::AnswerLost, Break::Outage];
const KILLS: [Break; 2] = [Break::KilledBefore, Break::KilledAfter];

fn sandbox() -> Sandbox {
    Sandbox::new("0a1b2c3d", "web")
}

/// How many operations a call has when nothing goes wrong, and their names.
async fn operations(command: &str, attached: bool) -> Vec<String> {
    let (node, process) = (Node::new(), Process::sound());
    if attached {
        assert_eq!(code(&node.add(&sandbox()).await), 0);
    }
    let outcome = node.call(&process, command, &sandbox()).await.unwrap();
    assert_eq!(code(&outcome), 0, "{outcome:?}");
    process.operations()
}

#[tokio::test(start_paused = true)]
async fn an_add_makes_everything_and_a_del_takes_all_of_it_away() {
    let node = Node::new();
    assert!(node.left().is_empty());
    let outcome = node.add(&sandbox()).await;
    assert_eq!(code(&outcome), 0, "{outcome:?}");
    assert_eq!(node.left().len(), 8, "{:#?}", node.left());
    node.del(&sandbox()).await;
    assert!(node.left().is_empty(), "{:#?}", node.left());
    node.del(&sandbox()).await;
    assert!(node.left().is_empty(), "{:#?}", node.left());
}

#[tokio::test(start_paused = true)]
async fn an_add_that_fails_at_any_step_leaves_nothing_or_it_is_in_the_journal() {
    let names = operations("ADD", false).await;
    assert!(names.len() > 15, "{names:?}");
    for (index, name) in names.iter().enumerate() {
        for how in FAILURES {
            let (node, process) = (Node::new(), Process::broken(index, how));
            let outcome = node.call(&process, "ADD", &sandbox()).await.unwrap();
            let at = format!("operation {index} ({name}): {how:?}: {outcome:?}");
            let left = node.left();
            if outcome.exit_code != 0 {
                let in_journal = !node.journal().is_empty();
                assert!(left.is_empty() || in_journal, "{at}: {left:#?}");
                // Only what is broken for longer than the call can be owed.
                assert!(left.is_empty() || how != Break::Refused, "{at}: {left:#?}");
            }
            node.del(&sandbox()).await;
            assert!(node.left().is_empty(), "{at}: {:#?}", node.left());
            node.del(&sandbox()).await;
            assert!(node.left().is_empty(), "{at}: twice: {:#?}", node.left());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_add_that_is_killed_at_any_step_is_undone_by_the_del_that_follows() {
    for (index, name) in operations("ADD", false).await.iter().enumerate() {
        for how in KILLS {
            let (node, process) = (Node::new(), Process::broken(index, how));
            assert_eq!(node.call(&process, "ADD", &sandbox()).await, None, "{name}: {how:?}");
            let found = node.left();
            node.del(&sandbox()).await;
            let at = format!("operation {index} ({name}): {how:?}: {found:#?}");
            assert!(node.left().is_empty(), "{at}: {:#?}", node.left());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_add_that_is_killed_at_any_step_is_made_good_by_the_next_add() {
    for (index, name) in operations("ADD", false).await.iter().enumerate() {
        for how in KILLS {
            let (node, process) = (Node::new(), Process::broken(index, how));
            assert_eq!(node.call(&process, "ADD", &sandbox()).await, None, "{name}: {how:?}");
            let again = node.add(&sandbox()).await;
            // What was complete but for its answer is up, and is left alone.
            let complete = node.left().len() == 8 && code(&again) == 100;
            assert!(code(&again) == 0 || complete, "operation {index} ({name}): {how:?}: {again:?}");
            node.del(&sandbox()).await;
            assert!(node.left().is_empty(), "operation {index} ({name}): {how:?}: {:#?}", node.left());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_del_that_fails_at_any_step_succeeds_and_the_next_one_ends_it() {
    for (index, name) in operations("DEL", true).await.iter().enumerate() {
        for how in FAILURES {
            let (node, process) = (Node::new(), Process::broken(index, how));
            assert_eq!(code(&node.add(&sandbox()).await), 0);
            let outcome = node.call(&process, "DEL", &sandbox()).await.unwrap();
            let at = format!("operation {index} ({name}): {how:?}: {outcome:?}");
            // The configuration says where everything is: only without it nothing can be done.
            assert!(outcome.exit_code == 0 || index == 0, "{at}");
            let (left, journal) = (node.left(), node.journal());
            assert!(left.is_empty() || !journal.is_empty(), "{at}: {left:#?}");
            node.del(&sandbox()).await;
            assert!(node.left().is_empty(), "{at}: {:#?}", node.left());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_del_that_is_killed_at_any_step_is_ended_by_the_next_one() {
    for (index, name) in operations("DEL", true).await.iter().enumerate() {
        for how in KILLS {
            let (node, process) = (Node::new(), Process::broken(index, how));
            assert_eq!(code(&node.add(&sandbox()).await), 0);
            assert_eq!(node.call(&process, "DEL", &sandbox()).await, None, "{name}: {how:?}");
            node.del(&sandbox()).await;
            assert!(node.left().is_empty(), "operation {index} ({name}): {how:?}: {:#?}", node.left());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_add_that_nobody_resolves_fails_in_time_and_leaves_nothing() {
    let node = Node::new();
    node.switch.resolve_in(None);
    let started = tokio::time::Instant::now();
    let outcome = node.add(&sandbox()).await;
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
