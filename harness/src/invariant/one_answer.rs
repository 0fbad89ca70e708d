//! `error_code_in_spec_and_stdout_is_one_json`: standard output belongs to the runtime, which reads it as one JSON text.

use serde_json::Value;

use super::{CallView, Invariant};

pub(super) const INVARIANT: Invariant = Invariant::of_call(
    "error_code_in_spec_and_stdout_is_one_json",
    "a call that succeeds prints one result (ADD, VERSION) or nothing; one that fails prints one error object, with a code of \
     the specification or from 100, and ends with 1",
    check,
);

fn check(view: &CallView<'_>) -> Result<(), String> {
    let Some(outcome) = view.ended.outcome else { return Ok(()) };
    let text = String::from_utf8_lossy(&outcome.stdout);
    let wrong = |what: &str| Err(format!("{}: {what}: {text:?}", view.name()));
    let printed: Option<Value> = serde_json::from_str(&text).ok();
    let object = printed.filter(Value::is_object);
    match (outcome.exit_code, object) {
        (0, object) if ["ADD", "VERSION"].contains(&view.ended.asked.command.as_str()) => match object {
            Some(result) if result["cniVersion"].is_string() && result["code"].is_null() => Ok(()),
            _ => wrong("its success is no result"),
        },
        (0, _) if outcome.stdout.is_empty() => Ok(()),
        (0, _) => wrong("its success is not silent"),
        (1, Some(error)) if error["msg"].is_string() && error["cniVersion"].is_string() => {
            match error["code"].as_u64() {
                Some(1..=7 | 11 | 50 | 51 | 100..) => Ok(()),
                _ => wrong("no code for an error"),
            }
        }
        (1, _) => wrong("its failure is no error object"),
        (code, _) => wrong(&format!("it ended with {code}")),
    }
}
