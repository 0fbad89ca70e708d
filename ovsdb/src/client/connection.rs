//! The task that drives one connection: writes requests as they come, hands answers and updates to whom they belong,
//! answers the server's echo. It never waits for a consumer.

use std::collections::BTreeMap;

use bytes::BytesMut;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};

use super::Limits;
use crate::error::Error;
use crate::rpc::{Decoder, Message};

/// How many updates may wait for a monitor's consumer before the monitor is given up.
pub(super) const UPDATE_QUEUE: usize = 1024;

/// A call on its way to the stream.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) method: String,
    pub(super) params: Value,
    pub(super) reply: oneshot::Sender<Result<Value, Error>>,
    /// Registered before the request is sent, so that no update can come too early.
    pub(super) updates: Option<Subscription>,
}

/// Where the updates of one monitor go.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) id: String,
    pub(super) sender: mpsc::Sender<Update>,
}

/// The content of an `update` or `update2` notification.
#[derive(Debug)]
pub(super) struct Update {
    /// Whether rows are `initial`/`insert`/`modify`/`delete` objects instead of `old`/`new`.
    pub(super) second_form: bool,
    pub(super) tables: Value,
}

struct Pending {
    method: String,
    reply: oneshot::Sender<Result<Value, Error>>,
}

#[derive(Default)]
struct State {
    next_id: u64,
    pending: BTreeMap<u64, Pending>,
    subscriptions: BTreeMap<String, mpsc::Sender<Update>>,
    outgoing: BytesMut,
}

/// Drives the connection until the stream ends, breaks a bound, or the last handle is dropped.
pub(super) async fn drive(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin,
    limits: Limits,
    mut commands: mpsc::Receiver<Command>,
) {
    let mut state = State::default();
    let error = run(stream, limits, &mut commands, &mut state).await;
    commands.close();
    for (_, pending) in std::mem::take(&mut state.pending) {
        let _ = pending.reply.send(Err(error.clone()));
    }
}

async fn run(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin,
    limits: Limits,
    commands: &mut mpsc::Receiver<Command>,
    state: &mut State,
) -> Error {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut decoder = Decoder::new(limits.message_bytes);
    loop {
        tokio::select! {
            biased;
            read = reader.read_buf(decoder.buffer()) => match read {
                Ok(0) | Err(_) => return Error::Closed,
                Ok(_) => if let Err(error) = state.receive(&mut decoder) { return error },
            },
            written = writer.write_buf(&mut state.outgoing), if !state.outgoing.is_empty() => {
                if written.is_err() { return Error::Closed }
            }
            command = commands.recv() => match command {
                Some(command) => state.send(command),
                None => return Error::Closed,
            },
        }
    }
}

impl State {
    fn send(&mut self, command: Command) {
        self.next_id += 1;
        let params = match command.params {
            Value::Array(params) => params,
            single => vec![single],
        };
        if let Some(Subscription { id, sender }) = command.updates {
            self.subscriptions.insert(id, sender);
        }
        let request = Message::Request { method: command.method.clone(), params, id: json!(self.next_id) };
        self.outgoing.extend_from_slice(&request.encode());
        self.pending.insert(self.next_id, Pending { method: command.method, reply: command.reply });
        // Calls whose caller has given up: their answers may still come and are then dropped.
        self.pending.retain(|_, pending| !pending.reply.is_closed());
    }

    fn receive(&mut self, decoder: &mut Decoder) -> Result<(), Error> {
        while let Some(message) = decoder.decode()? {
            match message {
                Message::Response { result, error, id } => self.answer(result, error, &id),
                Message::Notification { method, params } => self.notify(&method, params),
                Message::Request { method, params, id } => {
                    // The server's inactivity probe (RFC 7047 section 4.1.11).
                    let (result, error) = match method.as_str() {
                        "echo" => (Value::Array(params), Value::Null),
                        _ => (Value::Null, json!("unknown method")),
                    };
                    self.outgoing.extend_from_slice(&Message::Response { result, error, id }.encode());
                }
            }
        }
        Ok(())
    }

    fn answer(&mut self, result: Value, error: Value, id: &Value) {
        let Some(pending) = id.as_u64().and_then(|id| self.pending.remove(&id)) else { return };
        let result = match error {
            Value::Null => Ok(result),
            error => Err(Error::Refused { method: pending.method, error }),
        };
        let _ = pending.reply.send(result);
    }

    fn notify(&mut self, method: &str, params: Vec<Value>) {
        let second_form = match method {
            "update" => false,
            "update2" => true,
            _ => return,
        };
        let mut params = params.into_iter();
        let (Some(Value::String(id)), Some(tables)) = (params.next(), params.next()) else { return };
        let Some(sender) = self.subscriptions.get(&id) else { return };
        // A consumer that does not keep up loses its monitor rather than a single change: a gap would be silent.
        if sender.try_send(Update { second_form, tables }).is_err() {
            self.subscriptions.remove(&id);
        }
    }
}
