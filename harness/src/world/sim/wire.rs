//! A stream into an emulated switch as a process or a controller holds it: what arrives has been on its way for a moment,
//! and it closes at once for a process that is killed.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::process::Life;
use crate::random::Random;

/// How much arrives at once at most, in bytes.
const CHUNK_BYTES: usize = 8 << 10;
/// How long a message is on its way, in milliseconds: from one to this many.
const SLOWEST_MILLISECONDS: u64 = 3;

/// The end of a life.
type End = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The stream. What is written arrives at once, so that a request and the answer to it take one way's time together.
pub(super) struct Wire {
    inner: Option<DuplexStream>,
    /// Whose it is, and what wakes it at that one's end; absent for what nobody kills.
    life: Option<(Life, End)>,
    random: Random,
    /// What is on its way or has arrived, and how much of that was taken. Takes room only while there is some: most streams
    /// of a cluster are silent.
    arrived: Box<[u8]>,
    taken: usize,
    due: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    pub(super) fn new(inner: DuplexStream, life: Option<&Life>, random: Random) -> Self {
        let life = life.map(|life| (life.clone(), Box::pin(life.end()) as End));
        Self { inner: Some(inner), life, random, arrived: Box::default(), taken: 0, due: None }
    }

    /// The stream, unless its process was killed: then it is closed here and now.
    fn living(&mut self, context: &mut Context<'_>) -> Option<&mut DuplexStream> {
        let ended = self.life.as_mut().is_some_and(|(_, end)| end.as_mut().poll(context).is_ready());
        if ended && self.life.take().is_some_and(|(life, _)| life.is_over()) {
            self.inner = None;
        }
        self.inner.as_mut()
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.living(context).is_none() {
                return Poll::Ready(Ok(()));
            }
            if let Some(due) = &mut this.due {
                ready!(due.as_mut().poll(context));
                this.due = None;
            }
            if this.taken < this.arrived.len() {
                let waiting = &this.arrived[this.taken..];
                let length = waiting.len().min(buffer.remaining());
                buffer.put_slice(&waiting[..length]);
                this.taken += length;
                if this.taken == this.arrived.len() {
                    (this.arrived, this.taken) = (Box::default(), 0);
                }
                return Poll::Ready(Ok(()));
            }
            let mut space = [MaybeUninit::uninit(); CHUNK_BYTES];
            let mut space = ReadBuf::uninit(&mut space);
            if let Some(inner) = &mut this.inner {
                ready!(Pin::new(inner).poll_read(context, &mut space))?;
            }
            if space.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.arrived = space.filled().into();
            let way = 1 + this.random.below(SLOWEST_MILLISECONDS);
            this.due = Some(Box::pin(sleep(Duration::from_millis(way))));
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut().living(context) {
            Some(inner) => Pin::new(inner).poll_write(context, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut().living(context) {
            Some(inner) => Pin::new(inner).poll_flush(context),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut().living(context) {
            Some(inner) => Pin::new(inner).poll_shutdown(context),
            None => Poll::Ready(Ok(())),
        }
    }
}
