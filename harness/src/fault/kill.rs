//! `plugin.killed`: the plugin's process is killed where it waits. By chance, at a time, or exhaustively: the scenario is
//! run once for each point, until a call ends before it is killed.

use std::sync::Arc;

use async_trait::async_trait;
use nuage_emulator::faults::{Caller, Setting, Value, Values};

use super::definitions::definition;
use super::often::{Nodes, Often, Schedule, names};
use super::{Fault, begin, over};
use crate::error::Error;
use crate::random::Draws;
use crate::run::Report;
use crate::scenario::registry::Kind;
use crate::scenario::{Reader, Scenario};
use crate::world::sim::process::Kill;
use crate::world::sim::{Tampering, World};

/// The points of a call that one is drawn from: an ADD without mishaps has some twenty. A call that ends before the drawn
/// one was not killed, and does not count.
const DRAWN_POINTS: u64 = 24;
/// No call has more points; one that had would not end.
const MOST_POINTS: u64 = 10_000;
/// The commands that can be killed exhaustively.
const COMMANDS: [(&str, &str); 5] =
    [("ADD", "ADD"), ("DEL", "DEL"), ("CHECK", "CHECK"), ("GC", "GC"), ("STATUS", "STATUS")];

/// Its name.
pub const NAME: &str = definition("plugin.killed").name;

pub(super) const KIND: Kind<dyn Fault> = Kind {
    name: NAME,
    about: definition("plugin.killed").about,
    read: |reader| Ok(Arc::new(Killed::read(reader)?)),
};

/// A command whose first call is to be killed at each point in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhaustive(pub &'static str);

#[derive(Clone, Debug)]
struct Killed {
    schedule: Schedule,
    often: Often,
    nodes: Nodes,
    command: &'static str,
    exhaustive: bool,
}

impl Killed {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let exhaustive = reader.word(
            "mode",
            "chance: at a point that the seed decides; exhaustive: one run a point, until a call ends by itself",
            Some("chance"),
            &[("chance", false), ("exhaustive", true)],
        )?;
        let mut commands = COMMANDS.to_vec();
        if !exhaustive {
            commands.insert(0, ("any", "any"));
        }
        let default = if exhaustive { "ADD" } else { "any" };
        Ok(Self {
            schedule: Schedule::read(reader)?,
            often: Often::read(reader)?,
            nodes: Nodes::read(reader, "all")?,
            command: reader.word("op", "which calls", Some(default), &commands)?,
            exhaustive,
        })
    }
}

#[async_trait(?Send)]
impl Fault for Killed {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn run(&self, world: &Arc<World>, draws: &Draws) -> u64 {
        if self.exhaustive {
            // Whoever runs the scenario kills, and says so.
            return 1;
        }
        self.schedule.begin(&draws.random).await;
        if world.loads_are_over() {
            return 0;
        }
        let nodes = self.nodes.draw(world.nodes.len(), &draws.random);
        let (chance, times) = self.often.draw(&draws.random);
        let setting = Setting {
            chance,
            times,
            nodes: names(world, &nodes),
            values: Values::default().with("op", Value::Text(self.command.to_owned())),
            picked: draws.picked.clone(),
            ..Setting::default()
        };
        let Ok(id) = world.faults.start(definition("plugin.killed"), setting) else { return 0 };
        begin(world, self.name(), None);
        self.schedule.end(world, &draws.random).await;
        over(world, self.name(), None);
        world.faults.off(id).unwrap_or(0)
    }

    fn exhaustive(&self) -> Option<Exhaustive> {
        self.exhaustive.then_some(Exhaustive(self.command))
    }

    fn needs_simulation(&self) -> Option<&'static str> {
        self.exhaustive.then_some(
            "a real process cannot be stopped at its n-th wait (tests kill it at each system call)",
        )
    }
}

/// Whether the process that `caller` begins is to be killed, and when; with what tells that it was.
pub(crate) fn planned(world: &World, caller: &Caller) -> Option<(u64, Kill)> {
    let concerns = |values: &Values| ["any", &*caller.operation].contains(&values.text("op"));
    let (id, _) = world.faults.draw("plugin.killed", caller, concerns)?;
    Some((id, Kill::AtPoll(world.random.below(DRAWN_POINTS))))
}

/// Runs a scenario once for each point of the command that it wants killed, until that ends by itself. `None`: it wants
/// nothing of the kind.
///
/// # Errors
/// As `run_once`.
pub fn exhausted(
    scenario: &Scenario,
    seed: u64,
    run_once: impl Fn(&Scenario, u64, Tampering) -> Result<Report, Error>,
) -> Option<Result<Report, Error>> {
    let Exhaustive(command) = scenario.faults.iter().find_map(|fault| fault.exhaustive())?;
    let mut whole: Option<Report> = None;
    for point in 0..MOST_POINTS {
        let tampering = Tampering { kill: Some((command, Kill::AtPoll(point))), ..Tampering::default() };
        let mut report = match run_once(scenario, seed, tampering) {
            Ok(report) => report,
            Err(error) => return Some(Err(error)),
        };
        let killed = report.coverage.get(NAME, command) > 0;
        if !report.passed() {
            report.failures.push(format!("{NAME}: {command} was killed at point {point}"));
        }
        let ended = !report.passed() || !killed;
        whole = Some(match whole {
            None => report,
            Some(before) => before.followed_by(report),
        });
        if ended {
            break;
        }
    }
    let mut whole = whole?;
    if whole.passed() && whole.coverage.get(NAME, command) == 0 {
        whole.failures.push(format!("{NAME}: no {command} was killed"));
    }
    Some(Ok(whole))
}
