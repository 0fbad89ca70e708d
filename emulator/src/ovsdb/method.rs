//! The methods of the protocol (RFC 7047 section 4.1; ovsdb-server(7) for the extensions), apart from the connection
//! that carries them. A method answers at once; only a transaction that waits does not.

use nuage_ovsdb::rpc::Message;
use serde_json::{Value, json};

use super::failure::Failure;
use super::monitor::{Kind, Monitor, ZERO};
use super::storage::Database;
use super::transaction::Outcome;
use super::{SERVER_DATABASE, Server, State};
use crate::faults::Order;

/// A transaction that waits for others' commits.
pub(super) struct Blocked {
    pub(super) id: Value,
    pub(super) params: Vec<Value>,
    /// In milliseconds from its start.
    pub(super) timeout: Option<u64>,
}

/// What a request is answered with.
enum Answer {
    Result(Value),
    Error(Value),
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        Self::Error(failure.to_json())
    }
}

impl Server {
    /// Carries out a request and sends its answer; returns the transaction if it has to wait.
    pub(super) fn request(
        &self,
        session: u64,
        method: &str,
        params: Vec<Value>,
        id: Value,
    ) -> Option<Blocked> {
        let mut state = self.state();
        state.take_order(session, method);
        let answer = match method {
            "transact" => match self.first_try(&mut state, session, &params) {
                Ok(answer) => answer,
                Err(timeout) => return Some(Blocked { id, params, timeout }),
            },
            "echo" => Answer::Result(Value::Array(params)),
            "list_dbs" => Answer::Result(state.databases.keys().cloned().collect()),
            "get_schema" => match named_database(&state, "get_schema", &params) {
                Ok((_, database)) => Answer::Result(database.schema.to_json()),
                Err(failure) => failure.into(),
            },
            "monitor" => begin_monitor(&mut state, session, Kind::Plain, "monitor", &params),
            "monitor_cond" => begin_monitor(&mut state, session, Kind::Conditional, "monitor_cond", &params),
            "monitor_cond_since" => {
                begin_monitor(&mut state, session, Kind::Since, "monitor_cond_since", &params)
            }
            "monitor_cancel" => cancel_monitor(&mut state, session, &params),
            "get_server_id" => Answer::Result(json!(self.0.identifier.to_string())),
            "set_db_change_aware" if matches!(params.as_slice(), [Value::Bool(_)]) => {
                Answer::Result(json!({}))
            }
            "set_db_change_aware" => {
                let details = "set_db_change_aware: true or false parameter expected";
                Failure::syntax(details, &Value::Array(params)).into()
            }
            _ => Answer::Error(json!("unknown method")),
        };
        state.reply(session, id, answer);
        None
    }

    /// Looks at a waiting transaction again; true once it has been answered.
    pub(super) fn retry(&self, session: u64, blocked: &Blocked, waited: u64) -> bool {
        let mut state = self.state();
        match self.try_transact(&mut state, &blocked.params, waited) {
            Ok(answer) => {
                state.reply(session, blocked.id.clone(), answer);
                true
            }
            Err(_) => false,
        }
    }

    /// Tries a transaction that has just come: a fault may make an operation of it fail.
    fn first_try(&self, state: &mut State, session: u64, params: &[Value]) -> Result<Answer, Option<u64>> {
        let operations = params.get(1..).unwrap_or_default();
        let refused = state
            .sessions
            .get(&session)
            .and_then(|session| state.faults.refuse(&session.operation, operations));
        let (Some(refusal), Some(name)) = (refused, params.first().and_then(Value::as_str)) else {
            let tried = self.try_transact(state, params, 0);
            if let (Err(_), Some(session)) = (&tried, state.sessions.get_mut(&session)) {
                // Its answer may be long in coming: nothing waits for it.
                session.order = Order::AsHappened;
            }
            return tried;
        };
        // What came before it is answered as it would have been; nothing of it is kept.
        let mut results = match state.run(self, name, &operations[..refusal.position], 0) {
            Some(Outcome::Done { results, .. }) => results,
            Some(Outcome::Blocked { .. }) | None => Vec::new(),
        };
        results.resize(refusal.position, json!({}));
        results.push(json!({"error": refusal.error, "details": "a fault of the emulator"}));
        results.resize(operations.len(), Value::Null);
        Ok(Answer::Result(Value::Array(results)))
    }

    fn try_transact(&self, state: &mut State, params: &[Value], waited: u64) -> Result<Answer, Option<u64>> {
        let name = match named_database(state, "transact", params) {
            Ok((name, _)) => name.to_owned(),
            Err(failure) => return Ok(failure.into()),
        };
        let operations = &params[1..];
        if name == SERVER_DATABASE && operations.iter().any(|operation| !is_reading(operation)) {
            return Ok(Answer::Result(refused(operations)));
        }
        match state.run(self, &name, operations, waited) {
            Some(Outcome::Done { results, changes }) => {
                self.publish(state, &name, &changes);
                Ok(Answer::Result(Value::Array(results)))
            }
            Some(Outcome::Blocked { timeout }) => Err(timeout),
            None => Ok(Answer::Error(json!("unknown database"))),
        }
    }
}

fn is_reading(operation: &Value) -> bool {
    ["select", "wait", "comment", "abort", "assert"].iter().any(|name| operation["op"] == *name)
}

/// The results of a transaction that tries to write to the reserved database: all but the first attempt unreached.
fn refused(operations: &[Value]) -> Value {
    let first = operations.iter().position(|operation| !is_reading(operation)).unwrap_or(0);
    let name = operations[first]["op"].as_str().unwrap_or_default();
    let details = format!("{name} operation not allowed on table in reserved database {SERVER_DATABASE}");
    let mut results = vec![Value::Null; operations.len()];
    results[..first].fill(json!({}));
    results[first] = Failure::new("not allowed", details).to_json();
    Value::Array(results)
}

fn named_database<'a>(
    state: &'a State,
    method: &str,
    params: &'a [Value],
) -> Result<(&'a str, &'a Database), Failure> {
    let all = || Value::Array(params.to_vec());
    let Some(name) = params.first().and_then(Value::as_str) else {
        return Err(Failure::syntax(format!("{method} request params must begin with <db-name>"), &all()));
    };
    state.databases.get(name).map(|database| (name, database)).ok_or_else(|| {
        let details = format!("{method} request specifies unknown database {name}");
        Failure::new("unknown database", details).about(&all())
    })
}

fn begin_monitor(state: &mut State, session: u64, kind: Kind, method: &str, params: &[Value]) -> Answer {
    let (name, database) = match named_database(state, method, params) {
        Ok((name, database)) => (name, database),
        Err(failure) => return failure.into(),
    };
    // The real 3.1 crashes on too few parameters; an error is the better answer.
    let (Some(id), Some(requests)) = (params.get(1), params.get(2)) else {
        return Failure::syntax(format!("{method} needs a database, an id and requests"), &json!(params))
            .into();
    };
    let known =
        state.sessions.get(&session).is_some_and(|session| session.monitors.iter().any(|one| one.id == *id));
    if known {
        return Failure::syntax("duplicate monitor ID", id).into();
    }
    let (monitor, initial) = match Monitor::new(kind, name, database, id, requests) {
        Ok(monitor) => {
            let initial = monitor.initial(database);
            (monitor, initial)
        }
        Err(failure) => return failure.into(),
    };
    if let Some(session) = state.sessions.get_mut(&session) {
        session.monitors.push(monitor);
    }
    // Only a clustered database remembers transactions, so nothing is ever found.
    Answer::Result(if kind == Kind::Since { json!([false, ZERO, initial]) } else { initial })
}

fn cancel_monitor(state: &mut State, session: u64, params: &[Value]) -> Answer {
    let [id] = params else { return Answer::Error(json!("invalid parameters")) };
    let Some(session) = state.sessions.get_mut(&session) else {
        return Answer::Error(json!("unknown monitor"));
    };
    let before = session.monitors.len();
    session.monitors.retain(|monitor| monitor.id != *id);
    if session.monitors.len() == before {
        return Answer::Error(json!("unknown monitor"));
    }
    Answer::Result(json!({}))
}

impl State {
    /// The order in which the session gets what a request of `method` causes.
    fn take_order(&mut self, session: u64, method: &str) {
        if let Some(session) = self.sessions.get_mut(&session)
            && session.held.is_empty()
        {
            session.order = self.faults.order(&session.operation, method);
        }
    }

    fn reply(&mut self, session: u64, id: Value, answer: Answer) {
        let (result, error) = match answer {
            Answer::Result(result) => (result, Value::Null),
            Answer::Error(error) => (Value::Null, error),
        };
        self.send(session, &Message::Response { result, error, id });
    }
}
