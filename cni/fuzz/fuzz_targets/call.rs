//! Any environment and standard input: one valid answer, or nothing where nothing is to be said; never a panic.
//! The input is `NAME=value` lines, an empty line, and the standard input (`prevResult` and all).
#![no_main]

#[path = "../../tests/doubles/mod.rs"]
mod doubles;

use std::collections::BTreeMap;

use doubles::process::Process;
use doubles::{Node, Sandbox, answer};
use libfuzzer_sys::fuzz_target;
use nuage_cni::orchestrator::Orchestrator;
use nuage_cni::{Invocation, invoke};

fuzz_target!(|input: &[u8]| {
    let Some((orchestrator, input)) = input.split_first() else { return };
    let orchestrator = match orchestrator % 3 {
        0 => Orchestrator::Kubernetes,
        1 => Orchestrator::OpenShift,
        _ => Orchestrator::Mesos,
    };
    let end = input.windows(2).position(|two| two == b"\n\n").unwrap_or(input.len());
    let (variables, stdin) = input.split_at(end);
    let variables = String::from_utf8_lossy(variables);
    let environment: BTreeMap<String, String> = variables
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (format!("CNI_{name}"), value.to_owned()))
        .collect();
    let command = environment.get("CNI_COMMAND").cloned().unwrap_or_default();
    let stdin = stdin.strip_prefix(b"\n\n").unwrap_or(stdin).to_vec();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let outcome = runtime.expect("a runtime").block_on(async {
        let node = Node::new();
        node.environment("ADD", &Sandbox::new("s1", "web-0"));
        invoke(&node.host(&Process::sound()), Invocation { orchestrator, environment, stdin }).await
    });
    assert_eq!(answer::problem(&command, &outcome), None);
});
