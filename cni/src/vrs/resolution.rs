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
    /// Part of it may be there.
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
    /// What the row says that is not all of it, in words.
    partial: Option<String>,
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
            Ok(monitor) => Ok(Some(Self { monitor, seen: false, partial: None })),
            Err(nuage_ovsdb::Error::Closed) => Ok(None),
            Err(error) => Err(refusal("watching the port", &error)),
        }
    }

    async fn follow(&mut self, needs_ipv6: bool) -> Watched {
        loop {
            let row = self.monitor.rows().values().next();
            match row.map(|row| read(row, needs_ipv6)) {
                Some(Answer::NotYet) => {
                    self.partial = row.and_then(partial);
                    self.seen = true;
                }
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
    mutant!(call.host, "B3" => watch = miss_what_was_said(call, vrs, name, deadline).await?);
    mutant!(call.host, "B22" => if let Some(watch) = &mut watch
        && let Ok(Some(anything)) = timeout_at(deadline, watch.take_anything()).await { return Ok(anything) });
    loop {
        let outcome = match &mut watch {
            Some(watch) => timeout_at(deadline, watch.follow(needs_ipv6)).await,
            None => Ok(Watched::Disconnected),
        };
        let partial = watch.take().and_then(|watch| watch.partial);
        match outcome {
            Err(_) => match partial {
                Some(partial) => {
                    return Err(unresolved(format!("the controller's answer stayed incomplete: {partial}")));
                }
                None => return Err(unresolved(diagnose(call, lost).await)),
            },
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

/// B3: whoever listens only once the row has been made misses what was said of it before.
#[cfg(feature = "mutants")]
async fn miss_what_was_said(
    call: &Call<'_>,
    vrs: &Vrs,
    name: &str,
    deadline: Instant,
) -> Result<Option<Watch>, Error> {
    let Some(mut watch) = resume(call, vrs, name, deadline).await? else { return Ok(None) };
    let said =
        watch.monitor.rows().values().next().is_some_and(|row| !matches!(read(row, false), Answer::NotYet));
    if said {
        let _ = timeout_at(deadline, watch.monitor.next()).await;
    }
    Ok(Some(watch))
}

#[cfg(feature = "mutants")]
impl Watch {
    /// B22: any address counts, 0.0.0.0 too.
    async fn take_anything(&mut self) -> Option<Resolution> {
        loop {
            let row = self.monitor.rows().values().next();
            let column = |name: &str| row.and_then(|row| row.get(name)?.as_str()?.parse::<Ipv4Addr>().ok());
            if let (Some(address), Some(mask), Some(gateway)) =
                (column("ip_addr"), column("subnet_mask"), column("gateway"))
            {
                let address = Ipv4Net::with_netmask(address, mask).ok()?;
                return Some(Resolution { address, gateway, ipv6: None });
            }
            self.monitor.next().await.ok()?;
        }
    }
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

/// What of an answer is there, if anything.
fn partial(row: &Row) -> Option<String> {
    let text = |column: &str| row.get(column).and_then(Value::as_str).unwrap_or_default();
    let (address, mask, gateway) = (text("ip_addr"), text("subnet_mask"), text("gateway"));
    let any = [address, mask, gateway].iter().any(|text| !text.is_empty() && *text != "0.0.0.0");
    any.then(|| format!("address \"{address}\", mask \"{mask}\", gateway \"{gateway}\""))
}

/// Zero counts as unresolved, as does an empty column: the controller may fill them one after another.
fn read(row: &Row, needs_ipv6: bool) -> Answer {
    let text = |column: &str| row.get(column).and_then(Value::as_str).unwrap_or_default();
    let (address, mask, gateway) = (text("ip_addr"), text("subnet_mask"), text("gateway"));
    if [address, mask, gateway].iter().any(|text| text.is_empty() || *text == "0.0.0.0") {
        return Answer::NotYet;
    }
    let wrong =
        |what: &str| Answer::Wrong(format!("address {address}, mask {mask}, gateway {gateway}: {what}"));
    let (Ok(ip), Ok(mask), Ok(gateway)) =
        (address.parse::<Ipv4Addr>(), mask.parse::<Ipv4Addr>(), gateway.parse::<Ipv4Addr>())
    else {
        return wrong("these are no IPv4 addresses");
    };
    let Ok(address) = Ipv4Net::with_netmask(ip, mask) else { return wrong("the mask is none") };
    let unusable = match (unusable(ip.into()), unusable_gateway(gateway.into())) {
        (Some(what), _) => Some(format!("the address is {what}")),
        (_, Some(what)) => Some(format!("the gateway is {what}")),
        _ if ip == gateway => Some("the address is its own gateway".to_owned()),
        _ if is_edge(address) => Some("the address is its network's own or its broadcast".to_owned()),
        _ => None,
    };
    if let Some(what) = unusable {
        return wrong(&what);
    }
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
    let shown = prefix.map(ToString::to_string).unwrap_or_default();
    let wrong = |what: &str| {
        let gateway = gateway.as_deref().unwrap_or("none");
        format!("address {address}, prefix length {shown}, gateway {gateway}: {what}")
    };
    let prefix = prefix.and_then(Value::as_u64).and_then(|prefix| u8::try_from(prefix).ok());
    let ip: Ipv6Addr = address.parse().map_err(|_| wrong("the address is no IPv6 address"))?;
    let net = prefix.filter(|prefix| *prefix > 0).and_then(|prefix| Ipv6Net::new(ip, prefix).ok());
    let net = net.ok_or_else(|| wrong("the prefix length is not from 1 to 128"))?;
    let parse = |text: &String| text.parse::<Ipv6Addr>().map_err(|_| wrong("the gateway is no IPv6 address"));
    let gateway = gateway.as_ref().map(parse).transpose()?;
    if let Some(what) = unusable(ip.into()) {
        return Err(wrong(&format!("the address is {what}")));
    }
    if let Some(what) = gateway.and_then(|gateway| unusable_gateway(gateway.into())) {
        return Err(wrong(&format!("the gateway is {what}")));
    }
    if gateway == Some(ip) {
        return Err(wrong("the address is its own gateway"));
    }
    Ok(Some((net, gateway)))
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// What makes an address one that no gateway can have. A router is often known by its link-local address.
fn unusable_gateway(address: IpAddr) -> Option<&'static str> {
    unusable(address).filter(|_| !is_link_local(address))
}

/// What makes an address one that no pod can have.
fn unusable(address: IpAddr) -> Option<&'static str> {
    // All of 240.0.0.0/4, the broadcast address too, and all of 0.0.0.0/8.
    let reserved = matches!(address, IpAddr::V4(ip) if ip.octets()[0] >= 240 || ip.octets()[0] == 0);
    if address.is_loopback() {
        Some("a loopback address")
    } else if address.is_multicast() {
        Some("a multicast address")
    } else if address.is_unspecified() || reserved {
        Some("a reserved address")
    } else if is_link_local(address) {
        Some("a link-local address")
    } else if matches!(address, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some()) {
        Some("an IPv4 address in disguise")
    } else {
        None
    }
}

/// Whether it is the first or the last address of a network that has more than two.
fn is_edge(address: Ipv4Net) -> bool {
    address.prefix_len() < 31 && [address.network(), address.broadcast()].contains(&address.addr())
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

    #[test]
    fn an_address_that_no_pod_can_have_is_refused_with_its_reason() {
        let net = "255.255.255.0";
        for (address, mask, gateway, reason) in [
            ("127.0.0.2", net, "127.0.0.1", "a loopback address"),
            ("224.0.0.5", net, "10.0.0.1", "a multicast address"),
            ("10.0.0.2", net, "239.1.1.1", "the gateway is a multicast address"),
            ("0.0.0.7", net, "10.0.0.1", "a reserved address"),
            ("255.255.255.255", net, "10.0.0.1", "a reserved address"),
            ("169.254.0.9", net, "169.254.0.1", "a link-local address"),
            ("10.0.0.0", net, "10.0.0.1", "its network's own"),
            ("10.0.0.255", net, "10.0.0.1", "its broadcast"),
            ("10.0.0.2", net, "10.0.0.2", "its own gateway"),
            ("fd00::2", net, "10.0.0.1", "no IPv4 addresses"),
            ("10.0.0.2", net, "fd00::1", "no IPv4 addresses"),
            ("10.0.0.2", "64", "10.0.0.1", "no IPv4 addresses"),
        ] {
            match row(address, mask, gateway) {
                Answer::Wrong(told) => assert!(told.contains(reason), "{told}"),
                _ => panic!("{address} {mask} {gateway}"),
            }
        }
        for (address, mask, gateway) in
            [("10.0.0.2", "255.255.255.255", "169.254.1.1"), ("10.0.0.2", "255.255.255.254", "10.0.0.3")]
        {
            assert!(matches!(row(address, mask, gateway), Answer::Resolved(_)), "{address} {mask}");
        }
    }

    #[test]
    fn a_second_address_that_no_pod_can_have_is_refused_with_its_reason() {
        for (address, prefix, gateway, reason) in [
            ("::1", json!(64), "fd00::1", "a loopback address"),
            ("ff02::1", json!(64), "fd00::1", "a multicast address"),
            ("fe80::2", json!(64), "fe80::1", "the address is a link-local address"),
            ("::ffff:10.0.0.2", json!(96), "", "in disguise"),
            ("10.0.0.2", json!(64), "fd00::1", "no IPv6 address"),
            ("fd00::2", json!(64), "10.0.0.1", "the gateway is no IPv6 address"),
            ("fd00::2", json!(64), "ff02::2", "the gateway is a multicast address"),
            ("fd00::2", json!(0), "fd00::1", "prefix length is not"),
            ("fd00::2", json!(129), "fd00::1", "prefix length is not"),
            ("fd00::2", json!("64"), "fd00::1", "prefix length is not"),
            ("fd00::2", json!(64), "fd00::2", "its own gateway"),
        ] {
            match dual(address, &prefix, gateway, false) {
                Answer::Wrong(told) => assert!(told.contains(reason), "{told}"),
                _ => panic!("{address} {prefix} {gateway}"),
            }
        }
        assert!(matches!(dual("fd00::2", &json!(64), "fe80::1", true), Answer::Resolved(_)));
    }
}
