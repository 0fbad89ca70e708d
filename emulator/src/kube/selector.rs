//! Label and field selectors of a list or watch. Pure.

use serde_json::Value;

use super::status::Status;
use crate::labels::Requirement;

/// A parsed pair of selectors; both must hold.
#[derive(Clone, Debug, Default)]
pub(super) struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<(String, String, bool)>,
}

/// Fields that can be selected by.
const FIELDS: [&str; 10] = [
    "metadata.name",
    "metadata.namespace",
    "spec.nodeName",
    "status.phase",
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "reason",
    "type",
];

impl Selector {
    /// Reads `labelSelector` and `fieldSelector`.
    pub(super) fn parse(labels: Option<&str>, fields: Option<&str>) -> Result<Self, Status> {
        let labels = split(labels.unwrap_or_default())
            .into_iter()
            .map(|text| requirement(&text))
            .collect::<Result<_, _>>()?;
        let fields = split(fields.unwrap_or_default())
            .into_iter()
            .map(|text| field(&text))
            .collect::<Result<_, _>>()?;
        Ok(Self { labels, fields })
    }

    /// The node whose pods are asked for, if it is one.
    pub(super) fn node(&self) -> Option<&str> {
        let found = self.fields.iter().find(|(field, _, equal)| field == "spec.nodeName" && *equal);
        found.map(|(_, value, _)| value.as_str())
    }

    /// Whether an object is selected.
    pub(super) fn matches(&self, object: &Value) -> bool {
        self.labels.iter().all(|requirement| requirement.holds(object))
            && self.fields.iter().all(|(field, wanted, equal)| {
                let found =
                    field.split('.').fold(object, |value, part| &value[part]).as_str().unwrap_or_default();
                (found == wanted) == *equal
            })
    }
}

/// Splits at commas outside parentheses.
fn split(text: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0_u32);
    for character in text.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = parts.last_mut() {
            last.push(character);
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn requirement(text: &str) -> Result<Requirement, Status> {
    let set = |rest: &str| -> Option<Vec<String>> {
        let inner = rest.trim().strip_prefix('(')?.strip_suffix(')')?;
        Some(inner.split(',').map(|value| value.trim().to_owned()).collect())
    };
    if let Some((key, value)) = text.split_once("!=") {
        return Ok(Requirement::NotIn(key.trim().to_owned(), vec![value.trim().to_owned()]));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Ok(Requirement::In(key.trim().to_owned(), vec![value.trim().to_owned()]));
    }
    let wrong = || Status::bad_request(format!("unable to parse requirement: {text}"));
    if let Some((key, rest)) = text.split_once(" notin ") {
        return Ok(Requirement::NotIn(key.trim().to_owned(), set(rest).ok_or_else(wrong)?));
    }
    if let Some((key, rest)) = text.split_once(" in ") {
        return Ok(Requirement::In(key.trim().to_owned(), set(rest).ok_or_else(wrong)?));
    }
    if text.contains([' ', '(', ')']) {
        return Err(wrong());
    }
    Ok(match text.strip_prefix('!') {
        Some(key) => Requirement::Absent(key.to_owned()),
        None => Requirement::Exists(text.to_owned()),
    })
}

fn field(text: &str) -> Result<(String, String, bool), Status> {
    let unequal = text.split_once("!=").map(|(key, value)| (key, value, false));
    let equal =
        || text.split_once("==").or_else(|| text.split_once('=')).map(|(key, value)| (key, value, true));
    let wrong = || Status::bad_request(format!("invalid field selector: {text}"));
    let (key, value, equal) = unequal.or_else(equal).ok_or_else(wrong)?;
    if !FIELDS.contains(&key) {
        return Err(Status::bad_request(format!("field label not supported: {key}")));
    }
    Ok((key.to_owned(), value.to_owned(), equal))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selects(labels: &str, fields: &str) -> bool {
        let object = json!({
            "metadata": {"name": "web-0", "labels": {"app": "web", "tier": "front"}}, "spec": {"nodeName": "node-1"}
        });
        Selector::parse(Some(labels), Some(fields)).unwrap().matches(&object)
    }

    #[test]
    fn labels_and_fields_select_as_kubernetes_does() {
        for labels in
            ["app=web", "app==web,tier!=back", "app in (web, db),!gone", "tier notin (back)", "app", ""]
        {
            assert!(selects(labels, "spec.nodeName=node-1,metadata.name!=x"), "{labels}");
        }
        for labels in ["app=db", "!app", "gone", "app notin (web)", "app!=web"] {
            assert!(!selects(labels, ""), "{labels}");
        }
        assert!(!selects("", "spec.nodeName=node-2"));
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for (labels, fields) in [("a b", ""), ("a in b", ""), ("", "spec.color=red"), ("", "x")] {
            assert!(Selector::parse(Some(labels), Some(fields)).is_err(), "{labels} {fields}");
        }
    }
}
