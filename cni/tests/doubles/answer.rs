//! What an answer of the plugin may be, whatever it was asked.

use nuage_cni::Outcome;
use serde_json::Value;

/// Codes of the specification, and from 100 ours.
const CODES: [u64; 18] = [1, 2, 3, 4, 5, 6, 7, 11, 50, 51, 100, 101, 102, 103, 104, 105, 106, 107];

/// Why an outcome is no valid answer to `command`.
pub fn problem(command: &str, outcome: &Outcome) -> Option<String> {
    let text = String::from_utf8_lossy(&outcome.stdout);
    if outcome.exit_code == 0 {
        if !["ADD", "VERSION"].contains(&command) {
            return (!text.is_empty()).then(|| format!("{command} printed {text}"));
        }
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        return (!answer["cniVersion"].is_string()).then(|| format!("{command} printed {text}"));
    }
    let Ok(error) = serde_json::from_str::<Value>(&text) else { return Some(format!("no JSON: {text}")) };
    let known = error["code"].as_u64().is_some_and(|code| CODES.contains(&code));
    let told = error["msg"].as_str().is_some_and(|message| !message.is_empty());
    (!known || !told || !error["cniVersion"].is_string()).then(|| format!("no error of the protocol: {text}"))
}
