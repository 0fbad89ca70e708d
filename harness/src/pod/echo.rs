//! Echo requests of ICMP from inside a network namespace, answered or not. Needs no program of the system's; never sends more than it is
//! told to.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::stopwatch::Stopwatch;

/// RFC 792.
const REQUEST: u8 = 8;
const REPLY: u8 = 0;
/// Type, code, checksum, identifier, number.
const HEADER: usize = 8;
/// What an ordinary `ping` sends beside the header.
const PAYLOAD: usize = 56;
/// A raw socket hands the header of IP along; it is no longer than this.
const LARGEST: usize = 60 + HEADER + PAYLOAD;

/// Does something inside a network namespace, on a thread that lives no longer.
///
/// # Errors
/// The namespace cannot be entered.
pub(super) fn within<T: Send>(netns: &Path, action: impl FnOnce() -> T + Send) -> io::Result<T> {
    let namespace = File::open(netns)?;
    let enclosed = || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        Ok(action())
    };
    let joined = std::thread::scope(|scope| scope.spawn(enclosed).join());
    joined.unwrap_or_else(|_| Err(io::Error::other("the thread inside the namespace has ended")))
}

/// Sends `count` echo requests one after the other, and waits `patience` for each to come back.
///
/// # Errors
/// The namespace cannot be entered, or there is no socket to be had. What cannot be sent is not answered.
pub fn echo(
    netns: &Path,
    target: Ipv4Addr,
    count: u16,
    patience: Duration,
) -> io::Result<Vec<Option<Duration>>> {
    within(netns, || {
        let raw: OwnedFd =
            socket_with(AddressFamily::INET, SocketType::RAW, SocketFlags::CLOEXEC, Some(ipproto::ICMP))?;
        // Of the library's sockets this one has the calls that a raw socket needs.
        let socket = UdpSocket::from(raw);
        // Without a route there is nobody to answer.
        if socket.connect(SocketAddr::from((target, 0))).is_err() {
            return Ok(vec![None; usize::from(count)]);
        }
        let identifier = std::process::id().to_be_bytes();
        let identifier = [identifier[2], identifier[3]];
        (1..=count).map(|number| exchange(&socket, identifier, number, patience)).collect()
    })?
}

/// One request and what comes back.
fn exchange(
    socket: &UdpSocket,
    identifier: [u8; 2],
    number: u16,
    patience: Duration,
) -> io::Result<Option<Duration>> {
    let watch = Stopwatch::start();
    if socket.send(&request(identifier, number)).is_err() {
        return Ok(None);
    }
    let mut packet = [0; LARGEST];
    loop {
        let left = patience.saturating_sub(watch.elapsed());
        if left.is_zero() {
            return Ok(None);
        }
        socket.set_read_timeout(Some(left))?;
        match socket.recv(&mut packet) {
            Ok(length) if is_reply(&packet[..length], identifier, number) => {
                return Ok(Some(watch.elapsed()));
            }
            // Others' echoes come here, too.
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Too late, or told that nobody is there.
            Err(_) => return Ok(None),
        }
    }
}

fn request(identifier: [u8; 2], number: u16) -> Vec<u8> {
    let mut message = vec![REQUEST, 0, 0, 0];
    message.extend(identifier);
    message.extend(number.to_be_bytes());
    message.extend((0..PAYLOAD).map(|place| u8::try_from(place).unwrap_or(0)));
    let sum = checksum(&message).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    message
}

/// Whether a packet of IPv4 is the reply to a request.
fn is_reply(packet: &[u8], identifier: [u8; 2], number: u16) -> bool {
    let header = packet.first().map_or(0, |first| usize::from(first & 15) * 4);
    let Some(message) = packet.get(header..).filter(|message| message.len() >= HEADER) else { return false };
    message[0] == REPLY && message[4..6] == identifier && message[6..8] == number.to_be_bytes()
}

/// The ones' complement of the sum of a message's words (RFC 1071).
fn checksum(message: &[u8]) -> u16 {
    let words =
        message.chunks(2).map(|word| u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or(0)]));
    let mut sum: u32 = words.map(u32::from).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_adds_up_and_only_its_own_reply_is_one() {
        let request = request([0x12, 0x34], 7);
        assert_eq!(checksum(&request), 0, "with its checksum the sum is all ones");
        let mut reply = vec![0x45];
        reply.extend([0; 19]);
        reply.extend(&request);
        assert!(!is_reply(&reply, [0x12, 0x34], 7), "a request that comes back is no reply");
        reply[20] = REPLY;
        assert!(is_reply(&reply, [0x12, 0x34], 7));
        assert!(!is_reply(&reply, [0x12, 0x34], 8) && !is_reply(&reply, [0x12, 0x35], 7));
        for length in 0..28 {
            assert!(!is_reply(&reply[..length], [0x12, 0x34], 7), "{length}");
        }
    }
}
