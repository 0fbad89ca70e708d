//! One connection: reads requests, writes answers and updates in the order in which they happened, and lets waiting
//! transactions wait beside it.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use nuage_ovsdb::rpc::{Decoder, Message};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::method::Blocked;
use super::{OUTBOX_MESSAGES, Server, Session};

/// How much unsent output stops the reading of further requests, in bytes.
const BACKLOG_BYTES: usize = 1 << 20;
/// How many connections a listener serves at once; more wait in the kernel's queue.
const MAX_SESSIONS: usize = 1024;
/// How many transactions of one connection may wait.
const MAX_WAITING: usize = 256;

impl Server {
    /// Serves one client until it leaves, breaks the protocol, does not read its updates, or the server restarts.
    pub async fn serve(self, stream: impl AsyncRead + AsyncWrite + Send + Unpin) {
        self.serve_as(stream, "".into()).await;
    }

    /// As [`Server::serve`], for a client of which it is known what it does: hits of faults are counted by it.
    pub async fn serve_as(self, stream: impl AsyncRead + AsyncWrite + Send + Unpin, operation: Arc<str>) {
        if !self.is_open() {
            return;
        }
        let (outbox, inbox) = mpsc::channel(OUTBOX_MESSAGES);
        let (id, stream) = {
            let mut state = self.state();
            let stream = state.faults.stream(stream, &operation);
            state.next_session += 1;
            let id = state.next_session;
            state.sessions.insert(id, Session::new(outbox, operation));
            (id, stream)
        };
        self.exchange(id, stream, inbox).await;
        self.state().sessions.remove(&id);
    }

    async fn exchange(
        &self,
        id: u64,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin,
        mut inbox: mpsc::Receiver<Vec<u8>>,
    ) {
        let mut epoch = self.0.epoch.subscribe();
        let (mut reader, mut writer) = tokio::io::split(stream);
        let (mut decoder, mut outgoing) = (Decoder::default(), BytesMut::new());
        let mut waiting = JoinSet::new();
        loop {
            let room = outgoing.len() < BACKLOG_BYTES && waiting.len() < MAX_WAITING;
            tokio::select! {
                biased;
                () = epoch.changed() => return,
                message = inbox.recv(), if outgoing.len() < BACKLOG_BYTES => match message {
                    Some(bytes) => outgoing.extend_from_slice(&bytes),
                    None => return,
                },
                written = writer.write_buf(&mut outgoing), if !outgoing.is_empty() => {
                    if written.is_err() { return }
                }
                read = reader.read_buf(decoder.buffer()), if room => {
                    if !matches!(read, Ok(1..)) || !self.receive(id, &mut decoder, &mut waiting) { return }
                }
                Some(_) = waiting.join_next(), if !waiting.is_empty() => {}
            }
        }
    }

    /// Handles what has come; false: the connection has to be dropped.
    fn receive(&self, session: u64, decoder: &mut Decoder, waiting: &mut JoinSet<()>) -> bool {
        loop {
            match decoder.decode() {
                Ok(None) => return true,
                Ok(Some(Message::Request { method, params, id })) => {
                    if let Some(blocked) = self.request(session, &method, params, id) {
                        waiting.spawn(self.clone().wait(session, blocked));
                    }
                }
                // Nobody waits for an answer, and no notification of a client means anything yet.
                Ok(Some(Message::Notification { .. })) => {}
                Ok(Some(Message::Response { .. })) | Err(_) => return false,
            }
        }
    }

    /// Tries a waiting transaction again after every commit until it passes or its time is up.
    async fn wait(self, session: u64, blocked: Blocked) {
        let started = Instant::now();
        let mut commits = self.0.commits.subscribe();
        let deadline = blocked.timeout.map(|timeout| started + Duration::from_millis(timeout));
        loop {
            let waited = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            if self.retry(session, &blocked, waited) {
                return;
            }
            let late = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = commits.changed() => {}
                () = late => {}
            }
        }
    }

    /// Serves whoever connects to a unix socket, until it is dropped.
    pub async fn listen_unix(self, listener: UnixListener) {
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(_) = sessions.join_next(), if !sessions.is_empty() => {}
                accepted = listener.accept(), if sessions.len() < MAX_SESSIONS => match accepted {
                    Ok((stream, _)) => drop(sessions.spawn(self.clone().serve(stream))),
                    // Out of descriptors, say: the next one may work.
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                },
            }
        }
    }

    /// Serves whoever connects over TCP, until it is dropped.
    pub async fn listen_tcp(self, listener: TcpListener) {
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                Some(_) = sessions.join_next(), if !sessions.is_empty() => {}
                accepted = listener.accept(), if sessions.len() < MAX_SESSIONS => match accepted {
                    Ok((stream, _)) => drop(sessions.spawn(self.clone().serve(stream))),
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                },
            }
        }
    }
}
