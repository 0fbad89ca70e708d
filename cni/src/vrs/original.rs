//! How the original plugin named what it made, so that its pods can be compared and detached. Pure.

use sha1::{Digest as _, Sha1};

use crate::orchestrator::{Identity, Orchestrator};

/// `nu` and 13 digits since May 2018, the interface's digits and 14 before.
const DIGITS: usize = 13;
const OLD_DIGITS: usize = 14;
/// The longest name of a link.
const MAX_NAME_BYTES: usize = 15;
/// The prefix since May 2018.
const PREFIX: &str = "nu";

/// The names that the original can have given the port of a sandbox's interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginalNames {
    /// Since May 2018: whatever the interface is called.
    pub any_interface: String,
    /// Before: with the first number in the interface's name. There was no other.
    pub numbered: Option<String>,
    number: String,
}

impl OriginalNames {
    /// The names for an attachment.
    pub fn of(orchestrator: Orchestrator, identity: &Identity) -> Self {
        let id = match orchestrator {
            // Doubled, as it stands in the entity's row.
            Orchestrator::Mesos => identity.entity_uuid.clone(),
            _ => identity.container_id.replace('-', ""),
        };
        let hash = Sha1::digest(id);
        let nibbles = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let digits: String =
            nibbles.filter_map(|nibble| char::from_digit(u32::from(nibble), 16)).take(OLD_DIGITS).collect();
        let from_digit = identity.ifname.trim_start_matches(|c: char| !c.is_ascii_digit());
        let number: String = from_digit.chars().take_while(char::is_ascii_digit).collect();
        let numbered = format!("{number}{digits}");
        let possible = !number.is_empty() && numbered.len() <= MAX_NAME_BYTES;
        Self {
            any_interface: format!("{PREFIX}{}", &digits[..DIGITS]),
            numbered: possible.then_some(numbered),
            number,
        }
    }

    /// Both, or the one that was of this interface alone.
    pub fn all(&self, of_any_interface: bool) -> impl Iterator<Item = &String> {
        of_any_interface.then_some(&self.any_interface).into_iter().chain(&self.numbered)
    }

    /// Whether the original may have given this name to a port of this interface (or of any), of whatever sandbox: an
    /// entity that is known to be the sandbox's can list several.
    pub fn is_like(&self, name: &str, of_any_interface: bool) -> bool {
        let hex = |text: &str, length: usize| {
            text.len() == length
                && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'))
        };
        let recent = name.strip_prefix(PREFIX).is_some_and(|digits| hex(digits, DIGITS));
        let old = name.strip_prefix(&self.number).is_some_and(|digits| hex(digits, OLD_DIGITS));
        (recent && of_any_interface) || (old && !self.number.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(orchestrator: Orchestrator, id: &str, uuid: &str, ifname: &str) -> OriginalNames {
        let identity = Identity {
            container_id: id.into(),
            ifname: ifname.into(),
            port_name: String::new(),
            entity_uuid: uuid.into(),
            entity_name: String::new(),
            pod: None,
        };
        OriginalNames::of(orchestrator, &identity)
    }

    #[test]
    fn names_are_those_that_the_originals_ports_had() {
        let id = "5ac67fbb6c72850d236e378dd495934d13b386931f9d4e12942df653be4e5b18";
        let found = names(Orchestrator::Kubernetes, id, id, "eth0");
        assert_eq!(found.any_interface, "nu7db556744f4c7");
        assert_eq!(found.numbered.as_deref(), Some("07db556744f4c70"));
        let uuid = "0c1d2e3f4a5b6c7d8e9fa0b1c2d3e4f50c1d2e3f4a5b6c7d8e9fa0b1c2d3e4f5";
        let found = names(Orchestrator::Mesos, "0c1d2e3f-4a5b-6c7d-8e9f-a0b1c2d3e4f5", uuid, "eth0");
        assert_eq!(found.any_interface, "nu4ab235ceeaf2d");
        assert_eq!(found.numbered.as_deref(), Some("04ab235ceeaf2dd"));
    }

    #[test]
    fn an_interface_without_a_number_or_with_a_long_one_had_no_old_name() {
        for ifname in ["net", "eth10"] {
            assert_eq!(names(Orchestrator::Kubernetes, "c", "c", ifname).numbered, None, "{ifname}");
        }
    }

    #[test]
    fn ports_of_other_drivers_and_of_other_interfaces_are_not_like_the_originals() {
        let found = names(Orchestrator::Kubernetes, "c", "c", "eth0");
        for name in ["nu0123456789abc", "00123456789abcd"] {
            assert!(found.is_like(name, true), "{name}");
        }
        for name in
            ["nln123456789abc", "inf-nu-1", "tap0", "nu0123456789ab", "nu0123456789abG", "10123456789abcd"]
        {
            assert!(!found.is_like(name, true), "{name}");
        }
    }
}
