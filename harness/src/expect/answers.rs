//! `answers`: how often calls of a command were answered in one way.

use std::sync::Arc;

use async_trait::async_trait;

use super::{COMMANDS, Expectation};
use crate::scenario::registry::Kind;
use crate::world::sim::World;

/// No run has more calls.
const MOST: u64 = 1_000_000_000;

pub(super) const KIND: Kind<dyn Expectation> = Kind {
    name: "answers",
    about: "How often calls of a command succeeded, or failed with a code; calls that were killed have no answer.",
    read: |reader| {
        Ok(Arc::new(Answers {
            command: reader.word("op", "of which command", None, &COMMANDS)?,
            code: reader.number("code", "the error's code; 0 is success", Some(0), 0..=999)?,
            least: reader.number("at_least", "the least that there must be", Some(1), 0..=MOST)?,
            most: reader.number("at_most", "the most that there may be", Some(MOST), 0..=MOST)?,
        }))
    },
};

#[derive(Debug)]
struct Answers {
    command: &'static str,
    code: u64,
    least: u64,
    most: u64,
}

#[async_trait(?Send)]
impl Expectation for Answers {
    async fn check(&self, world: &Arc<World>) -> Result<(), String> {
        let Self { command, code, least, most } = *self;
        let answers = world.ledger().answers.clone();
        let found = answers.get(&(command, code)).copied().unwrap_or(0) as u64;
        if (least..=most).contains(&found) {
            return Ok(());
        }
        let all: Vec<String> = (answers.iter().filter(|((of, _), _)| *of == command))
            .map(|((_, code), times)| format!("{times} x {code}"))
            .collect();
        let bounds = if found < least { format!("not {least}") } else { format!("more than {most}") };
        Err(format!("answers: {found} {command} with code {code}, {bounds}; there were {}", all.join(", ")))
    }
}
