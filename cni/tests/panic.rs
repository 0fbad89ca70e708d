//! A panic is a defect of the plugin; its caller gets one error object all the same. The executable unchanged, as it is
//! tested and as it is shipped (where a panic aborts): the kernel's answer to a call that cannot fail is replaced by an
//! error (strace), which ends tokio's reactor in a panic.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// Every call by which a reactor waits.
const WAITS: &str = "inject=epoll_wait,epoll_pwait,epoll_pwait2:error=EBADF";

fn call(starter: &[&str], executable: &Path, verb: &str, network: &Value) -> Output {
    let mut command = Command::new(starter[0]);
    command.args(&starter[1..]).arg(executable).env("CNI_COMMAND", verb);
    command.env("CNI_PATH", "/opt/cni/bin").env("CNI_CONTAINERID", "panic-test").env("CNI_IFNAME", "eth0");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(network.to_string().as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_panic_is_one_error_object_and_exit_code_1() {
    let executable = Path::new(env!("CARGO_BIN_EXE_nuage-cni-k8s"));
    ends_in_one_error("a_panic_is_one_error_object_and_exit_code_1", executable);
}

#[test]
fn a_panic_of_the_shipped_executable_is_one_error_object_and_exit_code_1() {
    const NAME: &str = "a_panic_of_the_shipped_executable_is_one_error_object_and_exit_code_1";
    let Some(directory) = std::env::var_os("NUAGE_DIST_DIR").map(PathBuf::from).filter(|path| path.is_dir())
    else {
        eprintln!("SKIPPED {NAME}: NUAGE_DIST_DIR with a static build (ci/test makes it)");
        return;
    };
    ends_in_one_error(NAME, &directory.join("nuage-cni-k8s"));
}

fn ends_in_one_error(name: &str, executable: &Path) {
    if !Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED {name}: strace");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().display();
    let socket = directory.path().join("db.sock");
    // A switch that takes connections and says nothing: the plugin waits for it.
    let _switch = UnixListener::bind(&socket).unwrap();
    let yaml = format!(
        "vrsendpoint: unix:{}\nstatedir: {root}/state\nrundir: {root}/run\nlogdir: {root}/log\n",
        socket.display()
    );
    std::fs::write(directory.path().join("nuage-cni.yaml"), yaml).unwrap();
    let network = json!({
        "cniVersion": "1.1.0", "name": "net", "type": "nuage-cni-k8s", "configDir": directory.path()
    });
    let trace = directory.path().join("trace");
    for verb in ["STATUS", "DEL"] {
        let starter = ["strace", "-f", "-qq", "-o", trace.to_str().unwrap(), "-e", WAITS];
        let output = call(&starter, executable, verb, &network);
        let shown = format!("{verb}: {output:?}");
        let error: Value = serde_json::from_slice(&output.stdout).expect(&shown);
        assert_eq!(output.status.code(), Some(1), "{shown}");
        assert_eq!(
            (error["cniVersion"].as_str(), error["code"].as_u64()),
            (Some("1.0.0"), Some(5)),
            "{shown}"
        );
        assert!(error["msg"].as_str().unwrap().contains("the plugin itself"), "{shown}");
        assert!(error["details"].as_str().unwrap().contains("panicked at"), "{shown}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}
