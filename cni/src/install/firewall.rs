//! The host's firewall: the overlay's packets in, pods' packets through. Rules are looked for before they are made, so that any
//! number of installations leaves one of each; the original's are the same rules and count as ours.

use std::path::Path;
use std::process::{Command, Stdio};

use ipnet::IpNet;
use sha1::{Digest as _, Sha1};

use super::tree::Tree;
use crate::error::Error;

/// Where a host has its tools.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
/// How often a rule is looked for when it is removed: the original's restarts left no more.
const MOST_COPIES: usize = 16;
/// How long another's change of the rules is waited for, in seconds.
const PATIENCE: &str = "5";

/// A rule: its chain and what follows.
#[derive(Debug, PartialEq, Eq)]
struct Rule {
    tool: &'static str,
    chain: &'static str,
    matches: Vec<String>,
}

/// The rules for these networks of pods.
fn rules(networks: &[IpNet]) -> Vec<Rule> {
    let words = |text: String| text.split(' ').map(str::to_owned).collect();
    let vxlan = |tool| Rule {
        tool,
        chain: "INPUT",
        matches: words("-p udp -m udp --dport 4789 -m comment --comment nuage-vxlan -j ACCEPT".to_owned()),
    };
    let mut rules = vec![vxlan("iptables"), vxlan("ip6tables")];
    for network in networks {
        let tool = if network.addr().is_ipv4() { "iptables" } else { "ip6tables" };
        for (side, comment) in [("-s", "nuage-overlay-underlay"), ("-d", "nuage-underlay-overlay")] {
            let matches =
                words(format!("{side} {} -m comment --comment {comment} -j ACCEPT", network.trunc()));
            rules.push(Rule { tool, chain: "FORWARD", matches });
        }
    }
    rules
}

/// The host's tools, run on the host.
struct Tools<'a>(&'a Tree);

impl Tools<'_> {
    fn find(&self, name: &str) -> Result<Option<String>, Error> {
        for folder in FOLDERS {
            let path = Path::new(folder).join(name);
            if self.0.has(&path)? {
                return Ok(Some(path.display().to_string()));
            }
        }
        Ok(None)
    }

    /// Runs a tool; gives whether it agreed, and what it said otherwise.
    fn run(&self, tool: &str, arguments: &[&str], input: &str) -> Result<Result<(), String>, Error> {
        let failed =
            |error: std::io::Error| Error::Io { operation: tool.to_owned(), details: error.to_string() };
        let mut command = if self.0.path() == Path::new("/") {
            Command::new(tool)
        } else {
            // A container has no tools of its own, and the host's need the host's libraries.
            let mut command = Command::new(std::env::current_exe().map_err(failed)?);
            command.arg(super::ON_HOST).arg(self.0.path()).arg(tool);
            command
        };
        let command =
            command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that reads nothing is told nothing.
            let _ = std::io::Write::write_all(&mut stdin, input.as_bytes());
        }
        let output = child.wait_with_output().map_err(failed)?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Ok(if output.status.success() { Ok(()) } else { Err(said) })
    }

    fn iptables(&self, path: &str, change: &[&str], rule: &Rule) -> Result<Result<(), String>, Error> {
        let mut arguments = vec!["-w", PATIENCE];
        arguments.extend(change);
        arguments.extend(rule.matches.iter().map(String::as_str));
        self.run(path, &arguments, "")
    }
}

fn refused(tool: &str, said: String) -> Error {
    Error::Io { operation: format!("opening the firewall by {tool}"), details: said }
}

/// nft's own table, made anew, and the name of an empty chain in it that tells what it was made for. A host without iptables has no rules but those of other tables, which see packets as well.
fn table(networks: &[IpNet]) -> (String, String) {
    let forward = networks.iter().map(|network| {
        let (family, network) = (if network.addr().is_ipv4() { "ip" } else { "ip6" }, network.trunc());
        format!("{family} saddr {network} accept; {family} daddr {network} accept; ")
    });
    let chains = format!(
        "chain input {{ type filter hook input priority -1; udp dport 4789 accept; }}\n\
         chain forward {{ type filter hook forward priority -1; {}}}\n",
        forward.collect::<String>()
    );
    let mark = format!("made-{:x}", Sha1::digest(&chains));
    let script = format!(
        "add table inet nuage-cni\ndelete table inet nuage-cni\ntable inet nuage-cni {{\n{chains}chain {mark} {{ }}\n}}\n"
    );
    (script, mark)
}

/// What became of the firewall, in words.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// What was done.
    pub(super) told: Vec<String>,
    /// What was not, and will not be the next time either.
    pub(super) remarks: Vec<String>,
}

/// Opens the firewall; a host without tools has none to open.
pub(super) fn open(tree: &Tree, networks: &[IpNet]) -> Result<Opened, Error> {
    let tools = Tools(tree);
    let mut opened = Opened::default();
    if tools.find("iptables")?.is_none() {
        let Some(nft) = tools.find("nft")? else {
            let remark = "the firewall was left alone: the host has neither iptables nor nft".to_owned();
            return Ok(Opened { remarks: vec![remark], ..opened });
        };
        let (script, mark) = table(networks);
        if tools.run(&nft, &["list", "chain", "inet", "nuage-cni", &mark], "")?.is_ok() {
            return Ok(opened);
        }
        tools.run(&nft, &["-f", "-"], &script)?.map_err(|said| refused("nft", said))?;
        opened.told.push("opened the firewall: nft table inet nuage-cni".to_owned());
        return Ok(opened);
    }
    for rule in rules(networks) {
        let Some(path) = tools.find(rule.tool)? else { continue };
        if tools.iptables(&path, &["-C", rule.chain], &rule)?.is_ok() {
            continue;
        }
        match tools.iptables(&path, &["-I", rule.chain, "1"], &rule)? {
            Ok(()) => opened.told.push(format!(
                "opened the firewall: {} {} {}",
                rule.tool,
                rule.chain,
                rule.matches.join(" ")
            )),
            // A host may have no IPv6.
            Err(said) if rule.tool == "ip6tables" => {
                opened.remarks.push(format!("ip6tables was left alone: {said}"));
            }
            Err(said) => return Err(refused(rule.tool, said)),
        }
    }
    Ok(opened)
}

/// Takes the rules away again, however often they are there.
pub(super) fn close(tree: &Tree, networks: &[IpNet]) -> Result<Vec<String>, Error> {
    let tools = Tools(tree);
    let mut told = Vec::new();
    if tools.find("iptables")?.is_none() {
        if let Some(nft) = tools.find("nft")? {
            let script = "add table inet nuage-cni\ndelete table inet nuage-cni\n";
            tools.run(&nft, &["-f", "-"], script)?.map_err(|said| refused("nft", said))?;
        }
        return Ok(told);
    }
    for rule in rules(networks) {
        let Some(path) = tools.find(rule.tool)? else { continue };
        for _ in 0..MOST_COPIES {
            if tools.iptables(&path, &["-D", rule.chain], &rule)?.is_err() {
                break;
            }
            told.push(format!(
                "closed the firewall: {} {} {}",
                rule.tool,
                rule.chain,
                rule.matches.join(" ")
            ));
        }
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_network_is_forwarded_both_ways_by_the_tool_of_its_family() {
        let networks = ["10.1.2.3/16".parse().unwrap(), "fd00::1/64".parse().unwrap()];
        let shown: Vec<String> = rules(&networks)
            .iter()
            .map(|rule| format!("{} {} {}", rule.tool, rule.chain, rule.matches.join(" ")))
            .collect();
        assert_eq!(shown.len(), 6);
        assert_eq!(
            shown[2],
            "iptables FORWARD -s 10.1.0.0/16 -m comment --comment nuage-overlay-underlay -j ACCEPT"
        );
        assert_eq!(
            shown[5],
            "ip6tables FORWARD -d fd00::/64 -m comment --comment nuage-underlay-overlay -j ACCEPT"
        );
        assert!(
            table(&networks)
                .0
                .contains("ip saddr 10.1.0.0/16 accept; ip daddr 10.1.0.0/16 accept; ip6 saddr fd00::/64")
        );
    }
}
