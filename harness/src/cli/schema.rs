//! `harness schema`: the JSON schema of scenarios.

use super::{HOLDS, say};
use crate::scenario::schema::schema;

pub(super) fn run() -> u8 {
    say(&format!("{:#}", schema()));
    HOLDS
}
