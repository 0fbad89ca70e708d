//! `emulator fault`: what can go wrong in a running emulator, and making it go wrong.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::say;
use crate::error::Error;
use crate::faults::{Ask, ask_admin};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Show all faults and which are on
    List {
        #[command(flatten)]
        site: Site,
    },
    /// Turn a fault on
    On {
        /// Its name, like vrs.slow
        #[arg(value_name = "NAME")]
        name: String,
        /// The chance that it strikes, from 0 to 1
        #[arg(long, value_name = "P")]
        chance: Option<String>,
        /// How often it strikes at most
        #[arg(long, value_name = "N")]
        times: Option<u64>,
        /// How long it stays on, like 10s
        #[arg(long = "for", value_name = "D")]
        lasts: Option<String>,
        /// Only this node (may be given several times)
        #[arg(long, value_name = "NODE")]
        node: Vec<String>,
        /// Its parameters, like delay=2s..5s
        #[arg(value_name = "KEY=VALUE")]
        values: Vec<String>,
        #[command(flatten)]
        site: Site,
    },
    /// Turn a fault off
    Off {
        /// Its name
        #[arg(value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
        name: Option<String>,
        /// All that are on
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        site: Site,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Site {
    /// Directory of the emulator
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// One JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(verb: Verb) -> Result<(), Error> {
    let (ask, site, whole) = match verb {
        Verb::List { site } => (Ask::List {}, site, true),
        Verb::On { name, chance, times, lasts, node, values, site } => {
            (Ask::On { name, chance, times, lasts, nodes: node, values }, site, false)
        }
        Verb::Off { name, site, .. } => (Ask::Off { name }, site, false),
    };
    let told = ask_admin(&admin(&site.dir)?, &ask).await.map_err(Error::Client)?;
    if site.json {
        say(&format!("{told:#}"));
        return Ok(());
    }
    if whole {
        objects(&told["faults"]).for_each(known);
        say("");
    }
    if objects(&told["on"]).next().is_none() {
        say("no fault is on");
    }
    objects(&told["on"]).for_each(on);
    Ok(())
}

fn admin(directory: &Path) -> Result<PathBuf, Error> {
    let endpoints = directory.join("endpoints.json");
    let text = std::fs::read(&endpoints).map_err(Error::file(&endpoints))?;
    let json: Value = serde_json::from_slice(&text).unwrap_or_default();
    let socket = json["admin"].as_str().map(PathBuf::from);
    socket.ok_or_else(|| Error::Usage(format!("{} names no admin socket", endpoints.display())))
}

fn objects(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn known(fault: &Value) {
    say(&format!("{:26} {}", text(&fault["name"]), text(&fault["about"])));
    for parameter in objects(&fault["parameters"]) {
        let [name, about, takes, default] =
            ["name", "about", "takes", "default"].map(|member| text(&parameter[member]));
        say(&format!("{:26}   {name}={default}: {about}; {takes}", ""));
    }
}

fn on(fault: &Value) {
    let mut line = format!("on: {}", text(&fault["name"]));
    for (member, flag) in [("chance", "--chance"), ("times", "--times"), ("for", "--for")] {
        match &fault[member] {
            Value::Null => {}
            Value::String(value) => line = format!("{line} {flag} {value}"),
            value => line = format!("{line} {flag} {value}"),
        }
    }
    for node in objects(&fault["nodes"]) {
        line = format!("{line} --node {}", text(node));
    }
    for (name, value) in fault["values"].as_object().into_iter().flatten() {
        line = format!("{line} {name}={}", text(value));
    }
    say(&format!("{line} (struck {} times)", fault["hits"]));
}
