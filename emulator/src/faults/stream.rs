//! A stream whose server side suffers: it closes instead of delivering a request, and what it sends is held back, arrives
//! in parts, or breaks off. Knows nothing of what the bytes mean.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::{Caller, Faults};

/// What becomes of what is about to be sent.
#[derive(Clone, Copy, Debug)]
enum Plan {
    Whole,
    /// Half of it, and the rest after this time.
    Parts(Duration),
    /// Half of it, and nothing ever after.
    Cut,
}

/// The stream.
#[derive(Debug)]
pub struct Faulty<S> {
    inner: S,
    /// Whose faults strike it, and who is at the other end; absent where none ever does.
    faults: Option<(Faults, Caller)>,
    broken: bool,
    wait: Option<Pin<Box<Sleep>>>,
    plan: Option<Plan>,
}

impl<S> Faulty<S> {
    pub(super) fn new(inner: S, faults: Option<(Faults, Caller)>) -> Self {
        Self { inner, faults, broken: false, wait: None, plan: None }
    }

    fn strikes(&self, name: &str) -> Option<super::Values> {
        self.faults.as_ref().and_then(|(faults, caller)| faults.ask(name, caller))
    }

    fn decide(&mut self) -> Plan {
        if self.faults.as_ref().is_none_or(|(faults, _)| faults.quiet()) {
            return Plan::Whole;
        }
        if let Some(values) = self.strikes("vrs.slow") {
            self.wait = Some(Box::pin(sleep(values.duration("delay"))));
        }
        if self.strikes("vrs.cut_reply").is_some() {
            return Plan::Cut;
        }
        self.strikes("vrs.partial_reply").map_or(Plan::Whole, |values| Plan::Parts(values.duration("pause")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Faulty<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.broken {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(context, buffer))?;
        if buffer.filled().len() > before && this.strikes("vrs.disconnect").is_some() {
            this.broken = true;
            buffer.set_filled(before);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Faulty<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let plan = match this.plan {
            Some(plan) => plan,
            None => this.decide(),
        };
        this.plan = Some(plan);
        if let Some(wait) = &mut this.wait {
            ready!(wait.as_mut().poll(context));
            this.wait = None;
        }
        let length = if matches!(plan, Plan::Whole) { bytes.len() } else { bytes.len().div_ceil(2) };
        let written = ready!(Pin::new(&mut this.inner).poll_write(context, &bytes[..length]))?;
        this.plan = None;
        match plan {
            Plan::Whole => {}
            Plan::Parts(pause) => {
                this.wait = Some(Box::pin(sleep(pause)));
                // The rest has been decided upon.
                this.plan = (written < bytes.len()).then_some(Plan::Whole);
            }
            Plan::Cut => this.broken = true,
        }
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.faults.is_none() {
            return Pin::new(&mut self.get_mut().inner).poll_write_vectored(context, pieces);
        }
        let first = pieces.iter().find(|piece| !piece.is_empty());
        self.poll_write(context, first.map_or(&[], |piece| piece))
    }

    fn is_write_vectored(&self) -> bool {
        self.faults.is_none() && self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(context)
    }
}
