//! `harness pod`: an interactive kubelet beside a running emulator.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::{HOLDS, VIOLATED, say};
use crate::error::Error;
use crate::pod::{self, Echoes, Effort, Record, Records, Site, Wish, trace};
use crate::scenario::duration;
use crate::world::host::HostOptions;

const EXAMPLES: &str = "\
Examples:
  emulator up --dir /tmp/nuage --dataplane &
  harness pod add web --dir /tmp/nuage
  harness pod add db --dir /tmp/nuage --label app=db
  harness pod ping web db --dir /tmp/nuage      do packets pass, and which ACL entry decides
  harness pod trace web --dir /tmp/nuage        what the plugin did, step by step
  harness pod del web --dir /tmp/nuage

Exit codes: 0 done, 1 the plugin refuses, or packets do not pass, 2 it cannot be done as asked for, 4 the machine or the
emulator lacks something.";

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Make a pod: its object in the API where there is none, a network namespace, and the plugin's ADD
    Add(Add),
    /// Take a pod away: the plugin's DEL, the namespace, and the object that add made
    Del(Del),
    /// List the pods that were made here
    List(List),
    /// Send echoes from a pod to another one or to an address, and say which ACL entry decides
    Ping(Ping),
    /// Show the plugin's calls for a pod with their steps and how long each took
    Trace(Trace),
}

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

/// What all verbs take.
#[derive(Debug, clap::Args)]
struct Common {
    /// The running emulator's directory
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The pods' namespace, where a name has none in front (shop/web)
    #[arg(long, value_name = "NAME", default_value = "default")]
    namespace: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Add {
    /// The pod's name
    #[arg(value_name = "NAME")]
    name: String,
    /// Its node; the first one if none is named
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// A label of it, which may place it (nuage.io/policy-group=web); may be given again
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Where the plugin is, if not beside this executable
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub(super) struct Del {
    /// The pod's name
    #[arg(value_name = "NAME")]
    name: String,
    /// Where the plugin is, if not beside this executable
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub(super) struct Ping {
    /// The pod that sends
    #[arg(value_name = "FROM")]
    from: String,
    /// The pod, or the IPv4 address, that answers
    #[arg(value_name = "TO")]
    to: String,
    /// How many echoes are sent
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
    /// How long each is waited for, like 500ms or 2s
    #[arg(long, value_name = "T", default_value = "1s", value_parser = patience)]
    timeout: Duration,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub(super) struct Trace {
    /// The pod's name; it may be gone
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    common: Common,
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("a label is KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn patience(text: &str) -> Result<Duration, String> {
    let found = duration(text).filter(|time| !time.is_zero());
    found.ok_or_else(|| "a duration like 500ms or 2s is expected".to_owned())
}

pub(super) fn run(arguments: &Arguments) -> Result<u8, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Error::Pod(error.to_string()))?;
    runtime.block_on(async {
        match &arguments.verb {
            Verb::Add(arguments) => add(arguments).await,
            Verb::Del(arguments) => del(arguments).await,
            Verb::List(arguments) => list(arguments),
            Verb::Ping(arguments) => ping(arguments).await,
            Verb::Trace(arguments) => show_trace(arguments),
        }
    })
}

/// Prints one of both.
fn tell(common: &Common, json: &Value, text: &str) {
    say(&if common.json { format!("{json:#}") } else { text.to_owned() });
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn shown_address(record: &Record) -> String {
    record.address.map_or_else(|| "no address".to_owned(), |address| address.to_string())
}

async fn add(arguments: &Add) -> Result<u8, Error> {
    let Add { name, node, labels, bin_dir, common } = arguments;
    let site = Site::open(&common.dir)?;
    let options = HostOptions::new(bin_dir.as_deref())?;
    let (namespace, name) = pod::split(name, &common.namespace);
    let wish = Wish {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        node: node.clone(),
        labels: labels.clone(),
    };
    let record = pod::add(&site, &wish, &options).await?;
    let text = format!(
        "{} runs on {} with {}, port {}, attached in {}\nits network namespace: {}",
        record.full_name(),
        record.node,
        shown_address(&record),
        record.port,
        milliseconds(record.took),
        record.netns_path().display()
    );
    tell(common, &record.json(), &text);
    Ok(HOLDS)
}

async fn del(arguments: &Del) -> Result<u8, Error> {
    let Del { name, bin_dir, common } = arguments;
    let site = Site::open(&common.dir)?;
    let options = HostOptions::new(bin_dir.as_deref())?;
    let (namespace, name) = pod::split(name, &common.namespace);
    let record = pod::del(&site, namespace, name, &options).await?;
    tell(common, &record.json(), &format!("{} is gone", record.full_name()));
    Ok(HOLDS)
}

fn list(arguments: &List) -> Result<u8, Error> {
    let common = &arguments.common;
    let records = Records::of(&Site::open(&common.dir)?).all();
    let json: Vec<Value> = records.iter().map(Record::json).collect();
    let line = |record: &Record| {
        let (name, address) = (record.full_name(), shown_address(record));
        format!("{name:40} {:12} {address:15} {}", record.node, record.port)
    };
    let lines: Vec<String> = records.iter().map(line).collect();
    let text = if lines.is_empty() {
        "no pods: harness pod add NAME makes one".to_owned()
    } else {
        lines.join("\n")
    };
    tell(common, &json!(json), &text);
    Ok(HOLDS)
}

async fn ping(arguments: &Ping) -> Result<u8, Error> {
    let Ping { from, to, count, timeout, common } = arguments;
    let site = Site::open(&common.dir)?;
    let from = pod::split(from, &common.namespace);
    let effort = Effort { count: *count, patience: *timeout };
    let echoes = pod::ping(&site, from, to, effort).await?;
    let Echoes { target, verdict, answers } = &echoes;
    let came: Vec<f64> = answers.iter().flatten().map(|time| time.as_secs_f64() * 1e3).collect();
    let each = answers.iter().zip(1..).map(|(answer, number)| match answer {
        Some(time) => format!("{target}: echo {number} in {:.3} ms", time.as_secs_f64() * 1e3),
        None => format!("{target}: echo {number} was not answered"),
    });
    let sum = format!("{} sent, {} answered", answers.len(), came.len());
    let mut lines: Vec<String> = [verdict.text.clone()].into_iter().chain(each).chain([sum]).collect();
    if !echoes.agree() {
        lines.push("what the policy says and what packets do differ".to_owned());
    }
    let json = json!({
        "policy": verdict.json, "target": target.to_string(), "sent": answers.len(), "answered": came.len(),
        "milliseconds": came, "agrees": echoes.agree(),
    });
    tell(common, &json, &lines.join("\n"));
    Ok(if came.len() == answers.len() { HOLDS } else { VIOLATED })
}

fn show_trace(arguments: &Trace) -> Result<u8, Error> {
    let common = &arguments.common;
    let (namespace, name) = pod::split(&arguments.name, &common.namespace);
    let calls = trace::of_pod(&Site::open(&common.dir)?, namespace, name)?;
    let text = |call: &trace::Call| {
        let end = call.failure.as_ref().map_or_else(String::new, |why| format!("; failed: {why}"));
        let mut text = format!("{} {} in {:.1} ms{end}", call.time, call.verb, call.milliseconds);
        for (step, took) in &call.steps {
            // Writing to a String does not fail.
            let _ = write!(text, "\n  {step:20} {took:9.3} ms");
        }
        text
    };
    let json: Vec<Value> = calls.iter().map(trace::Call::json).collect();
    tell(common, &json!(json), &calls.iter().map(text).collect::<Vec<_>>().join("\n"));
    Ok(HOLDS)
}
