//! A sweep in parts and in stages: which part of the runs is whose, and which run is one that was made already. Knows of no
//! report and prints nothing.

use std::fs::File;
use std::io::Read as _;
use std::str::FromStr;

use sha1::{Digest as _, Sha1};

use crate::error::Error;
use crate::scenario::Scenario;

/// The pod's number in an Indexed Job, from nought.
const JOB_INDEX: &str = "JOB_COMPLETION_INDEX";
/// How much of an executable is read at once, in bytes.
const BLOCK: usize = 1 << 16;

/// One of several parts of a sweep: each run is in exactly one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From nought.
    part: usize,
    of: usize,
}

impl Shard {
    /// The part of these that is this one's.
    pub fn of<T>(self, all: Vec<T>) -> Vec<T> {
        all.into_iter().skip(self.part).step_by(self.of).collect()
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (part, of) = text.split_once('/').unwrap_or_default();
        let part: Option<usize> = if part == "job" {
            let index = std::env::var(JOB_INDEX).map_err(|_| format!("{JOB_INDEX} is not set"))?;
            index.parse().ok()
        } else {
            part.parse().ok().and_then(|part: usize| part.checked_sub(1))
        };
        match part.zip(of.parse().ok()) {
            Some((part, of)) if part < of => Ok(Self { part, of }),
            _ => Err("a part like 1/4, from 1/4 to 4/4, is expected".to_owned()),
        }
    }
}

/// What a run depends on beside its scenario and seed: whatever differs here is another run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maker(String);

impl Maker {
    /// This executable with these settings.
    ///
    /// # Errors
    /// [`Error::File`]: the executable cannot be read.
    pub fn this(settings: &str) -> Result<Self, Error> {
        let path =
            std::env::current_exe().map_err(|source| Error::File { path: "harness".into(), source })?;
        let failed = |source| Error::File { path: path.clone(), source };
        let (mut file, mut digest) = (File::open(&path).map_err(failed)?, Sha1::new());
        let mut block = vec![0; BLOCK];
        loop {
            match file.read(&mut block).map_err(failed)? {
                0 => return Ok(Self(format!("{} {:x} {settings}", crate::VERSION, digest.finalize()))),
                length => digest.update(&block[..length]),
            }
        }
    }

    /// What tells one run from every other: 40 digits that follow from all that decides it.
    pub fn identity(&self, scenario: &Scenario, seed: u64) -> String {
        let Scenario { path, content, .. } = scenario;
        format!("{:x}", Sha1::digest(format!("{}\n{path}\n{content}\n{seed}", self.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_is_in_exactly_one_part() {
        let part = |text: &str| text.parse::<Shard>().unwrap().of((0..10).collect::<Vec<u64>>());
        let mut all = [part("1/3"), part("2/3"), part("3/3")].concat();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        for wrong in ["0/3", "4/3", "1/0", "1", "a/b", ""] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_run_is_another_one_where_anything_that_decides_it_is() {
        let text = "title = \"t\"\nwhy = \"w\"\n[[load]]\nkind = \"pod\"\n";
        let scenario = |path: &str, text: &str| Scenario::parse(path, text).unwrap();
        let (sim, host) = (Maker::this("sim").unwrap(), Maker::this("host").unwrap());
        let one = sim.identity(&scenario("x.toml", text), 1);
        assert_eq!(one, Maker::this("sim").unwrap().identity(&scenario("x.toml", text), 1));
        let others = [
            sim.identity(&scenario("x.toml", text), 2),
            sim.identity(&scenario("y.toml", text), 1),
            sim.identity(&scenario("x.toml", &format!("{text}hold = \"1s\"\n")), 1),
            host.identity(&scenario("x.toml", text), 1),
        ];
        assert!(others.iter().all(|other| *other != one));
    }
}
