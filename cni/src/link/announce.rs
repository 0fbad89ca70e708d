//! Telling the neighbours of a link which addresses it has now: whoever knows one from an earlier owner learns the new
//! one's MAC address at once. The kernel does it, with a gratuitous ARP and an unsolicited neighbour advertisement, for a
//! link that is asked to notify and whose MAC address is set, be it to what it was.
//!
//! A packet socket of our own would do it too, but closing one waits for an RCU grace period: 15 ms of every ADD.

use std::fs;
use std::path::Path;

use super::namespace;
use crate::host::{LinkError, Netns};

/// For each family: where the kernel is asked to notify.
const SWITCHES: [(&str, &str); 2] =
    [("/proc/sys/net/ipv4/conf", "arp_notify"), ("/proc/sys/net/ipv6/conf", "ndisc_notify")];

/// Has the kernel announce the addresses of the link `name` in `netns` from now on. Best effort: where these files cannot
/// be written, neighbours learn by themselves within seconds, which is no reason for an ADD to fail.
pub(super) fn ask_for_notices(netns: &Netns, name: &str) -> Result<(), LinkError> {
    // /proc/sys/net shows the namespace of the thread that looks.
    namespace::within(netns, || {
        for (directory, switch) in SWITCHES {
            let _ = fs::write(Path::new(directory).join(name).join(switch), "1");
        }
    })
}
