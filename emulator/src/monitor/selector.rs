//! Label selectors of network policies. Pure; what is no selector selects nothing.

use serde_json::Value;

use crate::labels::Requirement;

/// What a selector asks of labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selector(Vec<Requirement>);

impl Selector {
    /// Reads a selector; an empty one selects everything.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(selector: &Value) -> Result<Self, String> {
        let mut requirements = Vec::new();
        for (key, value) in selector["matchLabels"].as_object().into_iter().flatten() {
            let value = value.as_str().ok_or_else(|| format!("the label {key} is no text"))?;
            requirements.push(Requirement::In(key.clone(), vec![value.to_owned()]));
        }
        for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
            let key = expression["key"].as_str().ok_or("an expression without a key")?.to_owned();
            let values = expression["values"].as_array().into_iter().flatten();
            let values: Vec<String> = values.filter_map(Value::as_str).map(str::to_owned).collect();
            requirements.push(match expression["operator"].as_str() {
                Some("In") => Requirement::In(key, values),
                Some("NotIn") => Requirement::NotIn(key, values),
                Some("Exists") => Requirement::Exists(key),
                Some("DoesNotExist") => Requirement::Absent(key),
                other => return Err(format!("the operator {other:?} is not known")),
            });
        }
        Ok(Self(requirements))
    }

    /// Whether an object's labels are as asked.
    pub(super) fn selects(&self, object: &Value) -> bool {
        self.0.iter().all(|requirement| requirement.holds(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_and_expressions_all_have_to_hold_and_none_is_everything() {
        let pod = json!({"metadata": {"labels": {"app": "web", "tier": "front"}}});
        let selects = |selector: Value| Selector::read(&selector).unwrap().selects(&pod);
        let expression = |key: &str, operator: &str, values: &[&str]| {
            json!({"matchLabels": {"app": "web"},
                   "matchExpressions": [{"key": key, "operator": operator, "values": values}]})
        };
        assert!(selects(json!({})) && selects(Value::Null));
        assert!(selects(json!({"matchLabels": {"app": "web", "tier": "front"}})));
        assert!(!selects(json!({"matchLabels": {"app": "web", "tier": "back"}})));
        assert!(selects(expression("tier", "In", &["front", "back"])));
        assert!(!selects(expression("tier", "NotIn", &["front"])));
        assert!(
            selects(expression("gone", "NotIn", &["front"])) && selects(expression("tier", "Exists", &[]))
        );
        assert!(!selects(expression("tier", "DoesNotExist", &[])));
        assert!(Selector::read(&expression("tier", "Near", &[])).is_err());
    }
}
