//! `harness bench cni`: the shipped executables as a runtime calls them, in turn with the `bridge` plugin and `host-local`
//! as floor. Ours asks an API server and a monitor over TLS and a switch over OVSDB; the floor asks nobody.

mod call;
mod site;

use serde_json::Value;

use super::{Figure, Figures, median};
use crate::error::Error;
use call::{Call, Meter, Plugin};
use site::Site;

/// Rows of other drivers on the switch.
const FOREIGN_ROWS: [usize; 4] = [0, 100, 1000, 5000];
/// Calls of each kind a number of rows: their median moves by a few percent from run to run.
const ROUNDS: usize = 15;
/// Calls under a meter, whose figures vary little.
const METERED_ROUNDS: usize = 3;

/// What one kind of call took, in milliseconds.
#[derive(Default)]
struct Times {
    add: Vec<f64>,
    del: Vec<f64>,
}

/// Measures.
///
/// # Errors
/// What the machine lacks: root, `ip`, the reference plugins, or the executables beside this one.
pub fn run() -> Result<Figures, Error> {
    let mut site = Site::start()?;
    let mut figures = Figures::new("cni", "bridge + host-local");
    let (ours, floor) = (site.ours(), site.floor());
    for rows in FOREIGN_ROWS {
        site.foreign_rows(rows)?;
        let (mut mine, mut theirs) = (Times::default(), Times::default());
        for round in 0..ROUNDS {
            // In turn, and in turn first: what slows the machine down slows both down.
            let both = [(&ours, &mut mine), (&floor, &mut theirs)];
            let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
            let mut both = both.map(Some);
            for (plugin, times) in order.into_iter().filter_map(|index| both[index].take()) {
                pod(&mut site, plugin, times)?;
            }
        }
        let of = |what: &str| format!("{what}, {rows} foreign rows");
        figures.push(Figure::new(of("ADD"), median(&mine.add), "ms").against(median(&theirs.add)));
        figures.push(Figure::new(of("DEL"), median(&mine.del), "ms").against(median(&theirs.del)));
        site.clear()?;
        metered(&mut site, rows, &mut figures)?;
        site.clear()?;
        if [FOREIGN_ROWS.first(), FOREIGN_ROWS.last()].contains(&Some(&rows)) {
            phases(&mut site, rows, &mut figures)?;
        }
    }
    looks(&mut site, &mut figures)?;
    Ok(figures)
}

/// One pod's life.
fn pod(site: &mut Site, plugin: &Plugin, times: &mut Times) -> Result<(), Error> {
    let call = site.pod()?;
    times.add.push(plugin.call("ADD", &call, Meter::Clock)?);
    times.del.push(plugin.call("DEL", &call, Meter::Clock)?);
    Ok(())
}

/// Processor time, memory and instructions, where the meters are there.
fn metered(site: &mut Site, rows: usize, figures: &mut Figures) -> Result<(), Error> {
    for (meter, what, unit) in [
        (Meter::Processor, "processor time", "ms"),
        (Meter::Memory, "peak memory", "MiB"),
        (Meter::Instructions, "instructions", "million"),
    ] {
        if !meter.is_there() {
            continue;
        }
        let rounds = if meter == Meter::Instructions { 1 } else { METERED_ROUNDS };
        let (mut mine, mut theirs) = (Times::default(), Times::default());
        for _ in 0..rounds {
            // A Go runtime under valgrind measures valgrind.
            let both =
                [(site.ours(), &mut mine, true), (site.floor(), &mut theirs, meter != Meter::Instructions)];
            for (plugin, times, _) in both.into_iter().filter(|(_, _, wanted)| *wanted) {
                let call = site.pod()?;
                times.add.push(plugin.call("ADD", &call, meter)?);
                times.del.push(plugin.call("DEL", &call, meter)?);
            }
        }
        for (verb, mine, theirs) in [("ADD", &mine.add, &theirs.add), ("DEL", &mine.del, &theirs.del)] {
            let figure = Figure::new(format!("{verb}, {what}, {rows} foreign rows"), median(mine), unit);
            figures.push(if theirs.is_empty() { figure } else { figure.against(median(theirs)) });
        }
    }
    Ok(())
}

/// What our ADD spends its time on: as it tells the audit.
fn phases(site: &mut Site, rows: usize, figures: &mut Figures) -> Result<(), Error> {
    let mut names: Vec<String> = Vec::new();
    let mut reports: Vec<Value> = Vec::new();
    let ours = site.ours();
    for _ in 0..ROUNDS {
        let call = site.pod()?;
        site.listen();
        ours.call("ADD", &call, Meter::Clock)?;
        reports.extend(site.report());
        ours.call("DEL", &call, Meter::Clock)?;
    }
    site.clear()?;
    for report in &reports {
        let phases = report["phases"].as_object().into_iter().flat_map(|phases| phases.keys());
        names.extend(phases.filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>());
    }
    let milliseconds = |of: &dyn Fn(&Value) -> Option<f64>| {
        median(&reports.iter().filter_map(of).map(|seconds| seconds * 1e3).collect::<Vec<f64>>())
    };
    let all = milliseconds(&|report| report["seconds"].as_f64());
    figures.push(Figure::new(format!("ADD, its own view, {rows} foreign rows"), all, "ms"));
    for name in names {
        let took = milliseconds(&|report| report["phases"][&name].as_f64());
        figures.push(Figure::new(format!("ADD, phase {name}, {rows} foreign rows"), took, "ms"));
    }
    Ok(())
}

/// The calls that only look, beside a process that does nothing, and what is on the disk.
fn looks(site: &mut Site, figures: &mut Figures) -> Result<(), Error> {
    let (ours, floor) = (site.ours(), site.floor());
    let nothing = Plugin { executable: "/bin/true".into(), ..site.floor() };
    let (mut version, mut theirs, mut start, mut check) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let call = site.pod()?;
    ours.call("ADD", &call, Meter::Clock)?;
    for _ in 0..ROUNDS {
        let any = Call::default();
        start.push(nothing.call("VERSION", &any, Meter::Clock)?);
        version.push(ours.call("VERSION", &any, Meter::Clock)?);
        theirs.push(floor.call("VERSION", &any, Meter::Clock)?);
        check.push(ours.call("CHECK", &call, Meter::Clock)?);
    }
    ours.call("DEL", &call, Meter::Clock)?;
    site.clear()?;
    figures.push(Figure::new("VERSION", median(&version), "ms").against(median(&theirs)));
    figures.push(Figure::new("a process that does nothing", median(&start), "ms"));
    figures.push(Figure::new("CHECK", median(&check), "ms"));
    figures.push(Figure::new("executable", ours.megabytes()?, "MB").against(floor.megabytes()?));
    Ok(())
}
