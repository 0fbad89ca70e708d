//! The wait for the controller: until the port's row has address, mask and gateway, or is gone, or time is up. The watch
//! begins before the row is made, so an answer cannot be missed; a lost connection is made again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use nuage_ovsdb::client::{Monitor, MonitorTable};
use nuage_ovsdb::value::Row;
use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{DATABASE, Readiness, Vrs, refusal};
use crate::call::Call;
use crate::error::Error;

const COLUMNS: [&str; 4] = ["name", "ip_addr", "subnet_mask", "gateway"];
/// Where the switch's schema has them: the known one knows IPv4 only.
pub(super) const IPV6_COLUMNS: [&str; 3] = ["ip6_addr", "ip6_prefix_len", "ip6_gateway"];
/// The pause before a lost connection is made again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);
/// How long it may take to find out why a wait was in vain.
const DIAGNOSIS: Duration = Duration::from_millis(500);

/// What the controller has decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// Address and prefix.
    pub address: Ipv4Net,
    /// The gateway.
    pub gateway: Ipv4Addr,
    /// The second address and its gateway, on a switch that tells them.
    pub ipv6: Option<(Ipv6Net, Option<Ipv6Addr>)>,
}

impl Resolution {
    /// All addresses, each with its gateway.
    pub fn addresses(&self) -> Vec<(IpNet, Option<IpAddr>)> {
        let first = (self.address.into(), Some(self.gateway.into()));
        let second = self.ipv6.map(|(address, gateway)| (address.into(), gateway.map(IpAddr::from)));
        std::iter::once(first).chain(second).collect()
    }
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
    /// There is no such row any more.
    Gone,
    /// The connection went.
    Disconnected,
}

/// A watch of one port's row.
#[derive(Debug)]
pub struct Watch {
    monitor: Monitor,
    /// Whether there has been a row.
    seen: bool,
}

impl Watch {
    /// Begins with the rows as they are; `None` where the connection went.
    pub(super) async fn begin(vrs: &Vrs, name: &str) -> Result<Option<Self>, Error> {
        let mut columns = COLUMNS.to_vec();
        if vrs.ipv6 {
            columns.extend(IPV6_COLUMNS);
        }
        let table = MonitorTable::new("Nuage_Port_Table", &columns).only("name", name);
        match vrs.client.monitor(DATABASE, vec![table], vrs.remaining()).await {
            Ok(monitor) => Ok(Some(Self { monitor, seen: false })),
            Err(nuage_ovsdb::Error::Closed) => Ok(None),
            Err(error) => Err(refusal("watching the port", &error)),
        }
    }

    async fn follow(&mut self, needs_ipv6: bool) -> Watched {
        loop {
            match self.monitor.rows().values().next().map(|row| read(row, needs_ipv6)) {
                Some(Answer::NotYet) => self.seen = true,
                Some(Answer::Resolved(resolution)) => return Watched::Resolved(resolution),
                Some(Answer::Wrong(details)) => return Watched::Wrong(details),
                None if self.seen => return Watched::Gone,
                None => {}
            }
            if self.monitor.next().await.is_err() {
                return Watched::Disconnected;
            }
        }
    }
}

/// Waits for the port of `name` at most `limit`, first by `watch`, which began before the row was made.
///
/// # Errors
/// Code 101 where it is not resolved in time or its row goes, code 104 where the controller's answer is no address.
pub async fn wait(
    call: &Call<'_>,
    vrs: &Vrs,
    watch: Option<Watch>,
    name: &str,
    limit: Duration,
) -> Result<Resolution, Error> {
    let deadline = (Instant::now() + limit).min(call.deadline);
    let needs_ipv6 = call.request.network.needs_ipv6;
    let unresolved =
        |details: String| Error::Unresolved { port: name.to_owned(), seconds: limit.as_secs(), details };
    let mut watch = watch;
    let mut lost = false;
    loop {
        let outcome = match watch.take() {
            Some(mut watch) => timeout_at(deadline, watch.follow(needs_ipv6)).await,
            None => Ok(Watched::Disconnected),
        };
        match outcome {
            Err(_) => return Err(unresolved(diagnose(call, lost).await)),
            Ok(Watched::Resolved(resolution)) => return Ok(resolution),
            Ok(Watched::Wrong(details)) => {
                return Err(Error::Vrs { operation: "resolving the port".to_owned(), details });
            }
            Ok(Watched::Gone) => return Err(unresolved("its row was deleted meanwhile".to_owned())),
            Ok(Watched::Disconnected) => {
                if lost {
                    sleep_until(Instant::now() + RECONNECT_PAUSE).await;
                }
                lost = true;
                if Instant::now() + RECONNECT_PAUSE >= deadline {
                    return Err(unresolved(diagnose(call, lost).await));
                }
                watch = resume(call, vrs, name, deadline).await?;
            }
        }
    }
}

/// Watches on a new connection. The row has been made, so that its absence means that it went.
async fn resume(call: &Call<'_>, vrs: &Vrs, name: &str, deadline: Instant) -> Result<Option<Watch>, Error> {
    let Ok(connected) = Vrs::connect_once(call, deadline).await else { return Ok(None) };
    let watch = Watch::begin(&Vrs { ipv6: vrs.ipv6, ..connected }, name).await?;
    Ok(watch.map(|watch| Watch { seen: true, ..watch }))
}

/// Why nobody answered, as far as the switch can tell.
async fn diagnose(call: &Call<'_>, lost: bool) -> String {
    let asked = async {
        let deadline = Instant::now() + DIAGNOSIS;
        Vrs::connect_once(call, deadline).await?.readiness().await
    };
    match timeout_at(Instant::now() + DIAGNOSIS, asked).await {
        Ok(Ok(Readiness::Ready)) => {
            "the controller did not answer; does the zone and subnet exist in the VSD?".to_owned()
        }
        Ok(Ok(Readiness::NoBridge)) => "the VRS has lost its bridge meanwhile".to_owned(),
        Ok(Ok(Readiness::Masters(count))) => format!("{count} controllers are master by now"),
        Ok(Err(_)) | Err(_) if lost => "the connection to the VRS was lost meanwhile".to_owned(),
        Ok(Err(_)) | Err(_) => "the VRS does not answer any more".to_owned(),
    }
}

/// Zero counts as unresolved, as does an empty column: the controller may fill them one after another.
fn read(row: &Row, needs_ipv6: bool) -> Answer {
    let text = |column: &str| row.get(column).and_then(Value::as_str).unwrap_or_default();
    let (address, mask, gateway) = (text("ip_addr"), text("subnet_mask"), text("gateway"));
    if [address, mask, gateway].iter().any(|text| text.is_empty() || *text == "0.0.0.0") {
        return Answer::NotYet;
    }
    let wrong = || Answer::Wrong(format!("address {address}, mask {mask}, gateway {gateway}"));
    let (Ok(ip), Ok(mask), Ok(gateway)) = (address.parse(), mask.parse::<Ipv4Addr>(), gateway.parse()) else {
        return wrong();
    };
    let Ok(address) = Ipv4Net::with_netmask(ip, mask) else { return wrong() };
    match read_ipv6(row) {
        Err(details) => Answer::Wrong(details),
        Ok(None) if needs_ipv6 => Answer::NotYet,
        Ok(ipv6) => Answer::Resolved(Resolution { address, gateway, ipv6 }),
    }
}

/// The second address, if the switch tells one. A gateway may be missing: then the pod learns its routers itself.
fn read_ipv6(row: &Row) -> Result<Option<(Ipv6Net, Option<Ipv6Addr>)>, String> {
    let [address, prefix, gateway] = IPV6_COLUMNS.map(|column| row.get(column));
    let text = |value: Option<&Value>| {
        value.and_then(Value::as_str).filter(|text| !text.is_empty() && *text != "::").map(str::to_owned)
    };
    let Some(address) = text(address) else { return Ok(None) };
    let gateway = text(gateway);
    let wrong = || format!("address {address}, prefix length {prefix:?}, gateway {gateway:?}");
    let prefix = prefix.and_then(Value::as_u64).and_then(|prefix| u8::try_from(prefix).ok());
    let ip = address.parse().map_err(|_| wrong())?;
    let net = prefix.and_then(|prefix| Ipv6Net::new(ip, prefix).ok()).ok_or_else(wrong)?;
    let gateway = gateway.as_ref().map(|text| text.parse().map_err(|_| wrong())).transpose()?;
    Ok(Some((net, gateway)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(address: &str, mask: &str, gateway: &str) -> Answer {
        let columns = [("ip_addr", address), ("subnet_mask", mask), ("gateway", gateway)];
        read(&columns.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect(), false)
    }

    fn dual(address: &str, prefix: &Value, gateway: &str, needed: bool) -> Answer {
        let four = [("ip_addr", "10.0.0.2"), ("subnet_mask", "255.255.255.0"), ("gateway", "10.0.0.1")];
        let mut row: Row = four.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let six = [
            ("ip6_addr", json!(address)),
            ("ip6_prefix_len", prefix.clone()),
            ("ip6_gateway", json!(gateway)),
        ];
        row.extend(six.map(|(name, value)| (name.to_owned(), value)));
        read(&row, needed)
    }

    #[test]
    fn a_second_address_is_taken_where_it_is_told_and_waited_for_where_it_is_needed() {
        for absent in ["", "::"] {
            assert!(matches!(dual(absent, &json!(0), "", true), Answer::NotYet));
            assert!(matches!(
                dual(absent, &json!(0), "", false),
                Answer::Resolved(Resolution { ipv6: None, .. })
            ));
        }
        let Answer::Resolved(resolution) = dual("fd00::2", &json!(64), "fd00::1", true) else {
            panic!("resolved")
        };
        let addresses: Vec<String> =
            resolution.addresses().iter().map(|(address, _)| address.to_string()).collect();
        assert_eq!(addresses, ["10.0.0.2/24", "fd00::2/64"]);
        for (prefix, gateway) in [(json!(0), "x"), (json!(129), ""), (json!(""), "")] {
            assert!(
                matches!(dual("fd00::2", &prefix, gateway, false), Answer::Wrong(_)),
                "{prefix} {gateway}"
            );
        }
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
