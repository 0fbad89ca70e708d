//! Packets between containers: servers that answer with their name, and probes that say who was reached. Sockets of the standard
//! library, opened inside the namespaces.
#![allow(dead_code, clippy::unwrap_used, reason = "shared by tests")]

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};

use super::lab::within;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Ping,
    Udp(u16),
    Tcp(u16),
}

/// The ports that servers answer at.
pub(crate) const PORTS: [u16; 2] = [80, 81];
/// Between looks at sockets that do not block.
const TICK: Duration = Duration::from_millis(5);

/// Servers in a namespace, until this is dropped.
pub(crate) struct Servers(Arc<AtomicBool>);

impl Drop for Servers {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Answers at [`PORTS`] with `name`.
pub(crate) fn serve(netns: &str, name: &str) -> Servers {
    let stop = Arc::new(AtomicBool::new(false));
    let (ended, name) = (Arc::clone(&stop), name.as_bytes().to_vec());
    within(netns, move || {
        let open = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let datagrams = PORTS.map(|port| UdpSocket::bind(open(port)).unwrap());
        let streams = PORTS.map(|port| TcpListener::bind(open(port)).unwrap());
        for (socket, listener) in datagrams.iter().zip(&streams) {
            socket.set_nonblocking(true).unwrap();
            listener.set_nonblocking(true).unwrap();
        }
        thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                for socket in &datagrams {
                    while let Ok((_, from)) = socket.recv_from(&mut [0; 64]) {
                        let _ = socket.send_to(&name, from);
                    }
                }
                for listener in &streams {
                    while let Ok((mut stream, _)) = listener.accept() {
                        let _ = stream.write_all(&name);
                    }
                }
                thread::park_timeout(Duration::from_millis(2));
            }
        });
    })
    .join()
    .unwrap();
    Servers(stop)
}

/// Whom a container reaches, and the name that answered (none to a ping). Returns as soon as all of `enough` are reached, a moment
/// later, or when `patience` is over.
pub(crate) fn reach(
    netns: &str,
    targets: Vec<(Ipv4Addr, Kind)>,
    enough: BTreeSet<(Ipv4Addr, Kind)>,
    patience: Duration,
) -> thread::JoinHandle<BTreeSet<(Ipv4Addr, Kind, String)>> {
    within(netns, move || {
        let mut probes: Vec<Probe> = targets.iter().map(|(to, kind)| Probe::open(*to, *kind)).collect();
        let mut reached = BTreeSet::new();
        let ticks = patience.as_millis() / TICK.as_millis();
        let mut left = ticks;
        for tick in 0..ticks {
            for probe in &mut probes {
                if tick % 60 == 0 {
                    probe.send();
                }
                if let Some(answer) = probe.answer() {
                    reached.insert((probe.to, probe.kind, answer));
                }
            }
            let all = enough.iter().all(|(to, kind)| reached.iter().any(|(a, b, _)| (a, b) == (to, kind)));
            // What is not to arrive has as long as what does, and more.
            left = if all { left.min(tick * 2 + 12) } else { ticks };
            if tick >= left {
                break;
            }
            thread::park_timeout(TICK);
        }
        reached
    })
}

/// Whether a ping is answered, of either family.
pub(crate) fn pings(netns: &str, to: IpAddr, patience: Duration) -> bool {
    let ping = within(netns, move || {
        let socket = ping_socket(to);
        let request: u8 = if to.is_ipv4() { 8 } else { 128 };
        for _ in 0..(patience.as_millis() / 50).max(1) {
            let _ = socket.send_to(&[request, 0, 0, 0, 0, 0, 0, 1], SocketAddr::new(to, 0));
            for _ in 0..10 {
                if socket.recv_from(&mut [0; 64]).is_ok() {
                    return true;
                }
                thread::park_timeout(TICK);
            }
        }
        false
    });
    ping.join().unwrap()
}

/// A socket that the kernel lets send echo requests.
fn ping_socket(to: IpAddr) -> UdpSocket {
    std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 2147483647").unwrap();
    let (family, protocol) = match to {
        IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP),
        IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6),
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    UdpSocket::from(socket_with(family, SocketType::DGRAM, flags, Some(protocol)).unwrap())
}

/// A socket of its own for each: no two share a connection that is tracked.
struct Probe {
    to: Ipv4Addr,
    kind: Kind,
    datagrams: Option<UdpSocket>,
    stream: Option<TcpStream>,
}

impl Probe {
    fn open(to: Ipv4Addr, kind: Kind) -> Self {
        let (mut datagrams, mut stream) = (None, None);
        match kind {
            Kind::Ping => datagrams = Some(ping_socket(to.into())),
            Kind::Udp(_) => {
                let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
                socket.set_nonblocking(true).unwrap();
                datagrams = Some(socket);
            }
            Kind::Tcp(port) => {
                let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
                let socket: OwnedFd =
                    socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
                let _ = rustix::net::connect(&socket, &SocketAddr::from((to, port)));
                stream = Some(TcpStream::from(socket));
            }
        }
        Self { to, kind, datagrams, stream }
    }

    /// What the kernel does not repeat itself.
    fn send(&self) {
        let Some(socket) = &self.datagrams else { return };
        let _ = match self.kind {
            Kind::Udp(port) => socket.send_to(b"who", (self.to, port)),
            _ => socket.send_to(&[8, 0, 0, 0, 0, 0, 0, 1], (self.to, 0)),
        };
    }

    fn answer(&mut self) -> Option<String> {
        let mut buffer = [0; 64];
        let length = match (&self.datagrams, &mut self.stream) {
            (Some(socket), _) => socket.recv_from(&mut buffer).ok()?.0,
            (None, Some(stream)) => stream.read(&mut buffer).ok().filter(|length| *length > 0)?,
            (None, None) => return None,
        };
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        Some(if self.kind == Kind::Ping { String::new() } else { text })
    }
}
