//! Telling the neighbours of a link which addresses it has now: an ARP announcement (RFC 5227, section 3) for IPv4, an
//! unsolicited neighbour advertisement (RFC 4861, section 7.2.6) for IPv6. Whoever knows the address from an earlier owner
//! learns the new one's MAC address at once. Never waits, and never asks anything.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd as _;

use ipnet::IpNet;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, bind, send, socket};

/// A MAC address.
type Mac = [u8; 6];

const EVERYBODY: Mac = [0xff; 6];
/// Where all nodes of a link listen: `ff02::1` and its Ethernet address (RFC 2464, section 7).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC: Mac = [0x33, 0x33, 0, 0, 0, 1];
const ETHERTYPE_ARP: [u8; 2] = [0x08, 0x06];
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
const ICMPV6: u8 = 58;
/// Of a neighbour advertisement: 24 bytes and an option of 8.
const ADVERTISEMENT_BYTES: u8 = 32;

/// Announces `addresses` on the link with this index, in the namespace that the thread is in.
///
/// # Errors
/// The kernel's refusal; some may have been announced then.
pub(super) fn announce(index: u32, addresses: &[IpNet]) -> io::Result<()> {
    if addresses.is_empty() {
        return Ok(());
    }
    // The one place that hands out a link's own address in the form that a packet socket takes.
    let found = nix::ifaddrs::getifaddrs()?.find_map(|interface| {
        let link = *interface.address.as_ref()?.as_link_addr()?;
        (u32::try_from(link.ifindex()) == Ok(index)).then_some(link)
    });
    let link = found.ok_or(io::ErrorKind::NotFound)?;
    let mac = link.addr().ok_or(io::ErrorKind::Unsupported)?;
    // Protocol 0: it receives nothing.
    let packets = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)?;
    bind(packets.as_raw_fd(), &link)?;
    for address in addresses {
        let frame = match address.addr() {
            IpAddr::V4(ip) => arp_announcement(mac, ip),
            IpAddr::V6(ip) => neighbour_advertisement(mac, ip),
        };
        send(packets.as_raw_fd(), &frame, MsgFlags::MSG_DONTWAIT)?;
    }
    Ok(())
}

/// An ARP request for the own address, from the own address.
fn arp_announcement(mac: Mac, ip: Ipv4Addr) -> Vec<u8> {
    let ethernet_and_ipv4_request = [0, 1, 0x08, 0x00, 6, 4, 0, 1];
    let nobody: Mac = [0; 6];
    let parts: [&[u8]; 8] = [
        &EVERYBODY,
        &mac,
        &ETHERTYPE_ARP,
        &ethernet_and_ipv4_request,
        &mac,
        &ip.octets(),
        &nobody,
        &ip.octets(),
    ];
    parts.concat()
}

/// "I have this address" to all nodes of the link; overrides what they knew.
fn neighbour_advertisement(mac: Mac, ip: Ipv6Addr) -> Vec<u8> {
    let advertisement = |checksum: [u8; 2]| {
        let (neighbour_advertisement, override_flag, target_link_address) =
            ([136, 0], [0x20, 0, 0, 0], [2, 1]);
        let parts: [&[u8]; 6] =
            [&neighbour_advertisement, &checksum, &override_flag, &ip.octets(), &target_link_address, &mac];
        parts.concat()
    };
    let (source, destination) = (ip.octets(), ALL_NODES.octets());
    let pseudo_header =
        [&source[..], &destination, &[0, 0, 0, ADVERTISEMENT_BYTES, 0, 0, 0, ICMPV6]].concat();
    let sum = checksum(&[pseudo_header, advertisement([0, 0])].concat());
    // Version 6; then length, next header, and the hop limit that tells it has not been routed.
    let (first, rest) = ([0x60, 0, 0, 0], [0, ADVERTISEMENT_BYTES, ICMPV6, 255]);
    let parts: [&[u8]; 8] =
        [&ALL_NODES_MAC, &mac, &ETHERTYPE_IPV6, &first, &rest, &source, &destination, &advertisement(sum)];
    parts.concat()
}

/// The Internet checksum (RFC 1071) of an even number of bytes.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).unwrap_or(u16::MAX)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 0x12, 0x34];

    #[test]
    fn an_arp_announcement_asks_for_the_own_address_from_the_own_address() {
        let frame = arp_announcement(MAC, Ipv4Addr::new(10, 20, 0, 5));
        assert_eq!(frame.len(), 42);
        assert_eq!((&frame[..6], &frame[6..12]), (&EVERYBODY[..], &MAC[..]));
        assert_eq!((&frame[28..32], &frame[38..42]), (&[10, 20, 0, 5][..], &[10, 20, 0, 5][..]));
    }

    #[test]
    fn a_checksum_over_a_message_that_has_one_is_zero() {
        let ip: Ipv6Addr = "fd00::5".parse().unwrap();
        let frame = neighbour_advertisement(MAC, ip);
        let (addresses, message) = (&frame[22..54], &frame[54..]);
        assert_eq!(message.len(), usize::from(ADVERTISEMENT_BYTES));
        let header = [0, 0, 0, ADVERTISEMENT_BYTES, 0, 0, 0, ICMPV6];
        assert_eq!(checksum(&[addresses, &header[..], message].concat()), [0, 0]);
        assert_ne!(message[2..4], [0, 0]);
    }
}
