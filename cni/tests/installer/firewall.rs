//! The host's firewall, by the real iptables and the real nft in a network namespace, and by stand-ins that write down what they
//! are told.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::{Host, succeed};

/// A network namespace of this test's own, gone with it.
struct Namespace(String);

impl Namespace {
    fn new(purpose: &str) -> Option<Self> {
        let name = format!("nuage-{purpose}-{}", std::process::id());
        let made = Command::new("ip").args(["netns", "add", &name]).status();
        made.is_ok_and(|status| status.success()).then_some(Self(name))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

#[test]
fn the_firewall_has_each_rule_once_however_often_it_is_opened_and_none_when_it_is_closed() {
    let name = "the_firewall_has_each_rule_once_however_often_it_is_opened_and_none_when_it_is_closed";
    let tools =
        Command::new("sh").args(["-c", "test -e /usr/sbin/iptables && command -v unshare ip"]).output();
    let namespace =
        tools.is_ok_and(|found| found.status.success()).then(|| Namespace::new("iptables")).flatten();
    let Some(namespace) = namespace else {
        eprintln!("SKIPPED {name}: iptables, and root");
        return;
    };
    let host = Host::new();
    for (link, target) in
        [("bin", "usr/bin"), ("sbin", "usr/sbin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")]
    {
        symlink(target, host.path("host").join(link)).unwrap();
    }
    for folder in ["usr", "etc/alternatives", "proc", "run"] {
        fs::create_dir_all(host.path("host").join(folder)).unwrap();
    }
    // A host that has this machine's tools: the installer's container has none of its own.
    let script = r#"set -e
        mount --bind /usr "$HOST/usr"; mount --bind /etc/alternatives "$HOST/etc/alternatives"; mount --bind /proc "$HOST/proc"
        iptables -I INPUT 1 -p udp -m udp --dport 4789 -m comment --comment nuage-vxlan -j ACCEPT
        for time in 1 2 3; do "$INSTALL" install --root "$HOST" --from "$FROM" > /dev/null; done
        iptables -S; ip6tables -S; echo ----
        "$INSTALL" uninstall --root "$HOST" --from "$FROM" > /dev/null
        iptables -S; ip6tables -S"#;
    let output = Command::new("ip")
        .args(["netns", "exec", &namespace.0, "sh", "-c", script])
        .env("HOST", host.path("host"))
        .env("FROM", host.path("shipped"))
        .env("INSTALL", env!("CARGO_BIN_EXE_nuage-cni-install"))
        .env("NUAGE_CLUSTER_NW_CIDR", "70.70.1.2/16,fd70::/64")
        .output()
        .unwrap();
    let told = succeed(&output);
    let (open, closed) = told.split_once("----").unwrap();
    for (rule, times) in [
        ("--dport 4789", 2),
        ("-A FORWARD -s 70.70.0.0/16", 1),
        ("-A FORWARD -d 70.70.0.0/16", 1),
        ("-A FORWARD -s fd70::/64", 1),
        ("-A FORWARD -d fd70::/64", 1),
    ] {
        assert_eq!(open.matches(rule).count(), times, "{rule}: {open}");
        assert_eq!(closed.matches(rule).count(), 0, "{rule}: {closed}");
    }
}

#[test]
fn the_real_nft_takes_the_table_knows_it_again_changes_it_with_the_networks_and_forgets_it() {
    let name = "the_real_nft_takes_the_table_knows_it_again_changes_it_with_the_networks_and_forgets_it";
    let tools = Command::new("sh").args(["-c", "test -e /usr/sbin/nft && command -v unshare ip"]).output();
    let namespace = tools.is_ok_and(|found| found.status.success()).then(|| Namespace::new("nft")).flatten();
    let Some(namespace) = namespace else {
        eprintln!("SKIPPED {name}: nftables, and root");
        return;
    };
    let host = Host::new();
    for (link, target) in [("lib", "usr/lib"), ("lib64", "usr/lib64")] {
        symlink(target, host.path("host").join(link)).unwrap();
    }
    for folder in ["usr/lib", "usr/lib64", "usr/sbin", "proc", "run"] {
        fs::create_dir_all(host.path("host").join(folder)).unwrap();
    }
    // A host that has nft and no iptables, with a table of somebody else's.
    fs::copy("/usr/sbin/nft", host.path("host/usr/sbin/nft")).unwrap();
    let script = r#"set -e
        for folder in usr/lib usr/lib64 proc; do mount --bind "/$folder" "$HOST/$folder"; done
        nft add table inet others
        install() { NUAGE_CLUSTER_NW_CIDR=$1 "$INSTALL" install --root "$HOST" --from "$FROM"; }
        install 70.70.1.2/16,fd70::/64 | grep firewall
        nft list ruleset; echo ----
        install 70.70.1.2/16,fd70::/64 | grep -c firewall || true
        echo ----
        install 71.0.0.0/8 | grep firewall
        nft list ruleset; echo ----
        "$INSTALL" uninstall --root "$HOST" --from "$FROM" > /dev/null
        nft list ruleset"#;
    let output = Command::new("ip")
        .args(["netns", "exec", &namespace.0, "sh", "-c", script])
        .env("HOST", host.path("host"))
        .env("FROM", host.path("shipped"))
        .env("INSTALL", env!("CARGO_BIN_EXE_nuage-cni-install"))
        .output()
        .unwrap();
    let told = succeed(&output);
    let [opened, again, changed, closed] = told.split("----").collect::<Vec<_>>()[..] else {
        panic!("{told}")
    };
    for rule in [
        "table inet others",
        "udp dport 4789 accept",
        "ip saddr 70.70.0.0/16 accept",
        "ip daddr 70.70.0.0/16 accept",
        "ip6 saddr fd70::/64 accept",
        "ip6 daddr fd70::/64 accept",
    ] {
        assert_eq!(opened.matches(rule).count(), 1, "{rule}: {opened}");
    }
    assert_eq!(again.trim(), "0", "the second time nothing is done");
    assert!(changed.contains("ip saddr 71.0.0.0/8 accept") && !changed.contains("70.70"), "{changed}");
    assert_eq!(changed.matches("udp dport 4789").count(), 1, "{changed}");
    assert_eq!(closed.trim(), "table inet others {\n}", "{closed}");
}

/// A host with one static executable, which is a shell and, where they are named, the tools of a firewall that write down what they
/// are told.
fn with_tools(tools: &[&str]) -> Host {
    let host = Host::new();
    fs::create_dir_all(host.path("host/bin")).unwrap();
    fs::copy(BUSYBOX, host.path("host/bin/sh")).unwrap();
    for tool in tools {
        // Asked whether a chain is there, it looks at what it was told before.
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = list ]; then\nwhile read -r line; do case $line in *\"$5\"*) exit 0 ;; esac; done < /asked\n\
             exit 1\nfi\necho \"{tool} $*\" >> /asked\nwhile read -r line; do echo \"$line\" >> /asked; done\n"
        );
        host.put("host/asked", "", 0o644);
        host.put(&format!("host/usr/sbin/{tool}"), &script, 0o755);
    }
    host
}

const BUSYBOX: &str = "/bin/busybox";

#[test]
fn a_host_without_iptables_gets_a_table_of_nft_and_one_without_either_is_told() {
    let name = "a_host_without_iptables_gets_a_table_of_nft_and_one_without_either_is_told";
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    if !is_root || !Path::new(BUSYBOX).exists() {
        eprintln!("SKIPPED {name}: root, and busybox-static");
        return;
    }
    let told = |host: &Host, verb: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nuage-cni-install"));
        command.arg(verb).arg("--root").arg(host.path("host")).arg("--from").arg(host.path("shipped"));
        succeed(&command.env_clear().env("NUAGE_CLUSTER_NW_CIDR", "70.70.0.0/16").output().unwrap())
    };
    let host = with_tools(&["nft"]);
    assert!(told(&host, "install").contains("opened the firewall: nft table inet nuage-cni"));
    assert!(!told(&host, "install").contains("firewall"), "it is as it should be");
    let asked = host.read("host/asked");
    assert_eq!(asked.matches("nft -f -").count(), 1, "{asked}");
    assert!(asked.contains("nft -f -") && asked.contains("udp dport 4789 accept"), "{asked}");
    assert!(asked.contains("ip saddr 70.70.0.0/16 accept; ip daddr 70.70.0.0/16 accept"), "{asked}");
    told(&host, "uninstall");
    assert!(host.read("host/asked").trim_end().ends_with("delete table inet nuage-cni"));

    let host = with_tools(&["iptables", "nft"]);
    told(&host, "install");
    let asked = host.read("host/asked");
    assert!(asked.contains("iptables -w 5 -C INPUT") && !asked.contains("nft"), "{asked}");

    let host = with_tools(&[]);
    let nothing = told(&host, "install");
    assert!(
        nothing.contains("the firewall was left alone: the host has neither iptables nor nft"),
        "{nothing}"
    );
    assert!(host.path("host/etc/cni/net.d/nuage-net.conflist").exists(), "that is no reason not to install");
    assert!(!told(&host, "uninstall").contains("firewall"));
}
