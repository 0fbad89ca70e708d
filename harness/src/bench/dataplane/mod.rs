//! `harness bench dataplane`: what packets cost between two containers of a subnet, beside two on a plain Linux bridge, in turn;
//! what ACL entries cost; and how long a port takes to be answered, which it is when packets pass.

mod site;
mod traffic;

use std::io;
use std::time::Duration;

use super::{Figure, Figures, median};
use crate::error::Error;
use site::{Lab, Pod};

/// Containers that are attached one after the other.
const ATTACHED: u32 = 20;
/// Answers and connections of one measurement.
const SAMPLES: usize = 500;
/// So many ACL entries.
const ENTRIES: [usize; 3] = [10, 100, 1000];

/// What is measured.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// How often each is measured, in turn
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    pairs: u32,
    /// How long packets flow in one measurement, in milliseconds
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    time: u64,
}

fn failed(error: io::Error) -> Error {
    Error::File { path: "a connection between namespaces".into(), source: error }
}

/// Runs the benchmark.
///
/// # Errors
/// What the machine lacks; a site that does not start.
pub fn run(options: &Options) -> Result<Figures, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|source| Error::File { path: "the runtime".into(), source })?;
    runtime.block_on(async {
        let mut lab = Lab::start().await?;
        let figures = measure(options, &mut lab).await;
        lab.end().await;
        figures
    })
}

async fn measure(options: &Options, lab: &mut Lab) -> Result<Figures, Error> {
    let mut figures = Figures::new("dataplane", "plain bridge");
    let mut answered = Vec::new();
    for number in 1..=ATTACHED {
        answered.push(lab.attach(number).await?.as_secs_f64() * 1e3);
    }
    figures.push(Figure::new("rows of the first container until its answer", answered[0], "ms"));
    figures.push(Figure::new("the same of a further one", median(&answered[1..]), "ms"));
    traffic::serve(&lab.pods[1].netns).map_err(failed)?;
    traffic::serve(&lab.plain[1].netns).map_err(failed)?;
    let time = Duration::from_millis(options.time);
    let (ours, theirs) = in_turn(options.pairs, lab, |from, to| {
        traffic::throughput(&from.netns, to.address, time).map(|rate| vec![rate])
    })?;
    figures.push(Figure::new("one connection", median(&ours), "Gbit/s").against(median(&theirs)));
    let (ours, theirs) =
        in_turn(options.pairs, lab, |from, to| traffic::round_trips(&from.netns, to.address, SAMPLES))?;
    figures.push(Figure::new("answer to one byte", median(&ours), "us").against(median(&theirs)));
    for count in ENTRIES {
        lab.entries(count).await?;
        let (ours, theirs) = in_turn(options.pairs, lab, |from, to| {
            traffic::throughput(&from.netns, to.address, time).map(|rate| vec![rate])
        })?;
        let what = format!("one connection, {count} ACL entries");
        figures.push(Figure::new(what, median(&ours), "Gbit/s").against(median(&theirs)));
        let (ours, theirs) =
            in_turn(options.pairs, lab, |from, to| traffic::connections(&from.netns, to.address, SAMPLES))?;
        let what = format!("a new connection, {count} ACL entries");
        figures.push(Figure::new(what, median(&ours), "us").against(median(&theirs)));
    }
    Ok(figures)
}

/// Measures ours and theirs in turn; a first turn of each does not count.
fn in_turn(
    pairs: u32,
    lab: &Lab,
    one: impl Fn(&Pod, &Pod) -> io::Result<Vec<f64>>,
) -> Result<(Vec<f64>, Vec<f64>), Error> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for pair in 0..=pairs {
        let (our, their) = (one(&lab.pods[0], &lab.pods[1]), one(&lab.plain[0], &lab.plain[1]));
        let (our, their) = (our.map_err(failed)?, their.map_err(failed)?);
        if pair > 0 {
            ours.extend(our);
            theirs.extend(their);
        }
    }
    Ok((ours, theirs))
}
