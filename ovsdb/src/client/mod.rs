//! A pipelining OVSDB client over any stream. Every call has a deadline, the end of the stream fails all calls at
//! once, and nothing is retried here: only the caller knows what may be repeated.

mod connection;
mod monitor;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::error::Error;
use crate::operation::Operation;
use crate::rpc::MAX_MESSAGE_BYTES;
use crate::schema::DatabaseSchema;
use crate::value::Row;
use connection::Command;
pub use monitor::{Monitor, MonitorTable, RowChange, Rows};

/// How many calls may wait for the stream before the caller does.
const COMMAND_QUEUE: usize = 64;
/// How much of an unexpected answer an error repeats, in bytes.
const SHOWN_BYTES: usize = 200;

/// What a client accepts from the other side.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest message, in bytes.
    pub message_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { message_bytes: MAX_MESSAGE_BYTES }
    }
}

/// What one operation of a transaction answered.
#[derive(Clone, Debug, PartialEq)]
pub struct OperationResult(Value);

impl OperationResult {
    /// How many rows an update, mutate or delete matched.
    pub fn count(&self) -> u64 {
        self.0["count"].as_u64().unwrap_or(0)
    }

    /// The row that an insert made.
    pub fn uuid(&self) -> Option<Uuid> {
        Uuid::try_parse(self.0["uuid"][1].as_str()?).ok()
    }

    /// The rows of a select.
    pub fn rows(&self) -> Vec<Row> {
        let rows = self.0["rows"].as_array().map_or(&[][..], Vec::as_slice);
        rows.iter().filter_map(|row| Some(row.as_object()?.clone().into_iter().collect())).collect()
    }
}

/// A handle of one connection; its clones share it. The connection ends when the last one is dropped.
#[derive(Clone, Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    /// Monitor ids are unique on a connection.
    monitors: Arc<AtomicU64>,
}

impl Client {
    /// Takes over `stream` and drives it in a task of its own.
    pub fn spawn(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, limits: Limits) -> Self {
        let (commands, receiver) = mpsc::channel(COMMAND_QUEUE);
        tokio::spawn(connection::drive(stream, limits, receiver));
        Self { commands, monitors: Arc::default() }
    }

    /// Calls a method.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Timeout`], [`Error::Closed`] or [`Error::Malformed`].
    pub async fn call(&self, method: &str, params: Value, timeout: Duration) -> Result<Value, Error> {
        self.call_with(method, params, timeout, None).await
    }

    fn next_monitor_id(&self) -> String {
        format!("monitor-{}", self.monitors.fetch_add(1, Ordering::Relaxed))
    }

    async fn call_with(
        &self,
        method: &str,
        params: Value,
        timeout: Duration,
        updates: Option<connection::Subscription>,
    ) -> Result<Value, Error> {
        let (reply, answer) = oneshot::channel();
        let command = Command { method: method.to_owned(), params, reply, updates };
        let exchange = async {
            self.commands.send(command).await.map_err(|_| Error::Closed)?;
            answer.await.map_err(|_| Error::Closed)?
        };
        tokio::time::timeout(timeout, exchange).await.map_err(|_| Error::Timeout(timeout))?
    }

    /// The schema of a database.
    ///
    /// # Errors
    /// As [`Client::call`], and [`Error::Schema`].
    pub async fn schema(&self, database: &str, timeout: Duration) -> Result<DatabaseSchema, Error> {
        Ok(DatabaseSchema::from_json(&self.call("get_schema", json!([database]), timeout).await?)?)
    }

    /// Carries out a transaction: all of its operations or none.
    ///
    /// # Errors
    /// As [`Client::call`]; [`Error::Operation`] names the operation that failed, [`Error::Commit`] a failure after
    /// all of them passed.
    pub async fn transact(
        &self,
        database: &str,
        operations: Vec<Operation>,
        timeout: Duration,
    ) -> Result<Vec<OperationResult>, Error> {
        let expected = operations.len();
        let mut params = vec![json!(database)];
        params.extend(operations.into_iter().map(Operation::into_json));
        let answer = self.call("transact", Value::Array(params), timeout).await?;
        results(answer, expected)
    }

    /// Watches rows: their present state, then every change.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn monitor(
        &self,
        database: &str,
        tables: Vec<MonitorTable>,
        timeout: Duration,
    ) -> Result<Monitor, Error> {
        monitor::start(self, database, tables, timeout).await
    }
}

/// Sorts out a transaction's answer (RFC 7047 section 4.1.3): an error in place of an operation's result, or one more
/// element than there were operations.
fn results(answer: Value, expected: usize) -> Result<Vec<OperationResult>, Error> {
    let Value::Array(results) = answer else { return Err(unexpected("transact", &answer)) };
    let text = |result: &Value, key: &str| result[key].as_str().unwrap_or_default().to_owned();
    for (index, result) in results.iter().enumerate() {
        if result.get("error").is_some_and(|error| !error.is_null()) {
            let (error, details) = (text(result, "error"), text(result, "details"));
            return Err(match index {
                index if index < expected => Error::Operation { index, error, details },
                _ => Error::Commit { error, details },
            });
        }
    }
    if results.len() != expected || results.iter().any(Value::is_null) {
        return Err(unexpected("transact", &Value::Array(results)));
    }
    Ok(results.into_iter().map(OperationResult).collect())
}

/// The error for an answer that has the wrong shape.
fn unexpected(method: &str, answer: &Value) -> Error {
    let mut answer = answer.to_string();
    if let Some((cut, _)) = answer.char_indices().find(|(index, _)| *index > SHOWN_BYTES) {
        answer.truncate(cut);
    }
    Error::Unexpected { method: method.to_owned(), answer }
}
