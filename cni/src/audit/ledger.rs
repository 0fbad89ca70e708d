//! First sightings: since when something seems to be leaked, and how often it was seen so. In a file, so that a restart of the
//! daemon neither forgets nor hurries. Age counts only the time in which somebody looked: a clock that jumps, or a daemon that
//! was away, makes nothing older.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::host::Files;

/// Longer than the file of any node.
const MAX_FILE_BYTES: u64 = 4 << 20;
/// Passes in which something has to be seen as leaked.
const OBSERVATIONS: u32 = 2;
const FORMAT: u32 = 1;

/// Something that seems to be leaked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// Why, when it was last seen so.
    pub reason: String,
    /// When it was first seen so, in milliseconds since 1970.
    pub first: u64,
    /// When it was last seen so, in milliseconds since 1970.
    pub last: u64,
    /// For how long it has been seen so, in milliseconds of looking.
    pub age: u64,
    /// In how many passes.
    pub observations: u32,
}

impl Sighting {
    /// Whether it has been seen often enough and for long enough.
    pub fn is_due(&self, grace: Duration) -> bool {
        self.observations >= OBSERVATIONS && u128::from(self.age) >= grace.as_millis()
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct File {
    format: u32,
    sightings: BTreeMap<String, Sighting>,
}

/// What seems to be leaked on this node, by port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    path: PathBuf,
    sightings: BTreeMap<String, Sighting>,
}

impl Ledger {
    /// Reads the ledger in `statedir`. One that cannot be read is begun anew: then everything waits once more.
    pub fn load(files: &dyn Files, state_dir: &Path) -> Self {
        let path = state_dir.join("sightings.json");
        let bytes = files.read(&path, MAX_FILE_BYTES).ok().flatten().unwrap_or_default();
        let file: File = serde_json::from_slice(&bytes).unwrap_or_default();
        let sightings = if file.format == FORMAT { file.sightings } else { BTreeMap::new() };
        Self { path, sightings }
    }

    /// Writes it.
    ///
    /// # Errors
    /// Code 5 where the disk refuses; nothing is forgotten then while the process lives.
    pub fn save(&self, files: &dyn Files) -> Result<(), Error> {
        let failed =
            |details: String| Error::Io { operation: format!("writing {}", self.path.display()), details };
        if self.sightings.is_empty() {
            return files.remove(&self.path).map(drop).map_err(|error| failed(error.to_string()));
        }
        let file = File { format: FORMAT, sightings: self.sightings.clone() };
        let bytes = serde_json::to_vec(&file).map_err(|error| failed(error.to_string()))?;
        files.write(&self.path, &bytes).map_err(|error| failed(error.to_string()))
    }

    /// It seems to be leaked, for this reason. `now` is the time of day; no two passes are further apart than `longest`, so
    /// that much at most is added to its age.
    pub fn note(&mut self, port: &str, reason: &str, now: Duration, longest: Duration) {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (now, longest) = (milliseconds(now), milliseconds(longest));
        let fresh = || Sighting { reason: String::new(), first: now, last: now, age: 0, observations: 0 };
        let seen = self.sightings.entry(port.to_owned()).or_insert_with(fresh);
        reason.clone_into(&mut seen.reason);
        seen.age = seen.age.saturating_add(now.saturating_sub(seen.last).min(longest));
        seen.last = now;
        seen.observations = seen.observations.saturating_add(1);
    }

    /// It does not seem so any more, or is no more.
    pub fn forget(&mut self, port: &str) {
        self.sightings.remove(port);
    }

    /// Keeps what `still` says; the rest would count from its old sighting should it come back.
    pub fn retain(&mut self, still: impl Fn(&str) -> bool) {
        self.sightings.retain(|port, _| still(port));
    }

    /// What is known of a port.
    pub fn get(&self, port: &str) -> Option<&Sighting> {
        self.sightings.get(port)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Sighting)> {
        self.sightings.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);
    const GRACE: Duration = Duration::from_mins(10);
    const START: Duration = Duration::from_hours(490_000);

    fn seen(times: &[Duration]) -> Ledger {
        let mut ledger = Ledger::default();
        for time in times {
            ledger.note("p", "pod_gone", *time, 2 * MINUTE);
        }
        ledger
    }

    #[test]
    fn nothing_is_due_after_one_look_however_long_ago_it_was() {
        assert!(!seen(&[START]).get("p").unwrap().is_due(Duration::ZERO));
        assert!(seen(&[START, START]).get("p").unwrap().is_due(Duration::ZERO));
    }

    #[test]
    fn it_is_due_when_it_was_looked_at_for_the_whole_grace_period() {
        let times: Vec<Duration> = (0..=10).map(|minute| START + minute * MINUTE).collect();
        assert!(!seen(&times[..10]).get("p").unwrap().is_due(GRACE));
        assert!(seen(&times).get("p").unwrap().is_due(GRACE));
    }

    #[test]
    fn a_clock_that_jumps_makes_nothing_older_than_the_time_between_two_looks() {
        for jump in [START + 1000 * GRACE, Duration::ZERO] {
            let ledger = seen(&[START, jump, jump + MINUTE]);
            assert!(!ledger.get("p").unwrap().is_due(GRACE), "{jump:?}");
        }
    }

    #[test]
    fn what_was_well_in_between_waits_anew() {
        let mut ledger = seen(&[START, START + 2 * MINUTE, START + 4 * MINUTE]);
        ledger.forget("p");
        ledger.note("p", "pod_gone", START + 6 * MINUTE, 2 * MINUTE);
        assert_eq!(ledger.get("p").unwrap().age, 0);
    }
}
