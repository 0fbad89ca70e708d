//! Hardware addresses. Never made up here: they come from rows and from the VSD.

use std::fmt;
use std::str::FromStr;

/// A MAC address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mac(pub(super) [u8; 6]);

impl FromStr for Mac {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2).ok_or(())?;
            *byte = u8::from_str_radix(part, 16).map_err(drop)?;
        }
        if parts.next().is_some() { Err(()) } else { Ok(Self(bytes)) }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, byte) in self.0.iter().enumerate() {
            let colon = if nth == 0 { "" } else { ":" };
            write!(formatter, "{colon}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_in_any_case_and_written_in_one_and_nothing_else_is_one() {
        assert_eq!("68:54:ED:00:00:0a".parse::<Mac>().unwrap().to_string(), "68:54:ed:00:00:0a");
        for wrong in ["", "68:54:ed:00:00", "68:54:ed:00:00:0a:1", "68:54:ed:00:00:a", "68:54:ed:00:00:xx"] {
            assert_eq!(wrong.parse::<Mac>(), Err(()), "{wrong}");
        }
    }
}
