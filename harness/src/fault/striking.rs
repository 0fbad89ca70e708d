//! One adapter for every fault that strikes where it is asked for. What it is called, what it does and what can be set
//! stands in its definition; when, how often and where is the scenario's.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nuage_emulator::faults::{Caller, Definition, Effect, Parameter, Setting, Takes, Value, Values};

use super::often::{Nodes, Often, Schedule, names};
use super::{Fault, begin, over};
use crate::error::Error;
use crate::random::Draws;
use crate::scenario::Reader;
use crate::world::sim::World;

/// Reads a fault of this definition.
pub(super) fn read(
    reader: &mut Reader<'_>,
    definition: &'static Definition,
) -> Result<Arc<dyn Fault>, Error> {
    let schedule = Schedule::read(reader)?;
    // A state of a switch comes about once, where it is, and does not wait to be asked.
    let is_state = definition.effect == Effect::SwitchState;
    let often = if is_state { Often::ALWAYS } else { Often::read(reader)? };
    let nodes = Nodes::read(reader, if is_state { "one" } else { "all" })?;
    let mut values = Values::default();
    for parameter in definition.parameters {
        values = values.with(parameter.name, value(reader, parameter)?);
    }
    Ok(Arc::new(Striking { definition, schedule, often, nodes, values }))
}

fn value(reader: &mut Reader<'_>, parameter: &'static Parameter) -> Result<Value, Error> {
    let Parameter { name, about, takes } = *parameter;
    Ok(match takes {
        Takes::Span(milliseconds) => {
            let (low, high) = reader.span(name, about, Some(Duration::from_millis(milliseconds)))?.bounds();
            Value::Span(low, high)
        }
        Takes::Text(default) => Value::Text(reader.text(name, about, Some(default))?),
        Takes::Word(words) => {
            let meanings: Vec<_> = words.iter().map(|word| (*word, *word)).collect();
            Value::Text(reader.word(name, about, words.first().copied(), &meanings)?.to_owned())
        }
        Takes::Flag => Value::Flag(reader.flag(name, about, false)?),
    })
}

/// A fault that strikes where it is asked for, or is a state of switches.
#[derive(Clone, Debug)]
struct Striking {
    definition: &'static Definition,
    schedule: Schedule,
    often: Often,
    nodes: Nodes,
    values: Values,
}

#[async_trait(?Send)]
impl Fault for Striking {
    fn name(&self) -> &'static str {
        self.definition.name
    }

    fn needs_simulation(&self) -> Option<&'static str> {
        let seams = self.name().starts_with("node.");
        seams.then_some("it strikes in the seams of the plugin, and a real process has none")
    }

    async fn run(&self, world: &Arc<World>, draws: &Draws) -> u64 {
        self.schedule.begin(&draws.random).await;
        if world.loads_are_over() {
            return 0;
        }
        let nodes = self.nodes.draw(world.nodes.len(), &draws.random);
        let (chance, times) = self.often.draw(&draws.random);
        let (values, picked) = (self.values.clone(), draws.picked.clone());
        let setting = Setting { chance, times, lasts: None, nodes: names(world, &nodes), values, picked };
        // The definition's own values are always taken; only a scenario with hundreds of faults is not.
        let Ok(id) = world.faults.start(self.definition, setting) else { return 0 };
        for node in &nodes {
            if self.hinders() {
                world.ledger().trouble_begins(*node);
            }
            if self.definition.effect == Effect::SwitchState {
                self.bring_about(world, *node);
                world.faults.count(id, &Caller::new(&world.nodes[*node].name, "node"));
                begin(world, self.name(), Some(*node));
            }
        }
        if self.definition.effect == Effect::Asked {
            begin(world, self.name(), None);
        }
        self.schedule.end(world, &draws.random).await;
        let hits = world.faults.off(id).unwrap_or(0);
        for node in &nodes {
            if self.definition.effect == Effect::SwitchState {
                self.take_back(world, *node);
                over(world, self.name(), Some(*node));
            }
            if self.hinders() {
                world.ledger().trouble_ends(*node);
            }
        }
        if self.definition.effect == Effect::Asked {
            over(world, self.name(), None);
        }
        hits
    }
}

/// Faults that may keep a DEL from delivering everything on its node: what it owes is paid by a later call.
const HINDRANCES: [&str; 6] =
    ["vrs.disconnect", "vrs.restart", "vrs.slow", "vrs.cut_reply", "vrs.operation_error", "node.disk_full"];

impl Striking {
    fn hinders(&self) -> bool {
        HINDRANCES.contains(&self.name())
    }

    fn bring_about(&self, world: &World, node: usize) {
        // The ledger has to know of a switch that is away.
        match self.name() {
            "vrs.restart" => world.stop_switch(node),
            other => world.nodes[node].vrs.suffer(other),
        }
    }

    fn take_back(&self, world: &World, node: usize) {
        match self.name() {
            "vrs.restart" => world.start_switch(node, self.values.flag("lose_rows")),
            other => world.nodes[node].vrs.recover(other, &self.values),
        }
    }
}
