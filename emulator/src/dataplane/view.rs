//! What the rows of a switch say about who is attached to it, kept from their changes. Pure: reads what the controller has
//! answered, never resolves anything, and takes a row that makes no sense for one that says nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use nuage_ovsdb::Uuid;
use nuage_ovsdb::client::{MonitorTable, RowChange};
use nuage_ovsdb::value::Row;
use serde_json::Value;

use super::mac::Mac;
use crate::vsc::Resolved;

const PORTS: &str = "Nuage_Port_Table";
const INTERFACES: &str = "Interface";

/// What of a switch is watched.
pub(super) fn watched() -> Vec<MonitorTable> {
    vec![
        MonitorTable::new(PORTS, &["name", "mac", "ip_addr", "evpn_id", "vrf_id"]),
        MonitorTable::new(INTERFACES, &["name"]),
    ]
}

/// Somebody who is attached: the controller has answered his port, and the switch has an interface of that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attachment {
    /// His address.
    pub(super) address: Ipv4Addr,
    /// His MAC address.
    pub(super) mac: Mac,
    /// Number of his subnet (`evpn_id`).
    pub(super) subnet: u32,
    /// Number of its domain (`vrf_id`).
    pub(super) domain: u32,
}

/// A switch.
#[derive(Debug, Default)]
pub(super) struct View {
    ports: BTreeMap<Uuid, (String, Attachment)>,
    interfaces: BTreeMap<Uuid, String>,
    /// Those whom the controller is about to answer.
    expected: BTreeMap<String, Attachment>,
}

impl View {
    /// Takes in who is about to be answered; what his row says later counts instead.
    pub(super) fn expect(&mut self, port: String, attachment: Attachment) {
        self.expected.insert(port, attachment);
    }

    /// Takes in a change.
    pub(super) fn apply(&mut self, change: &RowChange) {
        match change.table.as_str() {
            PORTS => {
                let rows = [&change.old, &change.new];
                for name in rows.into_iter().flatten().filter_map(|row| text(row, "name")) {
                    if change.new.as_ref().is_none_or(|row| port(row).is_some()) {
                        self.expected.remove(name);
                    }
                }
                self.ports.remove(&change.uuid);
                self.ports.extend(change.new.as_ref().and_then(port).map(|port| (change.uuid, port)));
            }
            INTERFACES => {
                self.interfaces.remove(&change.uuid);
                let name = change.new.as_ref().and_then(|row| text(row, "name"));
                self.interfaces.extend(name.map(|name| (change.uuid, name.to_owned())));
            }
            _ => {}
        }
    }

    /// Who is attached, by the name of his interface. Of several rows of one name the lowest counts, as for the controller.
    pub(super) fn attachments(&self) -> BTreeMap<&str, &Attachment> {
        let there: BTreeSet<&str> = self.interfaces.values().map(String::as_str).collect();
        let expected = self.expected.iter().map(|(name, attachment)| (name.as_str(), attachment));
        let mut found: BTreeMap<&str, &Attachment> =
            expected.filter(|(name, _)| there.contains(name)).collect();
        for (name, attachment) in self.ports.values().filter(|(name, _)| there.contains(name.as_str())) {
            found.entry(name.as_str()).or_insert(attachment);
        }
        found
    }
}

/// Who a port is, by the controller's words; `None` where they make no sense.
pub(super) fn attachment(resolved: &Resolved) -> Option<Attachment> {
    Some(Attachment {
        address: resolved.address.parse().ok()?,
        mac: resolved.mac.parse().ok()?,
        subnet: u32::try_from(resolved.subnet).ok()?,
        domain: u32::try_from(resolved.domain).ok()?,
    })
}

/// A port that has been answered.
fn port(row: &Row) -> Option<(String, Attachment)> {
    let number = |column: &str| u32::try_from(row.get(column)?.as_u64()?).ok().filter(|number| *number > 0);
    let address: Ipv4Addr = text(row, "ip_addr")?.parse().ok()?;
    if address.is_unspecified() {
        return None;
    }
    let attachment = Attachment {
        address,
        mac: text(row, "mac")?.parse().ok()?,
        subnet: number("evpn_id")?,
        domain: number("vrf_id")?,
    };
    Some((text(row, "name")?.to_owned(), attachment))
}

fn text<'a>(row: &'a Row, column: &str) -> Option<&'a str> {
    row.get(column).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(table: &str, id: u128, new: Option<Value>) -> RowChange {
        let new = new.map(|row| row.as_object().unwrap().clone().into_iter().collect::<Row>());
        RowChange { table: table.to_owned(), uuid: Uuid::from_u128(id), old: None, new }
    }

    fn row(name: &str, address: &str) -> Value {
        json!({ "name": name, "mac": "02:00:00:00:00:01", "ip_addr": address, "evpn_id": 5, "vrf_id": 7 })
    }

    #[test]
    fn attached_is_who_has_an_answer_and_an_interface_in_whatever_order_they_come_and_go() {
        let mut view = View::default();
        view.apply(&change(PORTS, 1, Some(row("a", "10.0.0.2"))));
        assert!(view.attachments().is_empty(), "no interface yet");
        view.apply(&change(INTERFACES, 2, Some(json!({ "name": "a" }))));
        assert_eq!(view.attachments()["a"].address, Ipv4Addr::new(10, 0, 0, 2));
        view.apply(&change(PORTS, 1, Some(row("a", "0.0.0.0"))));
        assert!(view.attachments().is_empty(), "the answer was withdrawn");
        view.apply(&change(PORTS, 1, Some(row("a", "10.0.0.3"))));
        assert_eq!(view.attachments().len(), 1);
        view.apply(&change(INTERFACES, 2, None));
        assert!(view.attachments().is_empty());
    }

    #[test]
    fn who_is_about_to_be_answered_counts_until_his_row_says_it_or_is_gone() {
        let resolved = |address: &str| Resolved {
            port: "a".to_owned(),
            mac: "02:00:00:00:00:01".to_owned(),
            address: address.to_owned(),
            subnet: 5,
            domain: 7,
        };
        let address =
            |view: &View| view.attachments().get("a").map(|attachment| attachment.address.to_string());
        let mut view = View::default();
        view.apply(&change(PORTS, 1, Some(row("a", ""))));
        view.expect("a".to_owned(), attachment(&resolved("10.0.0.2")).unwrap());
        assert_eq!(address(&view), None, "no interface yet");
        view.apply(&change(INTERFACES, 2, Some(json!({ "name": "a" }))));
        assert_eq!(address(&view).as_deref(), Some("10.0.0.2"));
        view.apply(&change(PORTS, 1, Some(row("a", "10.0.0.3"))));
        assert_eq!(address(&view).as_deref(), Some("10.0.0.3"));
        view.expect("a".to_owned(), attachment(&resolved("10.0.0.4")).unwrap());
        let mut gone = change(PORTS, 1, None);
        gone.old = change(PORTS, 1, Some(row("a", "10.0.0.3"))).new;
        view.apply(&gone);
        assert_eq!(address(&view), None);
        assert_eq!(attachment(&resolved("x")), None);
    }

    #[test]
    fn a_row_that_makes_no_sense_attaches_nobody() {
        for (column, value) in [
            ("mac", json!("x")),
            ("ip_addr", json!("")),
            ("evpn_id", json!(0)),
            ("evpn_id", json!(1_u64 << 32)),
            ("vrf_id", json!("7")),
            ("name", json!(["set", []])),
        ] {
            let mut view = View::default();
            view.apply(&change(INTERFACES, 2, Some(json!({ "name": "a" }))));
            let mut wrong = row("a", "10.0.0.2");
            wrong[column] = value;
            view.apply(&change(PORTS, 1, Some(wrong)));
            assert!(view.attachments().is_empty(), "{column}");
        }
    }
}
