//! A node is upgraded while its pods come and go: the old audit runs, an ADD of the old plugin waits for the controller, and no
//! call of the runtime finds its plugin missing, half written or busy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

mod support;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use nuage_packager::{Format, Order, Product, Stock, contents, deb, redhat};
use serde_json::Value;
use support::site::{Namespace, Process, feed, has, network, variables};
use support::{Root, can_install, dist, dpkg, order, rpm, succeed};

const PLUGIN: &str = "usr/bin/nuage-cni-k8s";
/// Pods that come and go at once.
const RUNTIMES: usize = 3;

/// Lets the runtimes end, whatever ends the test.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The package for Kubernetes of a version, in its format.
fn package(format: Format, version: &str, executables: &Path, scratch: &Path) -> PathBuf {
    let order = Order { executables: executables.to_owned(), ..order(scratch, version, scratch) };
    let stock = Stock::gather(&order).unwrap();
    let (name, bytes) = match format {
        Format::Rpm => redhat::package(Product::Kubernetes, &order, &stock).unwrap(),
        Format::Deb => deb::package(Product::Kubernetes, &order, &stock).unwrap(),
    };
    fs::write(scratch.join(&name), bytes).unwrap();
    scratch.join(name)
}

/// The same executables with other bytes: what follows an ELF file's parts is never read.
fn newer(executables: &Path, scratch: &Path) -> PathBuf {
    let directory = scratch.join("newer");
    fs::create_dir(&directory).unwrap();
    for name in contents::EXECUTABLES {
        let path = directory.join(name);
        fs::copy(executables.join(name), &path).unwrap();
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"newer").unwrap();
    }
    directory
}

fn install(format: Format, root: &Root, package: &Path) {
    match format {
        Format::Rpm => succeed(rpm(root).args(["-U", "--nodeps"]).arg(package)),
        Format::Deb => succeed(dpkg(root).arg("-i").arg(package)),
    };
}

/// One call of a plugin, which has to succeed.
fn call(command: &mut Command, verb: &str, namespace: &Namespace, network: &str) -> Result<(), String> {
    command.env_clear().envs(variables(verb, namespace, "eth0"));
    let output = feed(command, network).map_err(|error| format!("{verb}: {error}"))?;
    let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{verb}: {}: {}", output.status, said.concat()))
    }
}

/// Calls again and again until `done`, counts, and says what has failed.
fn again_and_again(
    done: &AtomicBool,
    count: &AtomicUsize,
    mut once: impl FnMut() -> Result<(), String>,
) -> Vec<String> {
    let mut failures = Vec::new();
    while !done.load(Ordering::Relaxed) {
        failures.extend(once().err());
        count.fetch_add(1, Ordering::Relaxed);
    }
    failures
}

#[expect(clippy::disallowed_methods, reason = "a test of processes, on the time that they live in")]
fn pause() {
    thread::sleep(Duration::from_millis(10));
}

/// Waits until each has called so many times more.
fn wait(counts: &[AtomicUsize], more: usize) {
    let goals: Vec<usize> = counts.iter().map(|count| count.load(Ordering::Relaxed) + more).collect();
    while counts.iter().zip(&goals).any(|(count, goal)| count.load(Ordering::Relaxed) < *goal) {
        pause();
    }
}

fn calls(counts: &[AtomicUsize]) -> usize {
    counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
}

/// What the running emulator says of its faults.
fn fault(executables: &Path, site: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(executables.join("emulator"));
    succeed(command.arg("fault").args(arguments).arg("--dir").arg(site))
}

/// How often the one fault that is on has struck.
fn struck(told: &str) -> u64 {
    let told: Value = serde_json::from_str(told).unwrap();
    told["on"][0]["hits"].as_u64().unwrap()
}

#[test]
fn no_call_fails_while_its_plugin_is_upgraded_and_the_old_audit_runs_on_until_it_is_told() {
    let test = "no_call_fails_while_its_plugin_is_upgraded_and_the_old_audit_runs_on_until_it_is_told";
    let Some(executables) = dist() else {
        eprintln!("SKIPPED {test}: NUAGE_DIST_DIR with a static build (ci/test makes it)");
        return;
    };
    for (format, program) in [(Format::Rpm, "rpm"), (Format::Deb, "dpkg")] {
        if can_install(&format!("{test} ({program})"), program) && has(test, "ip") && has(test, "chroot") {
            upgrade(format, &executables);
        }
    }
}

fn upgrade(format: Format, executables: &Path) {
    let scratch = tempfile::tempdir().unwrap();
    let newer = newer(executables, scratch.path());
    let made = |version, executables: &Path| package(format, version, executables, scratch.path());
    let [first, second, third] = [("1.0.0", executables), ("1.1.0", &*newer), ("1.2.0", executables)]
        .map(|(version, executables)| made(version, executables));
    let site = scratch.path().join("site");
    let mut emulator = Command::new(executables.join("emulator"));
    let emulator = Process::start(emulator.arg("up").arg("--dir").arg(&site), "ready");
    let root = Root::new().with_systemd();
    install(format, &root, &first);
    let _ = root.calls();

    let mut audit = Command::new(root.path("usr/bin/nuage-audit"));
    audit.arg("--config-dir").arg(site.join("node")).args(["--node-name", "node-1", "run"]);
    let mut audit = Process(audit.spawn().unwrap());
    while !site.join("node/run/control.sock").exists() {
        assert!(audit.0.try_wait().unwrap().is_none(), "the audit has ended");
        pause();
    }
    let network = network(&site.join("node")).to_string();
    let slow = Namespace::new();
    let namespaces: Vec<Namespace> = (0..RUNTIMES).map(|_| Namespace::new()).collect();
    let done = AtomicBool::new(false);
    let counts: Vec<AtomicUsize> = (0..=RUNTIMES).map(|_| AtomicUsize::new(0)).collect();
    let plugin = root.path(PLUGIN);
    let mut found_waiting = false;
    let failures: Vec<String> = thread::scope(|scope| {
        let end = Done(&done);
        // An upgrade finds this one half done.
        fault(executables, &site, &["on", "vsc.never"]);
        let waiting = scope.spawn(|| call(&mut Command::new(&plugin), "ADD", &slow, &network));
        while struck(&fault(executables, &site, &["list", "--json"])) == 0 {
            pause();
        }
        let mut runtimes = Vec::new();
        for (namespace, count) in namespaces.iter().zip(&counts) {
            runtimes.push(scope.spawn(|| {
                again_and_again(&done, count, || {
                    ["ADD", "CHECK", "DEL"]
                        .iter()
                        .try_for_each(|verb| call(&mut Command::new(&plugin), verb, namespace, &network))
                })
            }));
        }
        // By the link, where runtimes look for plugins.
        runtimes.push(scope.spawn(|| {
            again_and_again(&done, &counts[RUNTIMES], || {
                let mut linked = Command::new("/usr/sbin/chroot");
                linked.arg(root.directory()).arg("/opt/cni/bin/nuage-cni-k8s");
                call(&mut linked, "VERSION", &slow, "{\"cniVersion\":\"1.0.0\"}")
            })
        }));
        wait(&counts[RUNTIMES..], 1);
        install(format, &root, &second);
        found_waiting = !waiting.is_finished();
        fault(executables, &site, &["off", "vsc.never"]);
        // And once more, while pods come and go.
        wait(&counts, 1);
        let before = calls(&counts);
        install(format, &root, &third);
        eprintln!("calls during an upgrade: {}", calls(&counts) - before);
        wait(&counts, 1);
        drop(end);
        let waited = waiting.join().unwrap().err();
        let of_runtimes = runtimes.into_iter().flat_map(|runtime| runtime.join().unwrap());
        waited.into_iter().chain(of_runtimes).collect()
    });
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(found_waiting, "the ADD that waited for the controller has waited for the upgrade, too");

    let installed = fs::read(&plugin).unwrap();
    assert!(installed == fs::read(executables.join("nuage-cni-k8s")).unwrap(), "it is the newest one");
    call(&mut Command::new(&plugin), "DEL", &slow, &network).unwrap();
    assert!(audit.0.try_wait().unwrap().is_none(), "the old audit runs on");
    let runs = fs::read_link(format!("/proc/{}/exe", audit.0.id())).unwrap();
    assert!(runs.to_string_lossy().ends_with(" (deleted)"), "{}", runs.display());
    let restart = ["systemctl daemon-reload", "systemctl --no-block try-restart nuage-cni.service"];
    assert_eq!(root.calls(), [restart, restart].concat(), "systemd starts the new one");
    audit.terminate();
    emulator.terminate();
}
