//! A version as it is given on the command line, and as RPM and dpkg order it: `v1.2.3` is 1.2.3, `1.2.3-rc.1` comes before
//! 1.2.3, and `5.0-12` is build 12 of 5.0.

use crate::error::Error;

/// More is a mistake; file names have it in them.
const MAX_BYTES: usize = 64;

/// A version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    given: String,
    upstream: String,
    release: String,
}

impl Version {
    /// Reads one.
    ///
    /// # Errors
    /// What no package could be named after.
    pub fn parse(given: &str) -> Result<Self, Error> {
        let wrong = |problem| Err(Error::Version { given: given.chars().take(MAX_BYTES).collect(), problem });
        let number = given.strip_prefix('v').unwrap_or(given);
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-');
        if given.len() > MAX_BYTES {
            return wrong("is longer than 64 bytes");
        }
        if !number.starts_with(|first: char| first.is_ascii_digit()) {
            return wrong("does not begin with a digit (or v and a digit)");
        }
        if !number.bytes().all(known) {
            return wrong("has other characters than letters, digits, '.', '+' and '-'");
        }
        let (upstream, suffix) = number.split_once('-').unwrap_or((number, ""));
        let own = |upstream: String, release: &str| {
            Ok(Self { given: given.to_owned(), upstream, release: release.to_owned() })
        };
        if suffix.contains('-') || number.ends_with('-') {
            return wrong("has a '-' too many");
        }
        match suffix.bytes().next() {
            None => own(upstream.to_owned(), "1"),
            Some(first) if first.is_ascii_digit() => own(upstream.to_owned(), suffix),
            // A tilde sorts before everything: a candidate is older than its release.
            Some(_) => own(format!("{upstream}~{suffix}"), "1"),
        }
    }

    /// As it was given, with a leading v.
    pub fn given(&self) -> &str {
        &self.given
    }

    /// The version of the software, without a leading v.
    pub fn upstream(&self) -> &str {
        &self.upstream
    }

    /// Which packaging of that version.
    pub fn release(&self) -> &str {
        &self.release
    }

    /// Both, as file names and dpkg have them.
    pub fn full(&self) -> String {
        format!("{}-{}", self.upstream, self.release)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leading_v_goes_a_candidate_sorts_first_and_a_number_is_a_build() {
        let cases = [
            ("1.2.3", "1.2.3-1"),
            ("v1.2.3", "1.2.3-1"),
            ("v1.2.3-rc.1", "1.2.3~rc.1-1"),
            ("5.0-12", "5.0-12"),
            ("1.0.0+git5", "1.0.0+git5-1"),
        ];
        for (given, full) in cases {
            let version = Version::parse(given).unwrap();
            assert_eq!((version.given(), version.full()), (given, full.to_owned()));
        }
    }

    #[test]
    fn what_no_package_can_be_named_after_is_refused() {
        let long = format!("1{}", "0".repeat(64));
        for given in
            ["", "v", "vv1", "latest", "1 2", "1/2", "1.0-", "1-2-3", "-1", "1.0~rc1", "1.0:1", &long]
        {
            assert!(Version::parse(given).is_err(), "{given}");
        }
    }
}
