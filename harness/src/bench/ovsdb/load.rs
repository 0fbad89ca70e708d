//! What is measured of one server at a time; each function leaves the rows as it found them unless it says otherwise.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::median;
use super::wire::Session;
use crate::stopwatch::Stopwatch;

/// Rows of one transaction when many are made.
const BULK: usize = 1000;

/// A row as a plugin makes it: sixteen columns.
fn row(number: usize) -> Value {
    json!({
        "name": format!("nu{number:08}"), "mac": format!("7a:f8:ac:{:02x}:{:02x}:01", number >> 8 & 255, number & 255),
        "bridge": "alubr0", "ip_addr": "10.20.0.2", "subnet_mask": "255.255.255.0", "gateway": "10.20.0.1",
        "evpn_id": number, "vrf_id": 20, "vm_domain": 6, "nuage_domain": "Kubernetes Domain",
        "nuage_zone": "default", "nuage_network": "default-0", "nuage_network_type": "ipv4", "alias": format!("eth{number}"),
        "metadata": ["map", [["nuage-policy-group", "web"], ["pod", format!("web-{number}")]]]
    })
}

fn transact(id: usize, operations: &[Value]) -> Vec<u8> {
    let mut params = vec![json!("Open_vSwitch")];
    params.extend_from_slice(operations);
    json!({"id": id, "method": "transact", "params": params}).to_string().into_bytes()
}

fn insert(number: usize) -> Vec<u8> {
    transact(number, &[json!({"op": "insert", "table": "Nuage_Port_Table", "row": row(number)})])
}

/// A request that watches all columns of the ports, or only their names.
fn monitor(columns: Option<&[&str]>) -> Vec<u8> {
    let request = columns.map_or_else(|| json!({}), |columns| json!({"columns": columns}));
    json!({"id": 1, "method": "monitor", "params": ["Open_vSwitch", "watch", {"Nuage_Port_Table": request}]})
        .to_string()
        .into_bytes()
}

fn per_second(count: usize, watch: Stopwatch) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    let count = count as f64;
    count / watch.elapsed().as_secs_f64().max(1e-9)
}

pub(super) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// Takes all ports away.
pub(super) fn clear(session: &mut Session) -> io::Result<()> {
    let delete = json!({"op": "delete", "table": "Nuage_Port_Table", "where": []});
    session.call(&transact(0, &[delete])).map(drop)
}

/// Takes away the ports numbered from `first`.
pub(super) fn remove_from(session: &mut Session, first: usize) -> io::Result<()> {
    let these = json!([["evpn_id", ">=", first]]);
    let delete = json!({"op": "delete", "table": "Nuage_Port_Table", "where": these});
    session.call(&transact(0, &[delete])).map(drop)
}

/// Makes `count` ports, a thousand in a transaction, numbered from `first`; they stay.
pub(super) fn fill(session: &mut Session, first: usize, count: usize) -> io::Result<()> {
    let numbers: Vec<usize> = (first..first + count).collect();
    for part in numbers.chunks(BULK) {
        let operations: Vec<Value> = part
            .iter()
            .map(|number| json!({"op": "insert", "table": "Nuage_Port_Table", "row": row(*number)}))
            .collect();
        session.call(&transact(0, &operations))?;
    }
    Ok(())
}

/// Inserts a second on one connection with `window` outstanding; the rows stay.
pub(super) fn inserts(session: &mut Session, first: usize, count: usize, window: usize) -> io::Result<f64> {
    let requests: Vec<Vec<u8>> = (first..first + count).map(insert).collect();
    let watch = Stopwatch::start();
    for request in &requests[..window] {
        session.send(request)?;
    }
    for request in &requests[window..] {
        session.answer()?;
        session.send(request)?;
    }
    for _ in 0..window {
        session.answer()?;
    }
    Ok(per_second(count, watch))
}

/// Inserts a second on several connections, each with one outstanding; the rows stay.
pub(super) fn inserts_side_by_side(socket: &Path, connections: usize, each: usize) -> io::Result<f64> {
    let work: Vec<(Session, Vec<Vec<u8>>)> = (0..connections)
        .map(|at| Ok((Session::connect(socket)?, (at * each..(at + 1) * each).map(insert).collect())))
        .collect::<io::Result<_>>()?;
    let watch = Stopwatch::start();
    std::thread::scope(|scope| {
        let threads: Vec<_> = work
            .into_iter()
            .map(|(mut session, requests)| {
                scope.spawn(move || requests.iter().try_for_each(|request| session.call(request).map(drop)))
            })
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a client's thread panicked")))
        })
    })?;
    Ok(per_second(connections * each, watch))
}

/// Microseconds from sending an insert until the last of `watchers` other sessions has its update.
pub(super) fn update_latency(socket: &Path, watchers: usize, samples: usize) -> io::Result<Vec<f64>> {
    let mut writer = Session::connect(socket)?;
    let mut others = Vec::new();
    for _ in 0..watchers {
        let mut session = Session::connect(socket)?;
        session.call(&monitor(Some(&["name", "ip_addr"])))?;
        others.push(session);
    }
    let mut latencies = Vec::with_capacity(samples);
    for number in 0..samples {
        let request = insert(number);
        let watch = Stopwatch::start();
        writer.send(&request)?;
        for session in &mut others {
            session.next()?;
        }
        latencies.push(micros(watch.elapsed()));
        writer.answer()?;
    }
    clear(&mut writer)?;
    Ok(latencies)
}

/// Milliseconds until a new session has the present state of all ports, and how many bytes that was.
pub(super) fn initial_monitor(socket: &Path) -> io::Result<(f64, usize)> {
    let mut session = Session::connect(socket)?;
    let watch = Stopwatch::start();
    let bytes = session.call(&monitor(None))?;
    Ok((micros(watch.elapsed()) / 1e3, bytes))
}

/// Microseconds of a select by name, the median of `samples`.
pub(super) fn lookup(session: &mut Session, rows: usize, samples: usize) -> io::Result<f64> {
    let mut latencies = Vec::with_capacity(samples);
    for number in 0..samples {
        let name = format!("nu{:08}", (number * 7919 + 1) % rows);
        let select = json!({
            "op": "select", "table": "Nuage_Port_Table", "where": [["name", "==", name]], "columns": ["name", "ip_addr"]
        });
        let request = transact(number, &[select]);
        let watch = Stopwatch::start();
        session.send(&request)?;
        let answer = session.next()?;
        let latency = micros(watch.elapsed());
        let found = answer.windows(name.len()).any(|window| window == name.as_bytes());
        if !found {
            return Err(io::Error::other(format!("{name} was not found")));
        }
        latencies.push(latency);
    }
    Ok(median(&latencies))
}
