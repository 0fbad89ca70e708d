//! The methods of the protocol (RFC 7047 section 4.1; ovsdb-server(7) for the extensions), apart from the connection
//! that carries them. A method answers at once; only a transaction that waits does not.

use std::collections::BTreeMap;

use nuage_ovsdb::read::{is_id, parse_uuid, quote};
use nuage_ovsdb::schema::DatabaseSchema;
use nuage_ovsdb::text;
use serde_json::{Value, json};

use super::failure::Failure;
use super::lock::{Released, Taken};
use super::outbox::Sort;
use super::sessions::{Monitor, ZERO};
use super::storage::Database;
use super::transaction::{Done, Outcome, Reply};
use super::view::{Kind, View};
use super::{SERVER_DATABASE, Server, State};

/// A transaction that waits for others' commits.
pub(super) struct Blocked {
    /// The request's id as text, by which `cancel` finds it.
    pub(super) key: String,
    pub(super) id: Value,
    pub(super) params: Vec<Value>,
    /// In milliseconds from its start.
    pub(super) timeout: Option<u64>,
}

/// What a request is answered with.
enum Answer {
    Result(Value),
    Error(Value),
    /// A transaction on this database has come to its end.
    Results(String, Done),
    /// The answer stands in the outbox already, or comes later.
    Given,
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        Self::Error(failure.to_json())
    }
}

impl From<Result<Answer, Failure>> for Answer {
    fn from(result: Result<Answer, Failure>) -> Self {
        result.unwrap_or_else(Self::from)
    }
}

impl Server {
    /// Carries out a request and answers it; returns the transaction if it has to wait.
    pub(super) fn request(
        &self,
        session: u64,
        method: &str,
        params: Vec<Value>,
        id: Value,
    ) -> Option<Blocked> {
        let mut state = self.state();
        // Whatever it does not know yet it gets before the answer.
        state.catch_up(session);
        state.take_order(session, method);
        let answer = match method {
            "transact" => {
                let key = quote(&id);
                if state.sessions.get(&session).is_some_and(|session| session.blocked.contains(&key)) {
                    Failure::new("syntax error", "transact: duplicate request ID").about(&id).into()
                } else {
                    match self.first_try(&mut state, session, &params) {
                        Ok(answer) => answer,
                        Err(timeout) => {
                            if let Some(session) = state.sessions.get_mut(&session) {
                                // Its answer may be long in coming: nothing waits for it.
                                session.outbox.forget_order();
                                session.blocked.insert(key.clone());
                            }
                            return Some(Blocked { key, id, params, timeout });
                        }
                    }
                }
            }
            "echo" => Answer::Result(Value::Array(params)),
            "list_dbs" => Answer::Result(state.databases.keys().cloned().collect()),
            "get_schema" => named_database(&state.databases, method, &params)
                .map(|(_, database)| Answer::Result(database.schema.to_json()))
                .into(),
            "monitor" => begin_monitor(&mut state, session, Kind::Plain, method, &params, &id).into(),
            "monitor_cond" => {
                begin_monitor(&mut state, session, Kind::Conditional, method, &params, &id).into()
            }
            "monitor_cond_since" => {
                begin_monitor(&mut state, session, Kind::Since, method, &params, &id).into()
            }
            "monitor_cond_change" => change_monitor(&mut state, session, &params).into(),
            "monitor_cancel" => cancel_monitor(&mut state, session, &params),
            "lock" | "steal" => lock(&mut state, session, method, &params).into(),
            "unlock" => unlock(&mut state, session, &params).into(),
            "get_server_id" => Answer::Result(json!(self.0.identifier.to_string())),
            "set_db_change_aware" => set_aware(&mut state, session, &params).into(),
            "convert" => self.convert(&mut state, &params).into(),
            _ => Answer::Error(json!("unknown method")),
        };
        state.reply(session, &id, answer);
        None
    }

    /// Looks at a waiting transaction again; true once it has been answered or is not wanted any more.
    pub(super) fn retry(&self, session: u64, blocked: &Blocked, waited: u64) -> bool {
        let mut state = self.state();
        if !state.sessions.get(&session).is_some_and(|session| session.blocked.contains(&blocked.key)) {
            return true;
        }
        match self.try_transact(&mut state, session, &blocked.params, waited) {
            Ok(answer) => {
                if let Some(session) = state.sessions.get_mut(&session) {
                    session.blocked.remove(&blocked.key);
                }
                state.catch_up(session);
                state.reply(session, &blocked.id, answer);
                state.wake(session);
                true
            }
            Err(_) => false,
        }
    }

    /// A notification; `cancel` alone means something. As the real 3.1, a session that did not say
    /// `set_db_change_aware` gets no answer to what it has cancelled.
    pub(super) fn notification(&self, session: u64, method: &str, params: &[Value]) {
        let (mut state, ("cancel", [id])) = (self.state(), (method, params)) else { return };
        let Some(known) = state.sessions.get_mut(&session) else { return };
        if known.blocked.remove(&quote(id)) && known.aware {
            state.catch_up(session);
            state.reply(session, id, Answer::Error(json!("canceled")));
        }
    }

    /// Tries a transaction that has just come: a fault may make an operation of it fail.
    fn first_try(&self, state: &mut State, session: u64, params: &[Value]) -> Result<Answer, Option<u64>> {
        let operations = params.get(1..).unwrap_or_default();
        let known = state.sessions.get(&session);
        let refused = known.and_then(|known| state.faults.refuse(&known.operation, operations));
        let (Some(refusal), Some(name)) = (refused, params.first().and_then(Value::as_str)) else {
            return self.try_transact(state, session, params, 0);
        };
        // What came before it is answered as it would have been; nothing of it is kept.
        let mut results = match state.run(self, Some(session), name, &operations[..refusal.position], 0) {
            Some(Outcome::Done(done)) => done.results,
            Some(Outcome::Blocked { .. }) | None => Vec::new(),
        };
        results.resize_with(refusal.position, || Reply::Nothing);
        results.push(Reply::Failed(Failure::new(refusal.error, "a fault of the emulator")));
        results.resize_with(operations.len(), || Reply::Unreached);
        Ok(Answer::Results(name.to_owned(), Done::refused(results)))
    }

    fn try_transact(
        &self,
        state: &mut State,
        session: u64,
        params: &[Value],
        waited: u64,
    ) -> Result<Answer, Option<u64>> {
        let name = match named_database(&state.databases, "transact", params) {
            Ok((name, _)) => name.to_owned(),
            Err(failure) => return Ok(failure.into()),
        };
        match state.run(self, Some(session), &name, &params[1..], waited) {
            Some(Outcome::Done(mut done)) => {
                self.publish(state, &name, &mut done);
                Ok(Answer::Results(name, done))
            }
            Some(Outcome::Blocked { timeout }) => Err(timeout),
            None => Ok(Answer::Error(json!("unknown database"))),
        }
    }

    /// Gives a database another schema, as the real server does online: rows keep what both schemas know.
    fn convert(&self, state: &mut State, params: &[Value]) -> Result<Answer, Failure> {
        let (name, database) = named_database(&state.databases, "convert", params)?;
        let [_, json] = params else { return Err(Failure::syntax("array expected", &json!(params))) };
        let schema = DatabaseSchema::from_json(json)?;
        if schema.name != name {
            let details = format!("new schema name ({}) does not match database name ({name})", schema.name);
            return Err(Failure::new("invalid parameters", details));
        }
        let converted = super::convert::convert(database, schema, &self.0.entropy)?;
        let name = name.to_owned();
        self.replace(state, &name, converted)?;
        Ok(Answer::Result(json!({})))
    }
}

fn named_database<'a>(
    databases: &'a BTreeMap<String, Database>,
    method: &str,
    params: &'a [Value],
) -> Result<(&'a str, &'a Database), Failure> {
    let all = || Value::Array(params.to_vec());
    let Some(name) = params.first().and_then(Value::as_str) else {
        return Err(Failure::syntax(format!("{method} request params must begin with <db-name>"), &all()));
    };
    databases.get(name).map(|database| (name, database)).ok_or_else(|| {
        let details = format!("{method} request specifies unknown database {name}");
        Failure::new("unknown database", details).about(&all())
    })
}

fn invalid_parameters(params: &[Value]) -> Failure {
    Failure::syntax("invalid parameters", &json!(params))
}

/// Begins a monitor and answers with what is there: straight into the outbox, because that may be the whole database.
fn begin_monitor(
    state: &mut State,
    session: u64,
    kind: Kind,
    method: &str,
    params: &[Value],
    id: &Value,
) -> Result<Answer, Failure> {
    let State { sessions, views, databases, .. } = state;
    let (name, database) = named_database(databases, method, params)?;
    // The real 3.1 crashes on too few parameters; an error is the better answer.
    let (monitor_id, requests) = match (kind, params) {
        (Kind::Since, [_, id, requests, last]) => {
            let last = last.as_str().ok_or_else(|| Failure::syntax("last-txn-id must be string", last))?;
            if parse_uuid(last).is_none() {
                return Err(Failure::syntax("last-txn-id must be UUID format.", &json!(last)));
            }
            (id, requests)
        }
        (Kind::Plain | Kind::Conditional, [_, id, requests]) => (id, requests),
        _ => return Err(invalid_parameters(params)),
    };
    if !requests.is_object() {
        return Err(Failure::syntax("monitor-requests must be object", requests));
    }
    if sessions.get(&session).is_some_and(|session| session.knows(monitor_id)) {
        return Err(Failure::syntax("duplicate monitor ID", monitor_id));
    }
    let view = View::read(kind, name, database, requests)?;
    let (number, view) = views.share(view);
    if let Some(session) = sessions.get_mut(&session) {
        let begun = session.outbox.begin();
        let tail = begin_result(session.outbox.tail(), id);
        // Only a clustered database remembers transactions, so nothing is ever found.
        if kind == Kind::Since {
            tail.extend_from_slice(format!("[false,\"{ZERO}\",").as_bytes());
        }
        view.write_initial(&mut session.outbox, database);
        session.outbox.tail().extend_from_slice(if kind == Kind::Since { b"]" } else { b"" });
        end_result(session.outbox.tail());
        session.outbox.end(&begun, Sort::Answer);
        session.monitors.push(Monitor::new(monitor_id.clone(), number, view));
    }
    Ok(Answer::Given)
}

/// `monitor_cond_change`: the rows that come and go are told under the new id, before the answer.
fn change_monitor(state: &mut State, session: u64, params: &[Value]) -> Result<Answer, Failure> {
    let [old_id, new_id, requests] = params else { return Err(invalid_parameters(params)) };
    let State { sessions, views, databases, .. } = state;
    let unknown = || Failure::syntax("unknown monitor session", old_id);
    let session = sessions.get_mut(&session).ok_or_else(unknown)?;
    let position = session.monitors.iter().position(|one| one.id == *old_id).ok_or_else(unknown)?;
    if new_id != old_id && session.knows(new_id) {
        return Err(Failure::syntax("duplicate monitor ID", new_id));
    }
    let before = std::sync::Arc::clone(&session.monitors[position].view);
    let database = databases.get(before.database()).ok_or_else(unknown)?;
    let after = before.with_conditions(database, requests)?;
    let (number, after) = views.share(after);
    let monitor = Monitor::new(new_id.clone(), number, after);
    let mut body = Vec::new();
    monitor.view.write_difference(&mut body, database, &before);
    if !body.is_empty() {
        monitor.send(&mut session.outbox, &body.into());
    }
    session.monitors[position] = monitor;
    Ok(Answer::Result(json!({})))
}

fn cancel_monitor(state: &mut State, session: u64, params: &[Value]) -> Answer {
    let [id] = params else { return Answer::Error(json!("invalid parameters")) };
    let known = state.sessions.get_mut(&session);
    let found = known.and_then(|known| {
        let position = known.monitors.iter().position(|monitor| monitor.id == *id)?;
        Some(known.monitors.remove(position))
    });
    found.map_or_else(|| Answer::Error(json!("unknown monitor")), |_| Answer::Result(json!({})))
}

fn lock_name<'a>(method: &str, params: &'a [Value]) -> Result<&'a str, Failure> {
    match params {
        [Value::String(name)] if is_id(name) => Ok(name),
        _ => Err(Failure::syntax(format!("{method} request params must be <id>"), &json!(params))),
    }
}

fn lock(state: &mut State, session: u64, method: &str, params: &[Value]) -> Result<Answer, Failure> {
    let name = lock_name(method, params)?;
    let locked = match state.locks.take(name, session, method == "steal") {
        Taken::AskedBefore => {
            let details = format!("must issue \"unlock\" before new \"{method}\"");
            return Err(Failure::syntax(details, &json!(params)));
        }
        Taken::Held { victim } => {
            if let Some(victim) = victim {
                state.notify(victim, "stolen", name);
            }
            true
        }
        Taken::Waiting => false,
    };
    Ok(Answer::Result(json!({ "locked": locked })))
}

fn unlock(state: &mut State, session: u64, params: &[Value]) -> Result<Answer, Failure> {
    let name = lock_name("unlock", params)?;
    match state.locks.release(name, session) {
        Released::NotAsked => {
            let details = "unlock: \"unlock\" without \"lock\" or \"steal\"";
            return Err(Failure::syntax(details, &json!(params)));
        }
        Released::Free => {}
        Released::HeldBy(heir) => state.notify(heir, "locked", name),
    }
    Ok(Answer::Result(json!({})))
}

fn set_aware(state: &mut State, session: u64, params: &[Value]) -> Result<Answer, Failure> {
    let [Value::Bool(aware)] = params else {
        let details = "set_db_change_aware: true or false parameter expected";
        return Err(Failure::syntax(details, &json!(params)));
    };
    if let Some(session) = state.sessions.get_mut(&session) {
        session.aware = *aware;
    }
    Ok(Answer::Result(json!({})))
}

fn begin_result<'a>(out: &'a mut Vec<u8>, id: &Value) -> &'a mut Vec<u8> {
    out.extend_from_slice(b"{\"id\":");
    text::json(out, id);
    out.extend_from_slice(b",\"result\":");
    out
}

fn end_result(out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"error\":null}");
}

impl State {
    /// The order in which the session gets what a request of `method` causes.
    fn take_order(&mut self, session: u64, method: &str) {
        if let Some(session) = self.sessions.get_mut(&session) {
            session.outbox.set_order(self.faults.order(&session.operation, method));
        }
    }

    fn reply(&mut self, session: u64, id: &Value, answer: Answer) {
        let Some(session) = self.sessions.get_mut(&session) else { return };
        let outbox = &mut session.outbox;
        let begun = outbox.begin();
        match answer {
            Answer::Given => return,
            Answer::Result(result) => {
                text::json(begin_result(outbox.tail(), id), &result);
                end_result(outbox.tail());
            }
            Answer::Results(name, done) => {
                let Some(database) = self.databases.get(&name) else { return };
                begin_result(outbox.tail(), id).push(b'[');
                for (position, result) in done.results.iter().enumerate() {
                    if position > 0 {
                        outbox.tail().push(b',');
                    }
                    result.write(outbox.tail(), database);
                }
                outbox.tail().push(b']');
                end_result(outbox.tail());
            }
            Answer::Error(error) => {
                // As the real server: no result beside an error.
                let out = outbox.tail();
                out.extend_from_slice(b"{\"id\":");
                text::json(out, id);
                out.extend_from_slice(b",\"error\":");
                text::json(out, &error);
                out.push(b'}');
            }
        }
        outbox.end(&begun, Sort::Answer);
    }

    /// Whether clients may only read a database.
    pub(super) fn is_reserved(name: &str) -> bool {
        name == SERVER_DATABASE
    }
}
