//! `harness bench ovsdb`: the emulated OVSDB server beside the real ovsdb-server, each in its own process with its database on
//! disk, measured in turn within one run so that both meet the same machine.

mod load;
mod servers;
mod wire;

use std::io;
use std::path::{Path, PathBuf};

use super::{Figure, Figures, median};
use crate::error::Error;
use crate::stopwatch::Stopwatch;
use servers::{Kind, Server, failed, find_real};
use wire::Session;

/// Inserts of one measurement.
const INSERTS: usize = 2000;
/// Outstanding requests of a connection that does not wait.
const WINDOW: usize = 64;
const CONNECTIONS: usize = 8;
/// Samples of a latency in one round.
const SAMPLES: usize = 200;
/// The smaller of the two numbers of rows.
const FEW: usize = 1000;

/// What is measured.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// How many rows the large database has
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(10_000..=1_000_000))]
    rows: u32,
    /// How often each is measured, in turn
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// The emulator's executable, if it is not beside this one
    #[arg(long, value_name = "PATH")]
    emulator: Option<PathBuf>,
}

/// The servers, ours first.
struct Sides(Vec<Server>);

/// One measurement of both.
struct Measured(Vec<Vec<f64>>);

impl Sides {
    /// Runs `measure` on each server in turn, `rounds` times.
    fn measure(
        &mut self,
        rounds: u32,
        mut measure: impl FnMut(&mut Server) -> Result<f64, Error>,
    ) -> Result<Measured, Error> {
        let mut measured = vec![Vec::new(); self.0.len()];
        for _ in 0..rounds {
            for (server, values) in self.0.iter_mut().zip(&mut measured) {
                values.push(measure(server)?);
            }
        }
        Ok(Measured(measured))
    }
}

impl Measured {
    fn figure(&self, what: impl Into<String>, unit: &'static str) -> Figure {
        let figure = Figure::new(what, median(&self.0[0]), unit);
        match self.0.get(1) {
            Some(other) => figure.against(median(other)),
            None => figure,
        }
    }
}

/// Runs the benchmark.
///
/// # Errors
/// A server that does not start, answers with an error, or is not there.
pub fn run(options: &Options) -> Result<Figures, Error> {
    let directory = Directory::new()?;
    let mut sides =
        Sides(vec![Server::start(Kind::Emulator, &emulator(options)?, &directory.0.join("ours"))?]);
    if let Some(real) = find_real() {
        sides.0.push(Server::start(Kind::Real, &real, &directory.0.join("real"))?);
    }
    for server in &mut sides.0 {
        server.connect()?;
    }
    let mut figures = Figures::new("ovsdb", "ovsdb-server");
    small(&mut sides, options.rounds, &mut figures)?;
    large(&mut sides, options, &mut figures)?;
    Ok(figures)
}

fn emulator(options: &Options) -> Result<PathBuf, Error> {
    let beside = || {
        let own = std::env::current_exe().map_err(failed(Path::new("this executable")))?;
        Ok(own.with_file_name("emulator"))
    };
    let path = options.emulator.clone().map_or_else(beside, Ok)?;
    if path.is_file() { Ok(path) } else { Err(failed(&path)(io::ErrorKind::NotFound.into())) }
}

/// Runs on the server's socket; what fails is told with it.
fn on<T>(server: &mut Server, act: impl FnOnce(&mut Session, &Path) -> io::Result<T>) -> Result<T, Error> {
    let mut session = server.connect()?;
    let socket = server.socket();
    act(&mut session, &socket).map_err(failed(&socket))
}

/// Rates and latencies on a database that is nearly empty.
fn small(sides: &mut Sides, rounds: u32, figures: &mut Figures) -> Result<(), Error> {
    for (what, window) in
        [("one-row inserts, one connection, sequential", 1), ("the same, 64 outstanding", WINDOW)]
    {
        let measured = sides.measure(rounds, |server| {
            on(server, |session, _| {
                let rate = load::inserts(session, 0, INSERTS, window)?;
                load::clear(session).map(|()| rate)
            })
        })?;
        figures.push(measured.figure(what, "1/s"));
    }
    let measured = sides.measure(rounds, |server| {
        on(server, |session, socket| {
            let rate = load::inserts_side_by_side(socket, CONNECTIONS, INSERTS / CONNECTIONS)?;
            load::clear(session).map(|()| rate)
        })
    })?;
    figures.push(measured.figure("the same, 8 connections, sequential each", "1/s"));
    for watchers in [1, 20] {
        let measured = sides.measure(rounds, |server| {
            on(server, |_, socket| Ok(median(&load::update_latency(socket, watchers, SAMPLES)?)))
        })?;
        figures.push(
            measured.figure(format!("insert until the last of {watchers} watching has its update"), "us"),
        );
    }
    Ok(())
}

/// What a database of many rows costs.
fn large(sides: &mut Sides, options: &Options, figures: &mut Figures) -> Result<(), Error> {
    let rows = options.rows as usize;
    let rounds = options.rounds;
    let mut present = 0;
    for target in [FEW, rows / 10, rows] {
        let first = present;
        let watch = sides.measure(1, |server| {
            let watch = Stopwatch::start();
            on(server, |session, _| load::fill(session, first, target - first))?;
            Ok(load::micros(watch.elapsed()) / 1e6)
        })?;
        present = target;
        if target == FEW || target == rows {
            // The new rows make no difference to so many, and are taken away again.
            let rate = sides.measure(rounds, |server| on(server, |session, _| grown(session, target)))?;
            figures.push(rate.figure(format!("one-row inserts, sequential, beside {target} rows"), "1/s"));
        }
        if target == rows {
            figures.push(watch.figure(format!("filling up to {target} rows, 1,000 a transaction"), "s"));
            let memory = sides.measure(1, |server| server.memory("VmRSS"))?;
            figures.push(memory.figure(format!("memory with {target} rows (VmRSS)"), "MiB"));
        }
        if target != FEW {
            let monitor = sides.measure(rounds.min(5), |server| {
                on(server, |_, socket| Ok(load::initial_monitor(socket)?.0))
            })?;
            figures.push(monitor.figure(format!("initial monitor of {target} rows, all columns"), "ms"));
        }
    }
    let memory = sides.measure(1, |server| server.memory("VmHWM"))?;
    figures.push(memory.figure("most memory until then (VmHWM)", "MiB"));
    let lookup = sides.measure(rounds, |server| on(server, |session, _| load::lookup(session, rows, 40)))?;
    figures.push(lookup.figure(format!("select by name among {rows} rows"), "us"));
    let restart = sides.measure(rounds.min(3), |server| {
        let watch = Stopwatch::start();
        server.restart()?;
        // It answers with a row, so it has them.
        on(server, |session, _| load::lookup(session, rows, 1))?;
        Ok(load::micros(watch.elapsed()) / 1e3)
    })?;
    figures.push(restart.figure(format!("kill, start and answer with {rows} rows"), "ms"));
    Ok(())
}

/// Inserts a second beside `rows`; the new rows are taken away again.
fn grown(session: &mut Session, rows: usize) -> io::Result<f64> {
    let rate = load::inserts(session, rows, INSERTS / 2, 1)?;
    load::remove_from(session, rows).map(|()| rate)
}

/// A directory for one run, gone with it.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Result<Self, Error> {
        let path = std::env::temp_dir().join(format!("nuage-bench-ovsdb-{}", std::process::id()));
        std::fs::create_dir(&path).map_err(failed(&path))?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
