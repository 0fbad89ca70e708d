//! The wait for the controller: until the port's row has address, mask and gateway, or is gone, or time is up. The watch
//! begins with the row as it is, so an answer that came before cannot be missed; a lost connection is made again.

use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;
use nuage_ovsdb::client::{Monitor, MonitorTable};
use nuage_ovsdb::value::Row;
use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{DATABASE, Vrs, refusal};
use crate::call::Call;
use crate::error::Error;

const COLUMNS: [&str; 4] = ["name", "ip_addr", "subnet_mask", "gateway"];
/// The pause before a lost connection is made again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// What the controller has decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// Address and prefix.
    pub address: Ipv4Net,
    /// The gateway.
    pub gateway: Ipv4Addr,
}

/// What a row says.
enum Answer {
    NotYet,
    Resolved(Resolution),
    Wrong(String),
}

/// How a watch ended.
enum Watched {
    Resolved(Resolution),
    Wrong(String),
    /// There is no such row, or no more.
    Gone,
    /// The connection went.
    Disconnected,
}

/// Waits for the port of `name` at most `limit`.
///
/// # Errors
/// Code 101 where it is not resolved in time or its row goes, code 104 where the controller's answer is no address.
pub async fn wait(call: &Call<'_>, vrs: Vrs, name: &str, limit: Duration) -> Result<Resolution, Error> {
    let deadline = (Instant::now() + limit).min(call.deadline);
    let unresolved = |details: &str| Error::Unresolved {
        port: name.to_owned(),
        seconds: limit.as_secs(),
        details: details.to_owned(),
    };
    let mut vrs = Some(vrs);
    let mut seen = "the controller did not answer; does the zone and subnet exist in the VSD?";
    loop {
        let connected = match vrs.take() {
            Some(vrs) => Ok(vrs),
            None => Vrs::connect_once(call, deadline).await,
        };
        let outcome = match connected {
            Ok(connected) => timeout_at(deadline, watch(&connected, name)).await,
            Err(_) => Ok(Ok(Watched::Disconnected)),
        };
        match outcome {
            Err(_) => return Err(unresolved(seen)),
            Ok(Ok(Watched::Resolved(resolution))) => return Ok(resolution),
            Ok(Ok(Watched::Wrong(details))) => {
                return Err(Error::Vrs { operation: "resolving the port".to_owned(), details });
            }
            Ok(Ok(Watched::Gone)) => return Err(unresolved("its row was deleted meanwhile")),
            Ok(Err(error)) => return Err(error),
            Ok(Ok(Watched::Disconnected)) => {
                seen = "the connection to the VRS was lost meanwhile";
                if Instant::now() + RECONNECT_PAUSE >= deadline {
                    return Err(unresolved(seen));
                }
                sleep_until(Instant::now() + RECONNECT_PAUSE).await;
            }
        }
    }
}

/// Watches on one connection.
async fn watch(vrs: &Vrs, name: &str) -> Result<Watched, Error> {
    let table = MonitorTable::new("Nuage_Port_Table", &COLUMNS).only("name", name);
    let mut monitor = match vrs.client.monitor(DATABASE, vec![table], vrs.remaining()).await {
        Ok(monitor) => monitor,
        Err(nuage_ovsdb::Error::Closed) => return Ok(Watched::Disconnected),
        Err(error) => return Err(refusal("watching the port", &error)),
    };
    loop {
        match state(&monitor) {
            Some(Answer::NotYet) => {}
            Some(Answer::Resolved(resolution)) => return Ok(Watched::Resolved(resolution)),
            Some(Answer::Wrong(details)) => return Ok(Watched::Wrong(details)),
            None => return Ok(Watched::Gone),
        }
        if monitor.next().await.is_err() {
            return Ok(Watched::Disconnected);
        }
    }
}

fn state(monitor: &Monitor) -> Option<Answer> {
    monitor.rows().values().next().map(read)
}

/// "0.0.0.0" counts as unresolved, as does an empty column: the controller may fill them one after another.
fn read(row: &Row) -> Answer {
    let text = |column: &str| row.get(column).and_then(Value::as_str).unwrap_or_default();
    let (address, mask, gateway) = (text("ip_addr"), text("subnet_mask"), text("gateway"));
    if [address, mask, gateway].iter().any(|text| text.is_empty() || *text == "0.0.0.0") {
        return Answer::NotYet;
    }
    let wrong = || Answer::Wrong(format!("address {address}, mask {mask}, gateway {gateway}"));
    let (Ok(ip), Ok(mask), Ok(gateway)) = (address.parse(), mask.parse::<Ipv4Addr>(), gateway.parse()) else {
        return wrong();
    };
    match Ipv4Net::with_netmask(ip, mask) {
        Ok(address) => Answer::Resolved(Resolution { address, gateway }),
        Err(_) => wrong(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(address: &str, mask: &str, gateway: &str) -> Answer {
        let columns = [("ip_addr", address), ("subnet_mask", mask), ("gateway", gateway)];
        read(&columns.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect())
    }

    #[test]
    fn a_row_is_resolved_only_when_all_of_it_is_there_and_not_zero() {
        assert!(matches!(row("", "", ""), Answer::NotYet));
        assert!(matches!(row("10.0.0.2", "255.255.255.0", ""), Answer::NotYet));
        assert!(matches!(row("0.0.0.0", "0.0.0.0", "0.0.0.0"), Answer::NotYet));
        assert!(matches!(row("10.0.0.2", "255.255.255.0", "0.0.0.0"), Answer::NotYet));
        let Answer::Resolved(resolution) = row("10.0.0.2", "255.255.255.0", "10.0.0.1") else {
            panic!("resolved")
        };
        assert_eq!(resolution.address.to_string(), "10.0.0.2/24");
    }

    #[test]
    fn an_answer_that_is_no_address_is_not_waited_upon() {
        assert!(matches!(row("10.0.0.2", "255.0.255.0", "10.0.0.1"), Answer::Wrong(_)));
        assert!(matches!(row("ten", "255.255.255.0", "10.0.0.1"), Answer::Wrong(_)));
    }
}
