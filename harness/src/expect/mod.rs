//! What must hold in the end. A kind of expectation is a line in [`KINDS`] and an arm; what must hold all the time is an
//! invariant and needs no line in a scenario.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::Error;
use crate::kubelet;
use crate::scenario::Reader;
use crate::world::sim::World;

/// How often the end state is looked at while there is time.
const LOOK: Duration = Duration::from_secs(1);

/// An expectation of a scenario.
#[derive(Clone, Debug)]
pub enum Expectation {
    /// Every pod came up.
    AllRunning,
    /// Within this time after the last load nothing of a container is left anywhere.
    NoLeaks(Duration),
    /// The 99th percentile of a command's virtual duration.
    Latency {
        /// The CNI command.
        command: &'static str,
        /// At most this.
        p99_max: Duration,
    },
    /// A fault really happened: a scenario whose fault never fired proves nothing.
    FaultHit(String),
}

#[derive(Clone, Copy)]
enum Kind {
    AllRunning,
    NoLeaks,
    Latency,
    FaultHit,
}

const KINDS: [(&str, Kind); 4] = [
    ("all_running", Kind::AllRunning),
    ("no_leaks", Kind::NoLeaks),
    ("latency", Kind::Latency),
    ("fault_hit", Kind::FaultHit),
];
const COMMANDS: [(&str, &str); 2] = [("ADD", "ADD"), ("DEL", "DEL")];

impl Expectation {
    /// Reads an `[[expect]]`.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn read(reader: Reader<'_>) -> Result<Self, Error> {
        reader.whole(|reader| {
            Ok(match reader.word("kind", None, &KINDS)? {
                Kind::AllRunning => Self::AllRunning,
                Kind::NoLeaks => Self::NoLeaks(reader.duration("within", Some(Duration::from_secs(30)))?),
                Kind::Latency => Self::Latency {
                    command: reader.word("op", None, &COMMANDS)?,
                    p99_max: reader.duration("p99_max", None)?,
                },
                Kind::FaultHit => {
                    let name = reader.text("fault", None)?;
                    if !crate::fault::is_known(&name) {
                        return Err(reader.error(format!("there is no fault \"{name}\"")));
                    }
                    Self::FaultHit(name)
                }
            })
        })
    }

    /// Waits for what may take a moment, and says what does not hold.
    ///
    /// # Errors
    /// What does not hold, in words.
    pub async fn check(&self, world: &Arc<World>) -> Result<(), String> {
        match self {
            Self::AllRunning => {
                let given_up = world.ledger().given_up.clone();
                if given_up.is_empty() {
                    Ok(())
                } else {
                    Err(format!("never came up: {}", given_up.join(", ")))
                }
            }
            Self::NoLeaks(within) => no_leaks(world, *within).await,
            Self::Latency { command, p99_max } => match world.ledger().percentile(command, 99) {
                Some(found) if found <= *p99_max => Ok(()),
                Some(found) => Err(format!("p99 of {command} is {found:?}, over {p99_max:?}")),
                None => Err(format!("there was no {command}")),
            },
            Self::FaultHit(name) => {
                let hits = world.ledger().hits.get(name).copied().unwrap_or(0);
                if hits > 0 { Ok(()) } else { Err(format!("fault {name} never happened")) }
            }
        }
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AllRunning => "all_running",
            Self::NoLeaks(_) => "no_leaks",
            Self::Latency { .. } => "latency",
            Self::FaultHit(_) => "fault_hit",
        }
    }
}

async fn no_leaks(world: &Arc<World>, within: Duration) -> Result<(), String> {
    let deadline = Instant::now() + within;
    // The one call that reaches what no later ADD or DEL would on a node that has become quiet.
    for node in 0..world.nodes.len() {
        kubelet::collect_garbage(world, node).await;
    }
    loop {
        let left = world.leftovers();
        if left.is_empty() {
            return Ok(());
        }
        if Instant::now() + LOOK > deadline {
            return Err(format!("left after {within:?}: {}", left.join(", ")));
        }
        sleep(LOOK).await;
    }
}
