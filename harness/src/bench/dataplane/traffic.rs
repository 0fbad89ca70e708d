//! Packets between two network namespaces, by sockets of the standard library that are opened inside: how much passes, how
//! long an answer takes, and how long a connection takes to come about.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::stopwatch::Stopwatch;

const PORT: u16 = 5201;
/// Of one write, in bytes.
const BLOCK: usize = 128 << 10;
const PATIENCE: Duration = Duration::from_secs(5);

/// What a client wants of the server, by its first byte.
const TAKE: u8 = 1;
const ECHO: u8 = 2;

/// Does something inside a network namespace, on a thread of its own.
#[cfg(target_os = "linux")]
fn within<T: Send + 'static>(
    netns: &str,
    action: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<JoinHandle<io::Result<T>>> {
    use std::os::fd::AsFd as _;

    use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

    let file = std::fs::File::open(format!("/run/netns/{netns}"))?;
    thread::Builder::new().spawn(move || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
        action()
    })
}

#[cfg(not(target_os = "linux"))]
fn within<T: Send + 'static>(
    _netns: &str,
    _action: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<JoinHandle<io::Result<T>>> {
    Err(io::ErrorKind::Unsupported.into())
}

fn joined<T>(thread: JoinHandle<io::Result<T>>) -> io::Result<T> {
    thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread has ended")))
}

/// Serves inside a namespace for as long as this process runs.
pub(super) fn serve(netns: &str) -> io::Result<()> {
    let listening = within(netns, || {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT))?;
        thread::Builder::new().spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                // One that fails is the client's failure, too.
                let _ = thread::Builder::new().spawn(move || answer(stream));
            }
        })
    })?;
    joined(listening).map(drop)
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut wish = [0];
    stream.read_exact(&mut wish)?;
    let mut buffer = vec![0; BLOCK];
    if wish == [ECHO] {
        stream.set_nodelay(true)?;
    }
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        if wish == [ECHO] {
            stream.write_all(&buffer[..length])?;
        }
    }
}

fn connect(to: Ipv4Addr) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(&SocketAddr::from((to, PORT)), PATIENCE)
}

/// How much one connection carries, in Gbit/s.
pub(super) fn throughput(netns: &str, to: Ipv4Addr, time: Duration) -> io::Result<f64> {
    joined(within(netns, move || {
        let mut stream = connect(to)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.write_all(&[TAKE])?;
        let block = vec![0; BLOCK];
        let watch = Stopwatch::start();
        let mut blocks = 0_u32;
        while watch.elapsed() < time {
            stream.write_all(&block)?;
            blocks += 1;
        }
        #[expect(clippy::cast_precision_loss, reason = "a block's size")]
        let bits = f64::from(blocks) * (BLOCK * 8) as f64;
        Ok(bits / watch.elapsed().as_secs_f64() / 1e9)
    })?)
}

/// How long answers to one byte take, each, in microseconds.
pub(super) fn round_trips(netns: &str, to: Ipv4Addr, count: usize) -> io::Result<Vec<f64>> {
    joined(within(netns, move || {
        let mut stream = connect(to)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&[ECHO])?;
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let watch = Stopwatch::start();
            stream.write_all(&[0])?;
            stream.read_exact(&mut [0])?;
            times.push(watch.elapsed().as_secs_f64() * 1e6);
        }
        Ok(times)
    })?)
}

/// How long connections take to come about, each, in microseconds.
pub(super) fn connections(netns: &str, to: Ipv4Addr, count: usize) -> io::Result<Vec<f64>> {
    joined(within(netns, move || {
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let watch = Stopwatch::start();
            drop(connect(to)?);
            times.push(watch.elapsed().as_secs_f64() * 1e6);
        }
        Ok(times)
    })?)
}
