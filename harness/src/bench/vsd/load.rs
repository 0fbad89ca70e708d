//! What clients do in the benchmark of the VSD, and what they send.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::wire::Connection;
use crate::stopwatch::Stopwatch;

/// The basic credentials `csproot:csproot`, for the first request of each client.
const PASSWORD: &str = "Y3Nwcm9vdDpjc3Byb290";
/// Long enough for a request to arrive, far below the time that a poll waits.
const ARRIVAL: Duration = Duration::from_millis(100);

/// The requests about one subnet, as one user.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    subnet: String,
    credentials: String,
}

impl Requests {
    pub(super) fn new(subnet: String) -> Self {
        Self { subnet, credentials: PASSWORD.to_owned() }
    }

    /// The same with an API key instead of the password, as clients do.
    pub(super) fn with_key(&self, client: &mut Connection) -> io::Result<Self> {
        client.call(&self.request("GET", "me", "", ""))?;
        let me: Value = serde_json::from_slice(client.body())?;
        let key = me[0]["APIKey"].as_str().unwrap_or_default();
        let credentials = STANDARD.encode(format!("csproot:{key}"));
        Ok(Self { credentials, ..self.clone() })
    }

    pub(super) fn bare(&self) -> Vec<u8> {
        self.request("GET", "bare", "", "")
    }

    pub(super) fn read_subnet(&self) -> Vec<u8> {
        self.request("GET", &format!("subnets/{}", self.subnet), "", "")
    }

    pub(super) fn create_vport(&self, number: usize) -> Vec<u8> {
        let body = format!(r#"{{"name":"vport-{number:07}","type":"VM","addressSpoofing":"DISABLED"}}"#);
        self.request("POST", &format!("subnets/{}/vports", self.subnet), "", &body)
    }

    pub(super) fn create_enterprise(&self, number: usize) -> Vec<u8> {
        self.request("POST", "enterprises", "", &format!(r#"{{"name":"enterprise-{number}"}}"#))
    }

    pub(super) fn filtered(&self, number: usize) -> Vec<u8> {
        let filter = format!("X-Nuage-Filter: name == 'vport-{number:07}'\r\n");
        self.request("GET", &format!("subnets/{}/vports", self.subnet), &filter, "")
    }

    fn poll(&self, place: Option<&str>) -> Vec<u8> {
        let query = place.map(|place| format!("?uuid={place}")).unwrap_or_default();
        self.request("GET", &format!("events{query}"), "", "")
    }

    fn request(&self, method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
        let (credentials, length) = (&self.credentials, body.len());
        format!(
            "{method} /nuage/api/v6/{path} HTTP/1.1\r\nHost: vsd\r\nAuthorization: XREST {credentials}\r\n\
             X-Nuage-Organization: csp\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        )
        .into_bytes()
    }
}

/// Sends one request after the other; gives the time of each in microseconds.
pub(super) fn sequential(
    client: &mut Connection,
    count: usize,
    request: impl Fn(usize) -> Vec<u8>,
) -> io::Result<Vec<f64>> {
    let one = |number| {
        let request = request(number);
        let watch = Stopwatch::start();
        client.call(&request)?;
        Ok(micros(watch.elapsed()))
    };
    (0..count).map(one).collect()
}

/// Sends `count` requests over several connections, each of which waits for its answers.
pub(super) fn side_by_side(
    address: SocketAddr,
    connections: usize,
    count: usize,
    request: impl Fn(usize) -> Vec<u8> + Sync,
) -> io::Result<()> {
    std::thread::scope(|scope| {
        let request = &request;
        let threads: Vec<_> = (0..connections)
            .map(|first| {
                scope.spawn(move || -> io::Result<()> {
                    let mut client = Connection::open(address)?;
                    (first..count)
                        .step_by(connections)
                        .try_for_each(|number| client.call(&request(number)).map(drop))
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(io::Error::other("a client panicked")))
        })
    })
}

/// Many who wait for events, each on a connection of its own.
#[derive(Debug)]
pub(super) struct Pollers {
    connections: Vec<(Connection, Option<String>)>,
    requests: Requests,
}

impl Pollers {
    pub(super) fn open(address: SocketAddr, count: usize, requests: &Requests) -> io::Result<Self> {
        let connections = (0..count).map(|_| Ok((Connection::open(address)?, None)));
        Ok(Self { connections: connections.collect::<io::Result<_>>()?, requests: requests.clone() })
    }

    /// Everybody begins to wait.
    pub(super) fn poll(&mut self) -> io::Result<()> {
        for (connection, place) in &mut self.connections {
            connection.send(&self.requests.poll(place.as_deref()))?;
        }
        Ok(())
    }

    /// Returns when everybody has heard of so many new enterprises.
    pub(super) fn heard(&mut self, enterprises: usize) -> io::Result<()> {
        for (connection, place) in &mut self.connections {
            let mut heard = 0;
            loop {
                connection.answer()?;
                let (more, next) = told(connection.body())?;
                heard += more;
                *place = Some(next);
                if heard >= enterprises {
                    break;
                }
                connection.send(&self.requests.poll(place.as_deref()))?;
            }
        }
        Ok(())
    }
}

/// How many enterprises were made, and the place behind that. Looked for as text: reading all of it would be measured.
fn told(body: &[u8]) -> io::Result<(usize, String)> {
    let made = b"\"entityType\":\"enterprise\"";
    let count = body.windows(made.len()).filter(|part| part == made).count();
    let text = std::str::from_utf8(body).map_err(io::Error::other)?;
    let place = text.rsplit_once("\"uuid\":\"").and_then(|(_, rest)| rest.split_once('"'));
    let place = place.ok_or_else(|| io::Error::other("a reply without a place"))?.0;
    Ok((count, place.to_owned()))
}

/// Lets what was sent arrive.
pub(super) fn pause() {
    #[expect(clippy::disallowed_methods, reason = "other threads are awaited in real time")]
    std::thread::sleep(ARRIVAL);
}

pub(super) fn per_second(count: usize, watch: Stopwatch) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a count of requests")]
    let count = count as f64;
    count / watch.elapsed().as_secs_f64().max(1e-9)
}

pub(super) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
