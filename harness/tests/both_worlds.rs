//! The same scenarios hold in the simulation and on this machine's kernel with the shipped executables, watched by the same
//! invariants; and whatever becomes of a run on this machine, nothing of it stays behind.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nuage_harness::error::Error;
use nuage_harness::run::{Report, run, run_on_host};
use nuage_harness::scenario::Scenario;
use nuage_harness::world::host::HostOptions;
use support::{executable, lacks};

const BEGIN: &str = "title = \"t\"\nwhy = \"w\"\n";
const HOLDS: &str = "[[expect]]\nkind = \"all_running\"\n[[expect]]\nkind = \"no_leaks\"\nwithin = \"60s\"\n";
const CHURN: &str = "[[load]]\nkind = \"churn\"\nrate = \"1/s\"\nduration = \"6s\"\nlifetime = \"1s..3s\"\n";

/// How often it is looked whether something is there.
const LOOK: Duration = Duration::from_millis(50);

/// What is carried out in both.
fn shared() -> Vec<(&'static str, String)> {
    let nodes = "[cluster]\nnodes = 2\nparallel = 2\n";
    let pods = "[[load]]\nkind = \"pod\"\ncount = 4\nhold = \"1s\"\n";
    let rollout =
        "[[load]]\nkind = \"deployment\"\nreplicas = 3\nupdates = 1\nupdate_after = \"1s\"\nhold = \"1s\"\n";
    let fault = |kind: &str| format!("{nodes}{CHURN}[[fault]]\nkind = \"{kind}\"\n");
    vec![
        ("pods come and go", format!("{nodes}{pods}")),
        ("a rolling update", format!("{nodes}{rollout}")),
        ("a switch restarts", format!("{}at = \"2s\"\nfor = \"2s\"\n", fault("vrs.restart"))),
        (
            "a switch restarts without its rows",
            format!("{}at = \"2s\"\nfor = \"1s\"\nlose_rows = true\n", fault("vrs.restart")),
        ),
        ("the monitor is down", format!("{}at = \"1s\"\nfor = \"3s\"\n", fault("monitor.down"))),
        (
            "the API server fails",
            format!("{}at = \"1s\"\nfor = \"3s\"\nchance = \"70%\"\n", fault("kube.error")),
        ),
        ("the controller answers 0.0.0.0 first", fault("vsc.zero_first")),
        ("plugins are killed", format!("{}chance = \"60%\"\n", fault("plugin.killed"))),
    ]
}

fn scenario(text: &str) -> Scenario {
    Scenario::parse("both.toml", &format!("{BEGIN}{text}{HOLDS}")).unwrap()
}

fn options() -> HostOptions {
    HostOptions::new(executable("nuage-cni-k8s").parent()).unwrap()
}

/// What of runs of a process is left on this machine.
fn left_of(process: u32) -> Vec<String> {
    let prefix = format!("nuage-run-{process}-");
    let names = |directory: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(directory).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let mut left = names(Path::new("/var/run/netns"));
    left.extend(names(&std::env::temp_dir()));
    left.retain(|name| name.starts_with(&prefix));
    left.extend(
        names(Path::new("/sys/class/net"))
            .into_iter()
            .filter(|name| name.starts_with(&format!("no{process}x"))),
    );
    left
}

fn on_host(text: &str, seed: u64) -> Report {
    run_on_host(&scenario(text), seed, &options()).unwrap()
}

// One test for all that runs in this process: what it leaves is told by the process.
#[test]
fn the_same_scenarios_hold_in_both_worlds_and_nothing_stays_behind() {
    if lacks("the_same_scenarios_hold_in_both_worlds_and_nothing_stays_behind", &["ip"]) {
        return;
    }
    for (what, text) in shared() {
        let simulated = run(&scenario(&text), 1).unwrap();
        assert!(simulated.passed(), "{what}, simulated: {:#?}", simulated.complaints());
        let real = on_host(&text, 1);
        assert!(real.passed(), "{what}: {:#?}\n{}", real.complaints(), real.trace.join("\n"));
        assert!(real.adds >= 3 && real.dels >= 6, "{what}: {} ADD, {} DEL", real.adds, real.dels);
        assert_eq!(left_of(std::process::id()), [""; 0], "{what}");
    }
    // One that fails stops where it fails, and leaves no more.
    let lies = lying_plugin("s/\"gateway\": \"[0-9.]*\"/\"gateway\": \"192.0.2.1\"/");
    let report =
        run_on_host(&scenario(&shared()[0].1), 1, &HostOptions::new(Some(lies.path())).unwrap()).unwrap();
    let violation = report.violation.as_ref().unwrap_or_else(|| panic!("{:#?}", report.complaints()));
    assert_eq!(violation.invariant, "add_result_equals_dataplane", "{violation:?}");
    assert!(report.replay().starts_with("harness run --world host --seed 1 "), "{}", report.replay());
    assert_eq!(left_of(std::process::id()), [""; 0]);
}

/// A directory with a plugin whose results are edited.
fn lying_plugin(edit: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let real = executable("nuage-cni-k8s");
    let script = format!(
        "#!/bin/sh\nout=$({})\ncode=$?\nprintf %s \"$out\" | sed '{edit}'\nexit $code\n",
        real.display()
    );
    let path = directory.path().join("nuage-cni-k8s");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

#[test]
fn what_a_machine_cannot_do_is_refused_before_anything_is_begun() {
    let options = HostOptions { bin_dir: PathBuf::from("/nowhere"), image: None, reported: false };
    for (text, why) in [
        (format!("{CHURN}[[fault]]\nkind = \"node.disk_full\"\n"), "node.disk_full needs --world sim"),
        (format!("{CHURN}[[fault]]\nkind = \"node.netns_gone\"\n"), "a real process has none"),
        (format!("{CHURN}[[fault]]\nkind = \"node.clock_jump\"\n"), "everybody's"),
        (
            format!("{CHURN}[[fault]]\nkind = \"plugin.killed\"\nmode = \"exhaustive\"\n"),
            "plugin.killed needs --world sim",
        ),
        ("[[load]]\nkind = \"pod\"\nhold = \"2h\"\n".to_owned(), "of virtual time"),
        (
            "[cluster]\nnodes = 60\n[[load]]\nkind = \"pod\"\ncount = 60\nhold = \"1s\"\n".to_owned(),
            "it has 60 nodes",
        ),
    ] {
        match run_on_host(&scenario(&text), 1, &options) {
            Err(Error::Lacking(found)) => assert!(found.contains(why), "{found}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

fn harness(arguments: &[&str]) -> Command {
    let mut command = Command::new(executable("harness"));
    command.args(["run", "--world", "host"]).args(arguments).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

#[test]
fn what_is_lacking_is_exit_code_4_and_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mine.toml");
    std::fs::write(&path, format!("{BEGIN}{CHURN}")).unwrap();
    let path = path.to_str().unwrap();
    for (arguments, why) in [
        (vec!["--bin-dir", "/nowhere", path], "/nowhere has no nuage-cni-k8s"),
        (vec!["--check-determinism", path], "--world sim"),
    ] {
        let output = harness(&arguments).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(4), "{told}");
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn without_an_engine_or_its_image_the_world_of_containers_is_lacking() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mine.toml");
    std::fs::write(&path, format!("{BEGIN}{CHURN}")).unwrap();
    let mut command = Command::new(executable("harness"));
    command.env("DOCKER_HOST", format!("unix://{}", directory.path().join("none.sock").display()));
    let output = command.args(["run", "--world", "containers"]).arg(&path).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{told}");
    assert!(told.contains("--world containers needs a Docker engine"), "{told}");
}

#[tokio::test]
async fn a_run_that_is_interrupted_takes_everything_away() {
    if lacks("a_run_that_is_interrupted_takes_everything_away", &["ip"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("long.toml");
    std::fs::write(&path, format!("{BEGIN}[[load]]\nkind = \"pod\"\ncount = 3\nhold = \"5m\"\n")).unwrap();
    let mut child = harness(&[path.to_str().unwrap()]).spawn().unwrap();
    let process = child.id();
    // The other driver's pod, and at least one of ours.
    while left_of(process).iter().filter(|name| !name.ends_with("-0")).count() < 3 {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        tokio::time::sleep(LOOK).await;
    }
    support::run("kill", &["-INT", &process.to_string()]);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(left_of(process), [""; 0]);
}
