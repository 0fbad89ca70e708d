//! A real podman with its CNI back end runs containers in the overlay: no Kubernetes, so the network configuration says where they go
//! (`nuage`), and what is asked for on podman's command line is what they get.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::json;
use support::site::Site;
use support::site::walk;
use support::{executable, image, isolated, lacks, rows, run, show};

const IMAGE: &str = "localhost/test/busybox:1";

/// A podman with storage and configuration of its own; what it runs ends with it.
struct Podman {
    directory: PathBuf,
    cgroup: String,
}

impl Podman {
    fn new(directory: &Path, site: &Site) -> Self {
        let path = |name: &str| directory.join(name).display().to_string();
        for name in ["bin", "net.d", "home", "temporary"] {
            fs::create_dir_all(directory.join(name)).unwrap();
        }
        let plugin = directory.join("bin/nuage-cni-k8s");
        std::os::unix::fs::symlink(executable("nuage-cni-k8s"), plugin).unwrap();
        let place = json!({
            "enterprise": "K8S-Enterprise", "domain": "K8S-Domain", "zone": "default", "network": "default-0",
            "user": "k8s-admin",
        });
        let plugin = json!({
            "type": "nuage-cni-k8s", "configDir": site.node(), "nuage": place
        });
        let list = json!({"cniVersion": "1.0.0", "name": "nuage", "plugins": [plugin]});
        fs::write(directory.join("net.d/10-nuage.conflist"), list.to_string()).unwrap();
        let conf = format!(
            "[network]\nnetwork_backend = \"cni\"\nnetwork_config_dir = \"{}\"\ncni_plugin_dirs = [\"{}\"]\n\
             default_network = \"nuage\"\n\
             [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nlock_type = \"file\"\n\
             tmp_dir = \"{}\"\n\
             [containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\napparmor_profile = \"\"\n\
             default_capabilities = [\"CHOWN\", \"NET_RAW\"]\n",
            path("net.d"),
            path("bin"),
            path("temporary"),
        );
        fs::write(directory.join("containers.conf"), conf).unwrap();
        let storage = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
            path("root"),
            path("run")
        );
        fs::write(directory.join("storage.conf"), storage).unwrap();
        let policy = directory.join("home/.config/containers/policy.json");
        fs::create_dir_all(policy.parent().unwrap()).unwrap();
        fs::write(policy, r#"{"default": [{"type": "insecureAcceptAnything"}]}"#).unwrap();
        let podman =
            Self { directory: directory.to_owned(), cgroup: format!("/nuage-test-{}", std::process::id()) };
        image::make(directory);
        podman.run(&["import", &path("layer.tar"), IMAGE]);
        podman
    }

    fn call(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("podman");
        command.env("CONTAINERS_CONF", self.directory.join("containers.conf"));
        command.env("CONTAINERS_STORAGE_CONF", self.directory.join("storage.conf"));
        command.env("HOME", self.directory.join("home"));
        command.args(["--runtime", "runc"]).args(arguments).output().unwrap()
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = self.call(arguments);
        assert!(output.status.success(), "podman {arguments:?}: {}", show(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Starts a container that waits, with these options; its id.
    fn start(&self, name: &str, options: &[&str]) -> String {
        let fixed = ["run", "--detach", "--name", name, "--cgroup-parent", &self.cgroup];
        self.run(&[&fixed[..], options, &[IMAGE, "/bin/busybox", "sleep", "600"]].concat())
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = self.call(&["rm", "--all", "--force", "--time", "0"]);
        let _ = self.call(&["rmi", "--all", "--force"]);
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let own = self.directory.display().to_string();
        for place in
            mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|at| at.starts_with(&own))
        {
            let _ = Command::new("umount").args(["-l", place]).status();
        }
        let script =
            format!("find /sys/fs/cgroup -depth -type d -path '*{}*' -exec rmdir {{}} +", self.cgroup);
        let _ = Command::new("sh").args(["-c", &script]).output();
    }
}

/// The port of a container, by the row of its entity.
async fn port(site: &Site, id: &str) -> String {
    let entities = rows(&site.switch, "Nuage_VM_Table").await;
    let row = entities.iter().find(|row| row["vm_uuid"] == id).unwrap_or_else(|| panic!("{entities:?}"));
    row["ports"].as_str().unwrap().to_owned()
}

#[test]
fn what_podman_runs_is_where_its_network_says_and_has_what_was_asked_for() {
    let test = "what_podman_runs_is_where_its_network_says_and_has_what_was_asked_for";
    if lacks(test, &["ip", "podman", "conmon", "runc", "ovs-vsctl"]) || !image::can_be_made(test) {
        return;
    }
    isolated(attached);
}

async fn attached() {
    let site = Site::emulated();
    // An address that cannot be had is told of soon.
    let file = site.node().join("nuage-cni.yaml");
    let yaml = fs::read_to_string(&file).unwrap();
    fs::write(&file, yaml.replace("portresolvetimer: 60", "portresolvetimer: 3")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let podman = Podman::new(directory.path(), &site);

    // One that says what it has, and ends.
    let command = ["/bin/busybox", "ip", "-4", "address", "show", "dev", "eth0"];
    let all = [&["run", "--rm", "--cgroup-parent", &podman.cgroup, IMAGE][..], &command].concat();
    let shown = podman.run(&all);
    assert!(shown.contains("inet 10.20.0."), "{shown}");
    assert!(rows(&site.switch, "Nuage_VM_Table").await.is_empty(), "it has ended");

    let web = podman.start("web", &["--network", "nuage:ip=10.20.0.77,mac=02:00:00:00:00:77"]);
    let port = port(&site, &web).await;
    site.assert_attached(&web, &port, "10.20.0.77").await;
    let entities = rows(&site.switch, "Nuage_VM_Table").await;
    assert_eq!(entities[0]["vm_name"], json!(web), "names of containers are podman's own: {entities:?}");
    let inside = podman.run(&["exec", "web", "/bin/busybox", "ip", "address", "show", "dev", "eth0"]);
    assert!(inside.contains("inet 10.20.0.77/24") && inside.contains("02:00:00:00:00:77"), "{inside}");
    let inspected =
        podman.run(&["inspect", "web", "--format", "{{.NetworkSettings.Networks.nuage.IPAddress}}"]);
    assert_eq!(inspected, "10.20.0.77");

    // What is running when the switch is asked for the impossible is told so, and nothing of it is left.
    let taken = ["--network", "nuage:ip=10.20.0.77", "--cgroup-parent", &podman.cgroup];
    let words = [&["run", "--rm", "--name", "twin"][..], &taken, &[IMAGE, "/bin/busybox", "true"]].concat();
    let refused = podman.call(&words);
    assert!(!refused.status.success(), "{}", show(&refused));
    site.assert_attached(&web, &port, "10.20.0.77").await;

    // Its process is killed: conmon's own podman calls the plugin.
    let process = podman.run(&["inspect", "web", "--format", "{{.State.Pid}}"]);
    run("kill", &["-KILL", &process]);
    podman.run(&["wait", "web"]);
    for _ in 0..100 {
        if rows(&site.switch, "Nuage_VM_Table").await.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    podman.run(&["rm", "--force", "web"]);
    site.assert_gone(&port).await;
    let cached = walk(Path::new("/var/lib/cni/results"));
    assert!(!cached.iter().any(|path| path.display().to_string().contains(&web)), "{cached:?}");
    let links = run("ip", &["-o", "link"]);
    assert!(links.lines().all(|link| link.contains(": lo: ")), "{links}");
    drop(podman);
    site.terminate();
}
