//! What is being watched, as far as a script has to know it. The real server 3.1 keeps one record of changes for all monitors of
//! the same tables, columns and events, in arrays as long as it has columns. A condition on a further column lengthens the list
//! of columns and not the arrays that wait for the next change: where another monitor holds these, the real server reads beyond
//! their end. So a script never does that; once the column is known, or where a monitor is alone, it does everything.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// A table and a column of it.
type Place = (String, String);

/// The open monitors of all sessions.
#[derive(Default)]
pub(crate) struct Watched {
    /// By session and id: what each has of tables, columns and events, and whether it has conditions.
    scopes: BTreeMap<(usize, String), (String, bool)>,
    /// What conditions have looked at, by the same.
    looked_at: BTreeMap<String, BTreeSet<Place>>,
}

/// What a request does to it where it is not refused.
#[derive(Clone, Debug)]
pub(crate) enum Watch {
    Open { id: String, scope: String, conditional: bool, looks_at: BTreeSet<Place> },
    Change { from: String, to: String, looks_at: BTreeSet<Place> },
    Close(String),
}

/// The requests on each table, one or several.
fn each(requests: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    requests.iter().flat_map(|(table, requests)| {
        let several = requests.as_array().map_or_else(|| std::slice::from_ref(requests), Vec::as_slice);
        several.iter().map(move |request| (table, request))
    })
}

/// The columns that the conditions of these requests look at.
pub(crate) fn looks_at(requests: &Map<String, Value>) -> BTreeSet<Place> {
    let places = each(requests).flat_map(|(table, request)| {
        let clauses = request["where"].as_array().into_iter().flatten();
        clauses.filter_map(move |clause| Some((table.clone(), clause[0].as_str()?.to_owned())))
    });
    places.collect()
}

/// What these requests have in common with others that differ in their conditions alone.
pub(crate) fn scope(requests: &Map<String, Value>) -> String {
    let one = |(table, request): (&String, &Value)| {
        let mut columns: Option<Vec<&str>> =
            request["columns"].as_array().map(|names| names.iter().filter_map(Value::as_str).collect());
        if let Some(columns) = &mut columns {
            columns.sort_unstable();
        }
        let events = ["initial", "insert", "delete", "modify"].map(|event| request["select"][event] != false);
        json!([table, columns, events])
    };
    Value::Array(each(requests).map(one).collect()).to_string()
}

/// Whether a scope tells a column by itself.
fn tells(scope: &str, (table, column): &Place) -> bool {
    let tables: Value = serde_json::from_str(scope).unwrap_or_default();
    let mut these = tables.as_array().into_iter().flatten().filter(|one| one[0] == **table);
    let named = |one: &Value| one[1].as_array().is_none_or(|names| names.iter().any(|name| name == column));
    column == "_uuid" || these.any(named)
}

impl Watched {
    fn holders(&self, scope: &str) -> usize {
        self.scopes.values().filter(|(known, _)| known == scope).count()
    }

    fn is_new(&self, scope: &str, looks_at: &BTreeSet<Place>) -> bool {
        let known = |place: &Place| {
            tells(scope, place) || self.looked_at.get(scope).is_some_and(|known| known.contains(place))
        };
        !looks_at.iter().all(known)
    }

    /// Whether a monitor with these conditions would share its record of changes, and lengthen it.
    pub(crate) fn breaks_open(&self, scope: &str, looks_at: &BTreeSet<Place>) -> bool {
        self.holders(scope) > 0 && self.is_new(scope, looks_at)
    }

    /// Whether these conditions would lengthen what a monitor shares.
    pub(crate) fn breaks_change(&self, session: usize, id: &str, looks_at: &BTreeSet<Place>) -> bool {
        let scope = self.scopes.get(&(session, id.to_owned()));
        scope.is_some_and(|(scope, conditional)| {
            *conditional && self.holders(scope) > 1 && self.is_new(scope, looks_at)
        })
    }

    /// A request was not refused.
    pub(crate) fn learn(&mut self, session: usize, watch: Watch) {
        match watch {
            Watch::Open { id, scope, conditional, looks_at } => {
                self.looked_at.entry(scope.clone()).or_default().extend(looks_at);
                self.scopes.insert((session, id), (scope, conditional));
            }
            Watch::Change { from, to, looks_at } => {
                let Some((scope, conditional)) = self.scopes.remove(&(session, from)) else { return };
                if conditional {
                    self.looked_at.entry(scope.clone()).or_default().extend(looks_at);
                }
                self.scopes.insert((session, to), (scope, conditional));
            }
            Watch::Close(id) => {
                self.scopes.remove(&(session, id));
                let Self { scopes, looked_at } = self;
                looked_at.retain(|scope, _| scopes.values().any(|(known, _)| known == scope));
            }
        }
    }
}
