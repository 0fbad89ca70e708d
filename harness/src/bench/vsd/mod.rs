//! `harness bench vsd`: the emulated VSD beside a bare axum route that gives the same number of bytes, both over
//! loopback in this process and in turn, so that both meet the same machine and the same client.

mod load;
mod server;
mod wire;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nuage_emulator::clock::Clock;
use nuage_emulator::entropy::Entropy;
use nuage_emulator::vsd::{Site, Vsd};

use super::{Figure, Figures, median, percentile};
use crate::error::Error;
use crate::stopwatch::Stopwatch;
use load::{Requests, micros};
use server::{Server, bare};
use wire::Connection;

/// Requests of one measurement.
const SAMPLES: usize = 2000;
const CONNECTIONS: usize = 8;
/// Objects of the small list.
const FEW: usize = 10;
const POLLERS: usize = 100;
/// Changes that every poller hears of in one measurement: each is a name's creation with its three groups.
const CHANGES: usize = 25;
/// Objects that are made with a disk below.
const KEPT: usize = 300;

/// What is measured.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// How many vPorts the large subnet has
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1000..=1_000_000))]
    objects: u32,
    /// How often each is measured, in turn
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
}

fn failed(error: io::Error) -> Error {
    Error::File { path: "loopback".into(), source: error }
}

/// Runs the benchmark.
///
/// # Errors
/// A server that does not start or answers with an error.
pub fn run(options: &Options) -> Result<Figures, Error> {
    let mut figures = Figures::new("vsd", "bare axum route");
    let vsd = Vsd::new(Clock::System, Entropy::seeded(1));
    let requests = prepare(&vsd)?;
    let server = Server::start(vsd.router()).map_err(failed)?;
    let small = Vsd::new(Clock::System, Entropy::seeded(3));
    let few = prepare(&small)?;
    let small = Server::start(small.router()).map_err(failed)?;
    measure(options, &server, &requests, (&small, &few), &mut figures).map_err(failed)?;
    pollers(options.rounds, &server, &requests, &mut figures).map_err(failed)?;
    disk(options, &mut figures)?;
    Ok(figures)
}

/// A site with one large subnet, and the requests about it.
fn prepare(vsd: &Vsd) -> Result<Requests, Error> {
    let site = Site {
        enterprise: "bench".to_owned(),
        domain: "bench".to_owned(),
        zone: "bench".to_owned(),
        subnet: "bench".to_owned(),
        address: ipnet::Ipv4Net::new_assert(std::net::Ipv4Addr::new(10, 0, 0, 0), 8),
    };
    vsd.bootstrap(&site).map_err(|refusal| Error::Site(refusal.to_string()))?;
    let subnet = vsd.snapshot("subnet").into_iter().next();
    let id = subnet.and_then(|subnet| subnet["ID"].as_str().map(str::to_owned));
    id.map(Requests::new).ok_or_else(|| Error::Site("no subnet".to_owned()))
}

fn measure(
    options: &Options,
    server: &Server,
    requests: &Requests,
    (small, few): (&Server, &Requests),
    figures: &mut Figures,
) -> io::Result<()> {
    let mut client = Connection::open(server.address)?;
    let requests = requests.with_key(&mut client)?;
    for number in 0..FEW {
        client.call(&requests.create_vport(number))?;
    }
    read(options.rounds, server, &requests, figures)?;
    let many = options.objects as usize;

    let before = memory("VmRSS")?;
    let watch = Stopwatch::start();
    let times = load::sequential(&mut client, SAMPLES, |number| requests.create_vport(FEW + number))?;
    figures.push(Figure::new("create a vPort, one connection", load::per_second(SAMPLES, watch), "1/s"));
    figures.push(Figure::new("the same, p99", percentile(&times, 99), "us"));
    let watch = Stopwatch::start();
    let first = FEW + SAMPLES;
    load::side_by_side(server.address, CONNECTIONS, many - first, |number| {
        requests.create_vport(first + number)
    })?;
    figures.push(Figure::new("create a vPort, 8 connections", load::per_second(many - first, watch), "1/s"));
    #[expect(clippy::cast_precision_loss, reason = "a count of objects")]
    let each = (memory("VmRSS")? - before) * 1024.0 / (many - FEW) as f64;
    figures.push(Figure::new(format!("memory a vPort, with {many} of them"), each, "B"));

    let mut other = Connection::open(small.address)?;
    let few = few.with_key(&mut other)?;
    for number in 0..FEW {
        other.call(&few.create_vport(number))?;
    }
    let [small, large] = listed(options.rounds, [(small, &few, FEW), (server, &requests, many)])?;
    let ratio = median(&large) / median(&small).max(f64::MIN_POSITIVE);
    for (what, times) in [
        (format!("list by name among {FEW}"), small),
        (format!("list by name among {many} (ratio to {FEW}: {ratio:.2})"), large),
    ] {
        figures.push(Figure::new(what, median(&times), "us"));
        figures.push(Figure::new("the same, p99", percentile(&times, 99), "us"));
    }
    Ok(())
}

/// Reading one object, beside the bare route.
fn read(rounds: u32, server: &Server, requests: &Requests, figures: &mut Figures) -> io::Result<()> {
    let mut client = Connection::open(server.address)?;
    let length = client.call(&requests.read_subnet())?;
    let other = Server::start(bare(length))?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut our_rates, mut their_rates) = (Vec::new(), Vec::new());
    let mut plain = Connection::open(other.address)?;
    for _ in 0..rounds {
        ours.extend(load::sequential(&mut client, SAMPLES, |_| requests.read_subnet())?);
        theirs.extend(load::sequential(&mut plain, SAMPLES, |_| requests.bare())?);
        for (server, rates, request) in
            [(server, &mut our_rates, requests.read_subnet()), (&other, &mut their_rates, requests.bare())]
        {
            let watch = Stopwatch::start();
            load::side_by_side(server.address, CONNECTIONS, SAMPLES * 2, |_| request.clone())?;
            rates.push(load::per_second(SAMPLES * 2, watch));
        }
    }
    let rate = Figure::new("get by id, 8 connections", median(&our_rates), "1/s");
    figures.push(rate.against(median(&their_rates)));
    for (what, percent) in [("get by id, one connection, median", 50), ("the same, p99", 99)] {
        let figure = Figure::new(what, percentile(&ours, percent), "us");
        figures.push(figure.against(percentile(&theirs, percent)));
    }
    Ok(())
}

/// Lists filtered by name in two VSDs with so many objects, in turn: one after the other they would not meet the same
/// machine, whose scheduler decides more than the size does.
fn listed(rounds: u32, sides: [(&Server, &Requests, usize); 2]) -> io::Result<[Vec<f64>; 2]> {
    let mut times = [Vec::new(), Vec::new()];
    let mut clients = [Connection::open(sides[0].0.address)?, Connection::open(sides[1].0.address)?];
    for _ in 0..rounds {
        for ((client, times), (_, requests, among)) in clients.iter_mut().zip(&mut times).zip(&sides) {
            let one = |number: usize| requests.filtered(number * 7919 % among);
            times.extend(load::sequential(client, SAMPLES / 2, one)?);
        }
    }
    Ok(times)
}

/// How long a change takes to everybody, and how many events everybody takes.
fn pollers(rounds: u32, server: &Server, requests: &Requests, figures: &mut Figures) -> io::Result<()> {
    let mut writer = Connection::open(server.address)?;
    let requests = requests.with_key(&mut writer)?;
    let mut pollers = load::Pollers::open(server.address, POLLERS, &requests)?;
    let mut names = 0..;
    let mut create = |writer: &mut Connection| {
        writer.call(&requests.create_enterprise(names.next().unwrap_or(0))).map(drop)
    };
    pollers.poll()?;
    // Once they all wait; else it is no long poll that is measured.
    load::pause();
    create(&mut writer)?;
    pollers.heard(1)?;
    let (mut latencies, mut rates) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        pollers.poll()?;
        load::pause();
        create(&mut writer)?;
        let watch = Stopwatch::start();
        pollers.heard(1)?;
        latencies.push(micros(watch.elapsed()) / 1e3);

        pollers.poll()?;
        let watch = Stopwatch::start();
        for _ in 0..CHANGES {
            create(&mut writer)?;
        }
        pollers.heard(CHANGES)?;
        rates.push(load::per_second(CHANGES * 4 * POLLERS, watch));
    }
    let what = format!("a change until the last of {POLLERS} pollers has it (250 ms of it documented)");
    figures.push(Figure::new(what, median(&latencies), "ms"));
    let what = format!("events to {POLLERS} pollers, {} at a time", CHANGES * 4);
    figures.push(Figure::new(what, median(&rates), "1/s"));
    Ok(())
}

/// What it costs that changes outlive the process, and to have them again.
fn disk(options: &Options, figures: &mut Figures) -> Result<(), Error> {
    let open = |path: &Path| {
        let vsd = Vsd::open(Clock::System, Entropy::seeded(2), path);
        vsd.map_err(|error| Error::Site(error.to_string()))
    };
    let fill = |vsd: &Vsd, count: usize, connections: usize| -> Result<f64, Error> {
        let server = Server::start(vsd.router()).map_err(failed)?;
        let mut client = Connection::open(server.address).map_err(failed)?;
        let requests = prepare(vsd)?.with_key(&mut client).map_err(failed)?;
        let watch = Stopwatch::start();
        load::side_by_side(server.address, connections, count, |number| requests.create_vport(number))
            .map_err(failed)?;
        Ok(load::per_second(count, watch))
    };
    let directory = Directory::new(&std::env::temp_dir())?;
    let rate = fill(&open(&directory.0.join("small.redb"))?, KEPT, 1)?;
    figures.push(Figure::new("create a vPort with --persist, one connection", rate, "1/s"));

    // Where a sync costs nothing, if there is such a place: what is measured is reading it again.
    let memory = PathBuf::from("/dev/shm");
    let directory = Directory::new(&if memory.is_dir() { memory } else { std::env::temp_dir() })?;
    let (path, many) = (directory.0.join("large.redb"), options.objects as usize);
    fill(&open(&path)?, many, CONNECTIONS)?;
    let mut times = Vec::new();
    for _ in 0..options.rounds.min(5) {
        let watch = Stopwatch::start();
        let vsd = open(&path)?;
        times.push(micros(watch.elapsed()) / 1e3);
        drop(vsd);
    }
    figures.push(Figure::new(format!("start with {many} vPorts on disk"), median(&times), "ms"));
    Ok(())
}

/// `VmRSS` of this process in KiB.
fn memory(field: &str) -> io::Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    number.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// A directory for one run, gone with it.
struct Directory(PathBuf);

impl Directory {
    fn new(below: &Path) -> Result<Self, Error> {
        let path = below.join(format!("nuage-bench-vsd-{}", std::process::id()));
        fs::create_dir(&path).map_err(|source| Error::File { path: path.clone(), source })?;
        Ok(Self(path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
