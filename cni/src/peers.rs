//! Which peers of the plugin (API server, monitor) the audit has seen to be away, and for how long: a file in `rundir`, written by
//! the daemon and read by STATUS, which so waits for nobody. What is old or odd says nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::host::Files;

const FILE_NAME: &str = "peers.json";
const FORMAT: u32 = 1;
/// A line a peer.
const MAX_BYTES: u64 = 16 << 10;
/// A peer that restarts must not turn every node of a cluster unready.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// The daemon writes more often than this while somebody is away; what is older is of a daemon that is no more.
const FRESH: Duration = Duration::from_secs(45);

/// A peer that is away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Away {
    /// Which one, for people.
    pub peer: String,
    /// For how many seconds.
    pub seconds: u64,
    /// What was seen.
    pub why: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct File {
    format: u32,
    /// When, in milliseconds since 1970.
    written: u64,
    away: Vec<Away>,
}

fn path(run_dir: &Path) -> PathBuf {
    run_dir.join(FILE_NAME)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The first that has been away for [`PATIENCE`] or longer; `now` is the time of day.
pub fn long_away(files: &dyn Files, run_dir: &Path, now: Duration) -> Option<Away> {
    let bytes = files.read(&path(run_dir), MAX_BYTES).ok().flatten().unwrap_or_default();
    let file: File = serde_json::from_slice(&bytes).unwrap_or_default();
    let age = milliseconds(now).checked_sub(file.written);
    if file.format != FORMAT || age.is_none_or(|age| age > milliseconds(FRESH)) {
        return None;
    }
    file.away.into_iter().find(|away| away.seconds >= PATIENCE.as_secs())
}

/// Writes down who is away; without anybody there is no file.
///
/// # Errors
/// The disk's refusal.
#[cfg(feature = "audit")]
pub fn write(files: &dyn Files, run_dir: &Path, now: Duration, away: Vec<Away>) -> std::io::Result<()> {
    if away.is_empty() {
        return files.remove(&path(run_dir)).map(drop);
    }
    let file = File { format: FORMAT, written: milliseconds(now), away };
    files.write_lightly(&path(run_dir), &serde_json::to_vec(&file)?)
}
