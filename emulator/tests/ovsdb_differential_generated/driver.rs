//! Sends one request at a time to both servers, collects everything that it causes on every session of both, and compares.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use nuage_ovsdb::rpc::Message;
use nuage_ovsdb::schema::DatabaseSchema;
use serde_json::{Value, json};

use super::generator::{Generator, Step, Subject};
use super::normal::Bijection;
use super::peers::{Ours, Peer, Real, Session};
use super::values::{NOBODY, ZERO};

/// Sessions of a script: one that acts may watch, too, and others watch it.
pub(crate) const SESSIONS: usize = 3;
/// After so many requests all rows are compared.
const CHECKPOINT: usize = 8;

/// The same session on both servers.
struct Pair {
    real: Session,
    ours: Session,
}

/// Both servers and what is known of their identifiers.
pub(crate) struct Driver {
    real: Real,
    ours: Ours,
    schema: DatabaseSchema,
    pairs: Vec<Pair>,
    names: Bijection,
    requests: u64,
    /// Requests that the real server has not answered yet.
    waiting: i64,
    /// Transactions that both were asked for.
    pub(crate) transactions: usize,
    /// Answers that are the same only because the real server's order comes from a hash.
    pub(crate) tolerated: usize,
}

/// How often both are asked for more while one has said more than the other.
const MOST_ROUNDS: usize = 100;

/// What differs, for a person.
pub(crate) type Difference = String;

impl Driver {
    /// `None` where there is no real server.
    pub(crate) fn start(test: &str, schema: &Value) -> Option<Self> {
        let real = Real::start(test, schema)?;
        let ours = Ours::start(schema);
        let schema = DatabaseSchema::from_json(schema).unwrap();
        let mut driver = Self {
            real,
            ours,
            schema,
            pairs: Vec::new(),
            names: Bijection::default(),
            requests: 0,
            waiting: 0,
            transactions: 0,
            tolerated: 0,
        };
        driver.reconnect();
        Some(driver)
    }

    /// Whether the real server goes on.
    pub(crate) fn real_lives(&mut self) -> bool {
        self.real.lives()
    }

    /// New sessions, without monitors and locks, on databases without rows.
    pub(crate) fn reset(&mut self) {
        self.reconnect();
        let delete = |table: &String| json!({"op": "delete", "table": table, "where": []});
        let mut params = vec![json!(self.schema.name)];
        params.extend(self.schema.tables.keys().map(delete));
        let Pair { real, ours } = &mut self.pairs[0];
        for session in [real, ours] {
            session.send("transact", &params, json!("reset"));
            session.ask_echo();
            let answers = session.until_echo();
            assert!(
                matches!(answers.as_slice(), [Message::Response { error: Value::Null, .. }]),
                "a reset empties the database: {answers:?}"
            );
        }
    }

    fn reconnect(&mut self) {
        self.pairs.clear();
        self.waiting = 0;
        for _ in 0..SESSIONS {
            self.pairs.push(Pair { real: self.real.connect(), ours: self.ours.connect() });
        }
        self.tolerated += std::mem::take(&mut self.names).tolerated;
        self.names.share(ZERO);
        self.names.share(NOBODY);
    }

    /// Sends a request to both and compares what it causes; gives the real server's answer.
    pub(crate) fn exchange(
        &mut self,
        session: usize,
        method: &str,
        params: &[Value],
    ) -> Result<Value, Difference> {
        self.requests += 1;
        self.waiting += 1;
        self.transactions += usize::from(method == "transact");
        let id = json!(self.requests);
        for given in params.iter().filter_map(|operation| operation.get("uuid")?.as_str()) {
            if nuage_ovsdb::Uuid::try_parse(given).is_ok() && self.names.key(&json!(given)) == "\"?\"" {
                self.names.share(given);
            }
        }
        let request = json!(params);
        let Value::Array(translated) = self.names.request(&request) else { unreachable!() };
        self.pairs[session].real.send(method, params, id.clone());
        self.pairs[session].ours.send(method, &translated, id.clone());
        let mut order: Vec<usize> = (0..SESSIONS).collect();
        order.swap(0, session);
        let mut came: Vec<[Vec<Message>; 2]> = order.iter().map(|_| [Vec::new(), Vec::new()]).collect();
        // A transaction that waited is answered some turns after the commit that it waited for.
        for round in 0..MOST_ROUNDS {
            for (&at, [real, ours]) in order.iter().zip(&mut came) {
                let pair = &mut self.pairs[at];
                pair.real.ask_echo();
                pair.ours.ask_echo();
                real.extend(pair.real.until_echo());
                ours.extend(pair.ours.until_echo());
            }
            let even = came.iter().all(|[real, ours]| real.len() == ours.len());
            if even && (self.waiting == 0 || round > 0) {
                break;
            }
        }
        let mut answer = Value::Null;
        let mut wrong = String::new();
        for (&at, [real, ours]) in order.iter().zip(came) {
            let (real, ours) = (arrange(real), arrange(ours));
            let answers = real.iter().filter(|(_, kind, _, _)| kind == "result" || kind == "error");
            self.waiting -= i64::try_from(answers.count()).unwrap();
            if let Some((_, _, result, _)) = real.iter().find(|(_, _, _, of)| *of == id) {
                answer = result.clone();
            }
            let open = (self.pairs[at].real.open, self.pairs[at].ours.open);
            self.compare(at, &real, &ours, open, &mut wrong);
        }
        if wrong.is_empty() {
            Ok(answer)
        } else {
            Err(format!("{method} {request} on session {session}{wrong}"))
        }
    }

    fn compare(
        &mut self,
        at: usize,
        real: &[Arranged],
        ours: &[Arranged],
        open: (bool, bool),
        wrong: &mut String,
    ) {
        let plain = |all: &[Arranged]| -> Vec<Value> {
            all.iter().map(|(group, kind, content, id)| json!([group, kind, content, id])).collect()
        };
        let (real, ours) = (plain(real), plain(ours));
        let same = real.len() == ours.len()
            && real.iter().zip(&ours).all(|(real, ours)| self.names.same(real, ours));
        if !same || open.0 != open.1 {
            let _ = write!(wrong, "\n  session {at} (open: {} {})", open.0, open.1);
            for message in &real {
                let _ = write!(wrong, "\n    real: {message}");
            }
            for message in &ours {
                let _ = write!(wrong, "\n    ours: {}", self.names.readable(message));
            }
        }
    }

    /// Compares all rows of all tables; gives the real server's identifiers by table.
    pub(crate) fn checkpoint(&mut self) -> Result<BTreeMap<String, Vec<String>>, Difference> {
        let select = |table: &String| json!({"op": "select", "table": table, "where": []});
        let mut params = vec![json!(self.schema.name)];
        params.extend(self.schema.tables.keys().map(select));
        let answer = self.exchange(0, "transact", &params)?;
        let uuids = |result: &Value| -> Vec<String> {
            let rows = result["rows"].as_array().cloned().unwrap_or_default();
            rows.iter().filter_map(|row| row["_uuid"][1].as_str().map(str::to_owned)).collect()
        };
        let results = answer.as_array().cloned().unwrap_or_default();
        Ok(self.schema.tables.keys().cloned().zip(results.iter().map(uuids)).collect())
    }

    /// One generated script.
    pub(crate) fn script(&mut self, seed: u64, length: usize, subject: &Subject) -> Result<(), Difference> {
        self.reset();
        let mut generator = Generator::new(seed, subject, SESSIONS);
        for number in 0..length {
            let Step { session, method, params, inserts, watch } = generator.step();
            let answer = self
                .exchange(session, method, &params)
                .map_err(|difference| format!("seed {seed}, request {number}: {difference}"))?;
            let refused = answer.is_string() || answer.get("error").is_some();
            if let Some(watch) = watch.filter(|_| !refused) {
                generator.watched.learn(session, watch);
            }
            for (table, result) in inserts.iter().zip(answer.as_array().into_iter().flatten()) {
                if let (Some(table), Some(uuid)) = (table, result["uuid"][1].as_str()) {
                    generator.remember(table, uuid);
                }
            }
            if number % CHECKPOINT == CHECKPOINT - 1 {
                let rows = self
                    .checkpoint()
                    .map_err(|difference| format!("seed {seed}, after request {number}: {difference}"))?;
                generator.replace(rows);
            }
            if !self.pairs.iter().all(|pair| pair.real.open) {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// A message in comparable form: its place relative to answers, its kind, its content, its id.
type Arranged = (usize, String, Value, Value);

/// Answers first, since they tell identifiers; each notification with the number of answers that came before it. Between
/// two answers the real server takes the order of monitors from a hash, so they are sorted by monitor.
fn arrange(messages: Vec<Message>) -> Vec<Arranged> {
    let (mut answers, mut others) = (Vec::new(), Vec::new());
    for message in messages {
        match message {
            Message::Response { result, error, id } => {
                let kind = if error.is_null() { "result" } else { "error" };
                answers.push((0, kind.to_owned(), if error.is_null() { result } else { error }, id));
            }
            Message::Notification { method, params } => {
                others.push((answers.len(), method, Value::Array(params), Value::Null));
            }
            Message::Request { method, params, id } => {
                others.push((answers.len(), method, Value::Array(params), id));
            }
        }
    }
    others.sort_by_cached_key(|(group, method, params, _)| (*group, method.clone(), params[0].to_string()));
    answers.extend(others);
    answers
}
