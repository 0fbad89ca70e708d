//! The admin socket: turns faults on and off in a running emulator. One JSON line in, one out, on a unix socket that only
//! its owner may open. Speaks to nobody else and reads no more than it must.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::{ALL, CERTAIN, Caller, Definition, Effect, Faults, Refused, Setting, Shown, duration, find};
use crate::vrs::Vrs;

/// A request names a fault and a few values.
const MAX_LINE: u64 = 64 << 10;
/// All faults with their parameters, and as many that are on as there can be.
const MAX_ANSWER: u64 = 1 << 20;
/// How long a client may take for its line.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many clients are served at once.
const MAX_CLIENTS: usize = 16;

/// What is asked of a running emulator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// What there is and what is on.
    List {},
    /// Turn a fault on.
    On {
        /// Its name.
        name: String,
        /// The chance that it strikes, like `0.25`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        chance: Option<String>,
        /// How often it strikes at most.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        times: Option<u64>,
        /// How long it lasts, like `10s`.
        #[serde(default, skip_serializing_if = "Option::is_none", rename = "for")]
        lasts: Option<String>,
        /// Only these nodes.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        nodes: Vec<String>,
        /// `KEY=VALUE` each.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        values: Vec<String>,
    },
    /// Turn faults off: all of this name, or all there are.
    Off {
        /// The name; absent: all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        name: Option<String>,
    },
}

/// What a running emulator answers: the faults, or why not.
pub type Told = Result<Value, String>;

/// Asks the emulator whose admin socket is at `path`.
///
/// # Errors
/// What the system or the emulator said.
pub async fn ask(path: &Path, ask: &Ask) -> Told {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let exchange = async {
        let mut stream = UnixStream::connect(path).await?;
        let mut line = serde_json::to_vec(ask)?;
        line.push(b'\n');
        stream.write_all(&line).await?;
        let mut answer = String::new();
        BufReader::new(stream).take(MAX_ANSWER).read_line(&mut answer).await?;
        serde_json::from_str::<Value>(&answer).map_err(std::io::Error::from)
    };
    let answer = tokio::time::timeout(PATIENCE, exchange).await;
    let answer = answer.map_err(|_| format!("{}: no answer in time", path.display()))?.map_err(failed)?;
    match answer["error"].as_str() {
        Some(error) => Err(error.to_owned()),
        None => Ok(answer),
    }
}

/// Serves the admin socket of a site until it is dropped. `switches` are those whose state faults may change, by node.
pub async fn admin(listener: UnixListener, faults: Faults, switches: Vec<(String, Vrs)>) {
    let mut clients = JoinSet::new();
    let switches = Arc::new(switches);
    loop {
        tokio::select! {
            biased;
            Some(_) = clients.join_next(), if !clients.is_empty() => {}
            accepted = listener.accept(), if clients.len() < MAX_CLIENTS => match accepted {
                Ok((stream, _)) => {
                    let (faults, switches) = (faults.clone(), Arc::clone(&switches));
                    clients.spawn(async move {
                        let _ = tokio::time::timeout(PATIENCE, answer(stream, &faults, &switches)).await;
                    });
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
        }
    }
}

async fn answer(mut stream: UnixStream, faults: &Faults, switches: &[(String, Vrs)]) -> std::io::Result<()> {
    let mut line = String::new();
    let (reader, mut writer) = stream.split();
    BufReader::new(reader.take(MAX_LINE)).read_line(&mut line).await?;
    let told = match serde_json::from_str::<Ask>(&line) {
        Ok(ask) => carry_out(ask, faults, switches).map_err(|refused| refused.0),
        Err(error) => Err(format!("no request: {error}")),
    };
    let told = told.unwrap_or_else(|error| json!({ "error": error }));
    writer.write_all(format!("{told}\n").as_bytes()).await
}

fn carry_out(ask: Ask, faults: &Faults, switches: &[(String, Vrs)]) -> Result<Value, Refused> {
    match ask {
        Ask::List {} => {}
        Ask::On { name, chance, times, lasts, nodes, values } => {
            let definition = find(&name).ok_or_else(|| Refused::unknown_fault(&name))?;
            let mut setting = Setting {
                chance: chance.as_deref().map_or(Ok(CERTAIN), read_chance)?,
                times,
                lasts: lasts.as_deref().map(read_duration).transpose()?,
                nodes: (!nodes.is_empty()).then_some(nodes),
                ..Setting::default()
            };
            for value in &values {
                setting.assign(definition, value)?;
            }
            if let Some(unknown) = setting.nodes.iter().flatten().find(|node| unknown_node(node, switches)) {
                return Err(Refused(format!("there is no node {unknown:?}")));
            }
            turn_on(definition, setting, faults, switches)?;
        }
        Ask::Off { name } => {
            if let Some(name) = &name {
                find(name).ok_or_else(|| Refused::unknown_fault(name))?;
            }
            let wanted = |on: &Shown| name.as_ref().is_none_or(|name| on.name == name);
            for on in faults.list().iter().filter(|on| wanted(on)) {
                turn_off(on.id, faults, switches);
            }
        }
    }
    Ok(shown(faults))
}

fn unknown_node(node: &str, switches: &[(String, Vrs)]) -> bool {
    !switches.is_empty() && !switches.iter().any(|(name, _)| name == node)
}

/// A chance from 0 to 1.
fn read_chance(text: &str) -> Result<u64, Refused> {
    let chance: Option<f64> = text.parse().ok().filter(|chance| (0.0..=1.0).contains(chance));
    let chance = chance.ok_or_else(|| Refused(format!("a chance is from 0 to 1, not {text:?}")))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to a million")]
    let parts = (chance * 1e6).round() as u64;
    Ok(parts)
}

fn read_duration(text: &str) -> Result<Duration, Refused> {
    duration(text).ok_or_else(|| Refused(format!("a duration is like 10s, at most 24h, not {text:?}")))
}

fn turn_on(
    definition: &'static Definition,
    setting: Setting,
    faults: &Faults,
    switches: &[(String, Vrs)],
) -> Result<(), Refused> {
    let lasts = setting.lasts;
    let id = faults.on(definition.name, setting)?;
    if definition.effect == Effect::SwitchState {
        for (node, vrs) in concerned(id, faults, switches) {
            vrs.suffer(definition.name);
            faults.count(id, &Caller::new(node, ""));
        }
        if let Some(lasts) = lasts {
            // Whoever turns it off earlier has done so by then.
            let (faults, switches) = (faults.clone(), switches.to_vec());
            tokio::spawn(async move {
                tokio::time::sleep(lasts).await;
                turn_off(id, &faults, &switches);
            });
        }
    }
    Ok(())
}

fn turn_off(id: u64, faults: &Faults, switches: &[(String, Vrs)]) {
    let all = faults.every();
    let Some(on) = all.iter().find(|on| on.id == id) else { return };
    if find(on.name).is_some_and(|definition| definition.effect == Effect::SwitchState) {
        for (_, vrs) in concerned(id, faults, switches) {
            vrs.recover(on.name, &on.setting.values);
        }
    }
    faults.off(id);
}

/// The switches that a fault concerns.
fn concerned<'a>(id: u64, faults: &Faults, switches: &'a [(String, Vrs)]) -> Vec<&'a (String, Vrs)> {
    let all = faults.every();
    let Some(on) = all.iter().find(|on| on.id == id) else { return Vec::new() };
    let nodes = on.setting.nodes.as_ref();
    switches.iter().filter(|(node, _)| nodes.is_none_or(|nodes| nodes.contains(node))).collect()
}

/// What there is, what is on, and what has struck.
fn shown(faults: &Faults) -> Value {
    let on: Vec<Value> = faults
        .list()
        .iter()
        .map(|on| {
            let values: serde_json::Map<String, Value> = on
                .setting
                .values
                .iter()
                .map(|(name, value)| (name.to_owned(), json!(value.to_string())))
                .collect();
            json!({
                "name": on.name, "chance": chance(on.setting.chance), "times": on.setting.times,
                "for": on.setting.lasts.map(|lasts| format!("{lasts:?}")), "nodes": on.setting.nodes,
                "values": values, "hits": on.hits
            })
        })
        .collect();
    let struck = faults.hits();
    let hits = |name: &str| {
        struck.iter().filter(|((known, _), _)| *known == name).map(|(_, hits)| hits).sum::<u64>()
    };
    let known: Vec<Value> = ALL
        .iter()
        .map(|known| {
            let takes = known.parameters.iter().map(|parameter| {
                let takes = parameter.takes;
                json!({
                    "name": parameter.name, "about": parameter.about, "takes": takes.words(),
                    "default": takes.default_value().to_string()
                })
            });
            json!({
                "name": known.name, "about": known.about, "parameters": takes.collect::<Vec<_>>(),
                "hits": hits(known.name)
            })
        })
        .collect();
    json!({ "faults": known, "on": on })
}

fn chance(parts: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "at most a million")]
    let (parts, all) = (parts as f64, CERTAIN as f64);
    parts / all
}
