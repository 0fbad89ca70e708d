//! The roles of deploy/ansible, run by the real ansible-playbook with the packages, on a throw-away copy of this machine's root: what
//! they write is an overlay's upper layer, in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "a test")]

mod support;

use std::path::Path;
use std::process::Command;

use support::{can_install, dist, packages};

/// Makes the copy and runs what is said in it. `$1`: this repository, `$2`: the packages, `$3`: the script.
const COPY: &str = r#"set -e
work=$(mktemp -d); trap 'umount -l "$work"; rmdir "$work"' EXIT
mount -t tmpfs tmpfs "$work"; mkdir "$work/up" "$work/work" "$work/root"; root=$work/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/up,workdir=$work/work" "$root"
mount --rbind /proc "$root/proc"; mount --rbind /dev "$root/dev"
for place in run tmp; do mount -t tmpfs tmpfs "$root/$place"; done
mkdir "$root/tmp/repository" "$root/tmp/packages"
mount --bind "$1" "$root/tmp/repository"; mount --bind "$2" "$root/tmp/packages"
echo key > "$root/tmp/monitor.key"
for path in etc/kubernetes/pki/ca.crt etc/origin/node/client-ca.crt; do
  mkdir -p "$(dirname "$root/$path")"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=ca -keyout /dev/null -out "$root/$path" 2> /dev/null
done
chroot "$root" /bin/sh -ec "cd /tmp/repository/deploy/ansible; $3"
"#;

/// Whose package manager a node has.
#[derive(Clone, Copy)]
enum Family {
    Debian,
    RedHat,
}

impl Family {
    /// The package of version 1.1.0 for an orchestrator.
    fn package(self, orchestrator: &str) -> String {
        match self {
            Self::Debian => format!("/tmp/packages/nuage-cni-{orchestrator}_1.1.0-1_amd64.deb"),
            Self::RedHat => format!("/tmp/packages/nuage-cni-{orchestrator}-1.1.0-1.x86_64.rpm"),
        }
    }

    /// What is done to the copy first: there the database of Red Hat's packages knows no shell yet.
    fn prepare(self) -> String {
        match self {
            Self::Debian => "true".to_owned(),
            Self::RedHat => {
                let shell = rpm::PackageBuilder::new(
                    "shell",
                    "1",
                    "MIT",
                    "x86_64",
                    "stands for the shell that is there",
                )
                .provides(rpm::Dependency::any("/bin/sh"))
                .build()
                .unwrap();
                shell.write_file(packages().join("shell.rpm")).unwrap();
                "rpm --initdb; rpm -i /tmp/packages/shell.rpm".to_owned()
            }
        }
    }
}

/// Runs a playbook on the first of its nodes, then says what stands in the files; `None` where a peer is missing.
fn play(test: &str, inventory: &str, playbook: &str, more: &str, then: &str) -> Option<(bool, String)> {
    play_on(Family::Debian, test, inventory, playbook, more, then)
}

/// The same on a node of a family.
fn play_on(
    family: Family,
    test: &str,
    inventory: &str,
    playbook: &str,
    more: &str,
    then: &str,
) -> Option<(bool, String)> {
    let has = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    let peers = has("ansible-playbook", &["--version"])
        && has("openssl", &["version"])
        && has("/usr/bin/python3", &["-c", "import apt"]);
    if !peers {
        eprintln!("SKIPPED {test}: ansible-core, python3-apt and openssl");
        return None;
    }
    if !can_install(test, "dpkg") {
        return None;
    }
    let package = family.package(if playbook == "kubernetes" { "k8s" } else { playbook });
    let variables = format!(
        "ansible_connection=local ansible_python_interpreter=/usr/bin/python3 nuage_cni_package={package} nuage_cni_token=secret \
         nuage_cni_check={}",
        // What a site's monitor is called stands in no certificate here.
        dist().is_some() && playbook == "kubernetes"
    );
    let run = format!(
        "ansible-playbook -i inventory/{inventory}.ini {playbook}.yml --limit 'nodes[0]' -e '{variables}' -e '{more}'"
    );
    let script = format!("{}; {run}; {run}; {then}", family.prepare());
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "bash", "-c", COPY, "copy"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
        .arg(packages())
        .arg(script)
        .env("ANSIBLE_NOCOLOR", "1")
        .env("ANSIBLE_LOCALHOST_WARNING", "False")
        .output()
        .unwrap();
    let told =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Some((output.status.success(), told))
}

/// The same, which must succeed and change nothing the second time. Gives what was printed at the end.
fn done(test: &str, inventory: &str, playbook: &str, more: &str, then: &str) -> Option<String> {
    let (succeeded, told) = play(test, inventory, playbook, more, then)?;
    Some(settled(succeeded, &told, then))
}

/// What is printed at the end of two runs of which the second changed nothing.
fn settled(succeeded: bool, told: &str, then: &str) -> String {
    assert!(succeeded, "{told}");
    let recaps: Vec<&str> = told.lines().filter(|line| line.contains("changed=")).collect();
    assert_eq!(recaps.len(), 2, "{told}");
    assert!(!recaps[0].contains("changed=0") && recaps[1].contains("changed=0 "), "{told}");
    assert!(!told.contains("secret") || then.contains("kubeconfig"), "no token in what is told: {told}");
    told.rsplit("PLAY RECAP").next().unwrap().to_owned()
}

const SHOW: &str = "cat /etc/default/nuage-cni.yaml /usr/share/vsp-*/*.yaml /usr/share/vsp-*/nuage.kubeconfig; \
    stat -L -c \"%a %n\" /usr/share/vsp-*/* /opt/cni/bin/nuage-cni-*; dpkg-query -W -f \"\\${Status}\" nuage-cni-*";

#[test]
fn a_node_of_kubernetes_is_configured_before_its_package_comes_and_a_second_run_changes_nothing() {
    let name = "a_node_of_kubernetes_is_configured_before_its_package_comes_and_a_second_run_changes_nothing";
    let more = r#"{"nuage_cni_vsp_files": ["/tmp/monitor.key"]}"#;
    let Some(shown) = done(name, "kubernetes", "kubernetes", more, SHOW) else { return };
    for expected in [
        "# The defaults hold.",
        "enterpriseName: K8S-Enterprise",
        "server: https://master.example:6443",
        "certificate-authority-data: LS0tLS1CRUdJTi",
        "token: secret",
        "600 /usr/share/vsp-k8s/monitor.key",
        "600 /usr/share/vsp-k8s/nuage.kubeconfig",
        "/opt/cni/bin/nuage-cni-k8s",
        "install ok installed",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
}

#[test]
fn a_node_of_red_hats_gets_its_package_from_the_real_dnf() {
    let name = "a_node_of_red_hats_gets_its_package_from_the_real_dnf";
    let has_dnf = Command::new("/usr/bin/python3").args(["-c", "import dnf"]).output();
    if !has_dnf.is_ok_and(|output| output.status.success()) || !can_install(name, "rpm") {
        eprintln!("SKIPPED {name}: dnf and its Python library");
        return;
    }
    // The machine is another one: only what is decided by the family is Red Hat's.
    let more = r#"{"ansible_os_family": "RedHat", "nuage_cni_check": false}"#;
    let show = "cat /usr/share/vsp-k8s/nuage.kubeconfig; stat -L -c \"%a %n\" /opt/cni/bin/nuage-cni-*; rpm -q nuage-cni-k8s; \
        rpm -V nuage-cni-k8s || true";
    let Some((succeeded, told)) = play_on(Family::RedHat, name, "kubernetes", "kubernetes", more, show)
    else {
        return;
    };
    let shown = settled(succeeded, &told, show);
    for expected in ["token: secret", "755 /opt/cni/bin/nuage-cni-k8s", "nuage-cni-k8s-1.1.0-1.x86_64"] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
}

#[test]
fn a_node_of_openshift_finds_its_one_master() {
    let name = "a_node_of_openshift_finds_its_one_master";
    let Some(shown) =
        done(name, "openshift-one-master", "openshift", r#"{"nuage_cni_monitor_port": 0}"#, SHOW)
    else {
        return;
    };
    for expected in [
        "server: https://master.example:8443",
        "vsdUser: ose-admin",
        "600 /usr/share/vsp-openshift/vsp-openshift.yaml",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    assert!(!shown.contains("nuageMonRestServer"), "{shown}");
}

#[test]
fn a_node_of_openshift_with_several_masters_goes_to_their_load_balancer() {
    let name = "a_node_of_openshift_with_several_masters_goes_to_their_load_balancer";
    let Some(shown) = done(name, "openshift-ha", "openshift", "{}", SHOW) else { return };
    for expected in ["server: https://lb.example:8443", "nuageMonRestServer: https://lb.example:9443"] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
}

#[test]
fn several_masters_without_a_name_are_refused_before_anything_is_written() {
    let name = "several_masters_without_a_name_are_refused_before_anything_is_written";
    // Three masters, and a role that takes no load balancer from a group.
    let Some((succeeded, told)) = play(name, "openshift-ha", "kubernetes", "{}", "true") else { return };
    assert!(!succeeded && told.contains("nuage_cni_cluster_name"), "{told}");
    assert!(told.contains("changed=0 "), "{told}");
}

#[test]
fn an_agent_of_mesos_is_told_where_networks_and_plugins_are() {
    let name = "an_agent_of_mesos_is_told_where_networks_and_plugins_are";
    let show = "cat /etc/cni/net.d/nuage-net.conf; head /etc/mesos-slave/*; stat -L -c \"%a %n\" /opt/cni/bin/nuage-cni-mesos";
    let Some(shown) = done(name, "mesos", "mesos", "{}", show) else { return };
    for expected in [
        "\"cniVersion\": \"0.2.0\"",
        "755 /opt/cni/bin/nuage-cni-mesos",
        "/etc/cni/net.d\n",
        "/opt/cni/bin\n",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
}
