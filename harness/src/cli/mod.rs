//! The command line, a file a verb. Results go to standard output, messages to standard error.

mod bench;
mod check;
mod compare;
mod explain;
mod list;
mod merge;
mod new;
#[cfg(target_os = "linux")]
mod pod;
mod progress;
mod replay;
mod run;
mod schema;
mod shrink;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::error::Error;

const EXAMPLES: &str = "\
Examples:
  harness run scenarios/                     every scenario, once, with its own seed
  harness run scenarios/failures --seeds 100 a hundred seeds of each
  harness replay --seed 42 scenarios/failures/vrs-restart-during-churn.toml
  harness run scenarios/ --report out         a page, JUnit, JSON and traces in out/
  harness compare before out                 what broke since then, what became slower
  harness shrink --seed 42 scenarios/failures/vrs-restart-during-churn.toml
                                             the smallest scenario that fails in the same way
  harness check my-scenario.toml             say what is wrong with it, run nothing
  harness explain vrs.restart                what it does and which keys it takes
  harness new mine.toml churn vrs.restart no_leaks
                                             a scenario to begin with, every key explained

Exit codes: 0 everything holds, 1 an expectation or invariant is violated, or compare found something worse, 2 usage or an invalid scenario,
3 a run was not deterministic, 4 the machine lacks something, 130 interrupted.";

/// Everything holds.
const HOLDS: u8 = 0;
/// Something does not.
const VIOLATED: u8 = 1;
/// What was asked for is none.
const INVALID: u8 = 2;
/// Two runs of a seed differ.
const NOT_DETERMINISTIC: u8 = 3;
/// The machine lacks something.
const LACKING: u8 = 4;
/// As a shell tells of a process that SIGINT has ended.
const INTERRUPTED: u8 = 130;

/// Drives pod churn and faults through the real plugin against the emulators
#[derive(Debug, Parser)]
#[command(version = crate::VERSION, after_help = EXAMPLES, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run scenarios
    Run(run::Arguments),
    /// Say what is wrong with scenarios, run nothing
    Check(check::Arguments),
    /// List scenarios and the invariants that every run checks
    List(list::Arguments),
    /// Say what a load, fault, expectation or invariant is and which keys it takes
    Explain(explain::Arguments),
    /// Write a scenario to begin with
    New(new::Arguments),
    /// Print the JSON schema of scenarios, for editors
    Schema,
    /// Run one scenario again with a seed and print its events
    Replay(replay::Arguments),
    /// Say what broke, was fixed, became slower or is met no more from one report to another
    Compare(compare::Arguments),
    /// Make one report of those of a sweep's parts
    Merge(merge::Arguments),
    /// Make a scenario that fails as small as it can be and still fail in the same way
    Shrink(shrink::Arguments),
    /// Measure, print a table and write the same figures as JSON
    Bench(bench::Arguments),
    /// Make pods beside a running emulator, ping between them, and take them away (Linux, root)
    #[cfg(target_os = "linux")]
    Pod(pod::Arguments),
}

/// The command line, for its manual and its completions.
pub fn command() -> clap::Command {
    Arguments::command().name("harness")
}

/// Runs the command line.
pub fn run() -> ExitCode {
    let result = match Arguments::parse().verb {
        Verb::Run(arguments) => run::run(&arguments),
        Verb::Check(arguments) => check::run(&arguments),
        Verb::List(arguments) => list::run(&arguments),
        Verb::Explain(arguments) => Ok(explain::run(&arguments)),
        Verb::New(arguments) => new::run(&arguments),
        Verb::Schema => Ok(schema::run()),
        Verb::Replay(arguments) => replay::run(&arguments),
        Verb::Compare(arguments) => compare::run(&arguments),
        Verb::Merge(arguments) => merge::run(&arguments),
        Verb::Shrink(arguments) => shrink::run(&arguments),
        Verb::Bench(arguments) => bench::run(&arguments),
        #[cfg(target_os = "linux")]
        Verb::Pod(arguments) => pod::run(&arguments),
    };
    ExitCode::from(result.unwrap_or_else(|error| {
        complain(&error.to_string());
        match error {
            Error::Lacking(_) => LACKING,
            Error::Interrupted => INTERRUPTED,
            #[cfg(target_os = "linux")]
            Error::Plugin(_) => VIOLATED,
            _ => INVALID,
        }
    }))
}

/// Prints a line; a reader that went away is no failure.
fn say(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Tells of what is done, on standard error.
fn note(message: &str) {
    let _ = writeln!(io::stderr().lock(), "{message}");
}

/// Prints a message to standard error.
fn complain(message: &str) {
    let _ = writeln!(io::stderr().lock(), "error: {message}");
}
