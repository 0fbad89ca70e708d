//! What a package does beside placing its files. RPM and dpkg call at different moments with different words; what is done
//! is the same: the VRS learns of a first installation and of a removal, the audit is enabled and started, or started anew,
//! or stopped, and `SELinux` labels are set. Whatever fails is told and never fails the package's installation: half a package
//! is worse than an unknown platform.

use crate::contents::{Item, Product};
use crate::lines;

const FUNCTIONS: &str = include_str!("../assets/functions.sh");

/// An RPM's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rpm {
    /// %post
    pub after_install: Option<String>,
    /// %preun
    pub before_removal: Option<String>,
    /// %postun
    pub after_removal: Option<String>,
}

/// The audit's service.
const SERVICE: &str = "nuage-cni.service";

/// What happens on every installation, then on a first one or on an upgrade; before a removal and after it: lines of shell.
struct Steps {
    always: Vec<String>,
    first: Vec<String>,
    upgrade: Vec<String>,
    before_removal: Vec<String>,
    after_removal: Vec<String>,
}

fn steps(product: Product, items: &[Item]) -> Steps {
    let paths: Vec<&str> = items.iter().map(|item| item.path.as_str()).collect();
    let mut steps = Steps {
        always: vec![format!("relabel {}", paths.join(" ")), "service daemon-reload".to_owned()],
        first: Vec::new(),
        // One that the operator has stopped stays stopped.
        upgrade: vec![format!("service --no-block try-restart {SERVICE}")],
        before_removal: vec![format!("service stop {SERVICE}"), format!("service disable {SERVICE}")],
        // Locks and sockets; the journal stays: attached containers outlive their plugin.
        after_removal: vec!["rm -rf /run/nuage-cni".to_owned(), "service daemon-reload".to_owned()],
    };
    // The VRS knows no platform of that name for Mesos.
    if product != Product::Mesos {
        steps.first.push("platform add_platform".to_owned());
        steps.before_removal.push("platform remove_platform".to_owned());
    }
    steps.first.push(format!("service enable {SERVICE}"));
    // The service says that it is ready once it is; an installation does not wait for a switch.
    steps.first.push(format!("service --no-block start {SERVICE}"));
    steps
}

/// A condition with what happens then; nothing where nothing does.
fn when(condition: &str, body: &[String]) -> String {
    if body.is_empty() {
        return String::new();
    }
    format!("if {condition}; then\n{}fi\n", lines("  ", body))
}

/// The scriptlets of an RPM: `$1` is how many versions of it are installed afterwards.
pub fn rpm(product: Product, items: &[Item]) -> Rpm {
    let steps = steps(product, items);
    let script = |body: String| (!body.is_empty()).then(|| format!("{FUNCTIONS}{body}:\n"));
    Rpm {
        after_install: script(
            lines("", &steps.always)
                + &when("[ \"$1\" = 1 ]", &steps.first)
                + &when("[ \"$1\" -gt 1 ]", &steps.upgrade),
        ),
        before_removal: script(when("[ \"$1\" = 0 ]", &steps.before_removal)),
        after_removal: script(when("[ \"$1\" = 0 ]", &steps.after_removal)),
    }
}

/// The maintainer scripts of a deb (Debian policy, chapter 6), by name.
pub fn deb(product: Product, items: &[Item]) -> Vec<(&'static str, String)> {
    let steps = steps(product, items);
    let script = |body: String| format!("#!/bin/sh\nset -e\n{FUNCTIONS}{body}exit 0\n");
    // A removed package that was not purged is configured with its old version as an upgraded one is, so the first script
    // leaves a note for the second.
    let note = "/var/lib/nuage-cni/first-installation";
    let purge = [
        "rm -rf /var/lib/nuage-cni".to_owned(),
        "rm -f /var/log/cni/nuage-cni.log* /var/log/cni/nuage-daemon.log*".to_owned(),
    ];
    vec![
        (
            "preinst",
            script(when(
                "[ \"$1\" = install ]",
                &["mkdir -p -m 0700 /var/lib/nuage-cni".to_owned(), format!(": > {note}")],
            )),
        ),
        (
            "postinst",
            script(when(
                "[ \"$1\" = configure ]",
                &[
                    steps.always,
                    vec![format!("if [ -e {note} ]; then"), format!("rm -f {note}")],
                    steps.first,
                    vec!["else".to_owned()],
                    steps.upgrade,
                    vec!["fi".to_owned()],
                ]
                .concat(),
            )),
        ),
        ("prerm", script(when("[ \"$1\" = remove ]", &steps.before_removal))),
        (
            "postrm",
            script(when("[ \"$1\" = remove ]", &steps.after_removal) + &when("[ \"$1\" = purge ]", &purge)),
        ),
    ]
}
