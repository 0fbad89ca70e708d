//! What a package does beside placing its files. RPM and dpkg call at different moments with different words; what is done
//! is the same: the VRS learns of a first installation and of a removal, `SELinux` labels are set. Whatever fails is told and
//! never fails the package's installation: half a package is worse than an unknown platform.

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

/// What happens on a first installation, on every one, before a removal and after it: lines of shell.
struct Steps {
    first: Vec<String>,
    always: Vec<String>,
    before_removal: Vec<String>,
    after_removal: Vec<String>,
}

fn steps(product: Product, items: &[Item]) -> Steps {
    let paths: Vec<&str> = items.iter().map(|item| item.path.as_str()).collect();
    let mut steps = Steps {
        first: Vec::new(),
        always: vec![format!("relabel {}", paths.join(" "))],
        before_removal: Vec::new(),
        // Locks and sockets; the journal stays: attached containers outlive their plugin.
        after_removal: vec!["rm -rf /run/nuage-cni".to_owned()],
    };
    // The VRS knows no platform of that name for Mesos.
    if product != Product::Mesos {
        steps.first.push("platform add_platform".to_owned());
        steps.before_removal.push("platform remove_platform".to_owned());
    }
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
        after_install: script(when("[ \"$1\" = 1 ]", &steps.first) + &lines("", &steps.always)),
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
    let mut first = steps.first.clone();
    first.push(format!("rm -f {note}"));
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
            script(
                when("[ \"$1\" = configure ]", &steps.always)
                    + &when(&format!("[ \"$1\" = configure ] && [ -e {note} ]"), &first),
            ),
        ),
        ("prerm", script(when("[ \"$1\" = remove ]", &steps.before_removal))),
        (
            "postrm",
            script(when("[ \"$1\" = remove ]", &steps.after_removal) + &when("[ \"$1\" = purge ]", &purge)),
        ),
    ]
}
