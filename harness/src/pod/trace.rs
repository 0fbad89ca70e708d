//! What the plugin did for a pod, step by step: read from its log, which it writes line by line as JSON.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::Site;
use crate::error::Error;

/// Of the log's end so much is read, in bytes: some thousand calls.
const MOST: u64 = 4 << 20;
/// Keys that every line has, or that end a call; the others of its last line are its steps.
const NOT_STEPS: [&str; 12] = [
    "time",
    "level",
    "verb",
    "message",
    "call",
    "sandbox",
    "interface",
    "port",
    "pod",
    "ms",
    "code",
    "error",
];

/// A call of the plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// When it ended, as the log has it.
    pub time: String,
    /// ADD, DEL.
    pub verb: String,
    /// How long it took, in milliseconds.
    pub milliseconds: f64,
    /// Its steps, the longest first, in milliseconds; they overlap.
    pub steps: Vec<(String, f64)>,
    /// The code, words and details of its failure.
    pub failure: Option<String>,
}

impl Call {
    /// As it is shown to programs.
    pub fn json(&self) -> Value {
        let steps: Map<String, Value> =
            self.steps.iter().map(|(name, took)| (name.clone(), json!(took))).collect();
        json!({
            "time": self.time, "verb": self.verb, "milliseconds": self.milliseconds, "steps": steps,
            "failure": self.failure,
        })
    }
}

/// The directory of the log.
pub(super) fn log(site: &Site) -> PathBuf {
    site.directory.join("pods/log")
}

/// The calls of a pod, in their order.
///
/// # Errors
/// There is no log, or nothing in it of this pod.
pub fn of_pod(site: &Site, namespace: &str, name: &str) -> Result<Vec<Call>, Error> {
    let path = log(site).join("nuage-cni.log");
    let pod = format!("{namespace}/{name}");
    let nothing = || Error::Pod(format!("nothing is known of {pod}: harness pod add makes it"));
    let mut file = File::open(&path).map_err(|_| nothing())?;
    let failed = |source| Error::File { path: path.clone(), source };
    let length = file.metadata().map_err(failed)?.len();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(length.saturating_sub(MOST))).map_err(failed)?;
    let mut text = Vec::new();
    file.take(MOST).read_to_end(&mut text).map_err(failed)?;
    let calls: Vec<Call> =
        String::from_utf8_lossy(&text).lines().filter_map(|line| read(line, &pod)).collect();
    if calls.is_empty() { Err(nothing()) } else { Ok(calls) }
}

/// A line that ends a call of a pod.
fn read(line: &str, pod: &str) -> Option<Call> {
    let line: Value = serde_json::from_str(line).ok()?;
    if line["pod"] != pod || !["done", "failed"].contains(&line["message"].as_str()?) {
        return None;
    }
    let number = |value: &Value| value.as_str()?.parse::<f64>().ok();
    let others = line.as_object()?.iter().filter(|(key, _)| !NOT_STEPS.contains(&key.as_str()));
    let mut steps: Vec<(String, f64)> =
        others.filter_map(|(key, value)| Some((key.clone(), number(value)?))).collect();
    steps.sort_by(|a, b| b.1.total_cmp(&a.1));
    let text = |key: &str| line[key].as_str().unwrap_or_default();
    let failure = format!("code {}: {} {}", text("code"), text("error"), text("details"));
    Some(Call {
        time: text("time").to_owned(),
        verb: text("verb").to_owned(),
        milliseconds: number(&line["ms"])?,
        steps,
        failure: (line["message"] == "failed").then(|| failure.trim_end().to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_ends_a_call_has_its_steps_and_other_lines_are_none() {
        let line = r#"{"time":"2026-01-01T00:00:00.000001Z","level":"INFO","verb":"ADD","message":"done","call":"00","pod":"shop/web","ms":"9.5","link":"4.0","look":"5.25"}"#;
        let call = read(line, "shop/web").unwrap();
        assert_eq!((call.verb.as_str(), call.milliseconds, call.failure), ("ADD", 9.5, None));
        assert_eq!(call.steps, [("look".to_owned(), 5.25), ("link".to_owned(), 4.0)]);
        for other in
            ["", "{}", "[1]", &line.replace("done", "placed"), &line.replace("shop/web", "shop/web2")]
        {
            assert_eq!(read(other, "shop/web"), None, "{other}");
        }
        let failed = line.replace("done", "failed").replace(r#""ms""#, r#""code":"101","error":"no","ms""#);
        assert_eq!(read(&failed, "shop/web").unwrap().failure.unwrap(), "code 101: no");
    }
}
