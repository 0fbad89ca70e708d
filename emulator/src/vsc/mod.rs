//! The VSC: an OVSDB client of one VRS and an HTTP client of the VSD that resolves ports. What the rows say is
//! brought about in the VSD and answered in the port's row; what others change in the VSD is followed there; whatever was
//! missed is made up for at the next connection. Never removes a port's row, never gives up, never asks faster than its backoff.

mod deliver;
mod follow;
mod prepare;
mod queue;
mod rows;
mod session;
mod settle;
mod turn;
mod view;

use std::convert::Infallible;
use std::io;

use futures_util::future::BoxFuture;
use nuage_ovsdb::client::{Client, Limits};
use tokio::io::{AsyncRead, AsyncWrite};

pub use follow::Follower;
pub use prepare::prepare;

use crate::faults::Faults;
use crate::http::HttpService;
use crate::vsd::client as vsd;
use deliver::ControllerFaults;
use turn::Turn;

/// A byte stream to the VRS.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A stream that is being opened.
pub type Connecting = BoxFuture<'static, io::Result<Box<dyn Stream>>>;

/// The controller of one VRS.
#[derive(Clone, Debug)]
pub struct Controller {
    vsd: vsd::Client,
    prepares: bool,
    /// What its row is known by, where it is one of two.
    target: Option<&'static str>,
    faults: ControllerFaults,
    followed: Option<follow::Changes>,
}

impl Controller {
    /// A controller that reaches the VSD by `vsd`, with the identity of a user who may make containers. `vsd_url`
    /// is the base of its API, for instance `https://vsd:7443/nuage/api/v6`.
    pub fn new(vsd: HttpService, vsd_url: &str) -> Self {
        let vsd = vsd::Client::new(vsd, vsd_url).reading_only(&settle::ATTRIBUTES);
        Self { vsd, prepares: false, target: None, faults: ControllerFaults::default(), followed: None }
    }

    /// Has each connection begin with [`prepare()`]: for a server that is no VRS yet, and forgets the role of its
    /// controller when it restarts.
    #[must_use]
    pub fn preparing(mut self) -> Self {
        self.prepares = true;
        self
    }

    /// Makes it one of two: it serves while the row of the Controller table with this `target` is master, and becomes the
    /// master when there has been none for three seconds.
    #[must_use]
    pub fn taking_turns(mut self, target: &'static str) -> Self {
        self.target = Some(target);
        self
    }

    /// Has it follow what others change in the VSD, as far as `follower` hears of it.
    #[must_use]
    pub fn following(mut self, follower: &Follower) -> Self {
        self.followed = Some(follower.changes());
        self
    }

    /// Lets faults strike it as the controller of `node`.
    #[must_use]
    pub fn with_faults(mut self, faults: Faults, node: &str) -> Self {
        self.faults = ControllerFaults::new(faults, node);
        self
    }

    /// Serves the VRS that `connect` opens streams to, and connects again when one ends, later and later (at
    /// most 10 s) while it fails. Ends only by being dropped.
    pub async fn run(&self, connect: impl Fn() -> Connecting + Send + Sync) -> Infallible {
        let mut failures = 0;
        loop {
            let mut served = false;
            let reason = match tokio::time::timeout(session::DEADLINE, connect()).await {
                Ok(Ok(stream)) => self.serve(stream, || served = true).await,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no connection in time".to_owned(),
            };
            failures = if served { 0 } else { failures + 1 };
            tracing::info!(reason, "no connection to the VRS");
            tokio::time::sleep(queue::wait(failures)).await;
        }
    }

    /// Serves one connection; returns why it ended.
    async fn serve(&self, stream: Box<dyn Stream>, ready: impl FnMut() + Send) -> String {
        let client = Client::spawn(stream, Limits::default());
        if self.prepares
            && let Err(error) = prepare(&client).await
        {
            return error.to_string();
        }
        let Some(target) = self.target else { return self.resolve(client, ready).await };
        let turn = async {
            let mut turn = Turn::begin(&client, target).await?;
            turn.mine(&client).await.map(|()| turn)
        };
        let mut turn = match turn.await {
            Ok(turn) => turn,
            Err(error) => return error.to_string(),
        };
        // Whatever it is in the middle of ends when it is master no more, as when it dies.
        tokio::select! {
            biased;
            lost = turn.lost() => lost.map_or_else(|error| error.to_string(), |()| "it is master no more".to_owned()),
            reason = self.resolve(client.clone(), ready) => reason,
        }
    }

    async fn resolve(&self, client: Client, ready: impl FnMut() + Send) -> String {
        let changes = self.followed.as_ref().map(follow::Changes::subscribe);
        match session::serve(client, (&self.vsd, &self.faults), changes, ready).await {
            Ok(never) => match never {},
            Err(error) => error.to_string(),
        }
    }
}
