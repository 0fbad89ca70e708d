//! The emulated VRS: an OVSDB server that carries Open vSwitch's schema with the two Nuage tables, a bridge alubr0 and a
//! controller, as a node has it before the first container. Resolving ports is the controller's business.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use nuage_ovsdb::Error;
use nuage_ovsdb::schema::DatabaseSchema;
use nuage_ovsdb::value::Row;
use serde_json::{Value, json};
use tokio::io::DuplexStream;

use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::faults::Values;
use crate::ovsdb::Server;
use crate::ovsdb::persist::{Medium, OpenError};

/// The schema that the emulated VRS serves and that a real ovsdb-server can carry: upstream's tables and columns as
/// facts, and the Nuage tables without an index, as nothing public says that a VRS has one.
pub const SCHEMA: &str = include_str!("../schema/vswitch.ovsschema");
/// The database's name.
pub const DATABASE: &str = "Open_vSwitch";
/// The bridge that a VRS puts containers into.
pub const BRIDGE: &str = "alubr0";
/// The targets of its controllers: the one that is master at first, and the one that stands by where there is one.
pub const CONTROLLERS: [&str; 2] = ["tcp:127.0.0.1:6633", "tcp:127.0.0.2:6633"];
/// The tables without which it is no VRS.
const TABLES: [&str; 7] =
    ["Open_vSwitch", "Bridge", "Port", "Interface", "Controller", "Nuage_Port_Table", "Nuage_VM_Table"];
/// The number of the first port that is not the bridge's own.
const FIRST_OFPORT: i64 = 1;
/// The number of a bridge's own port (OpenFlow's `OFPP_LOCAL`).
const LOCAL_OFPORT: i64 = 65534;
/// How much of a stream in memory may be unread, in bytes, each way. Both ways are there from the beginning, however little
/// is said: a cluster has thousands of streams.
const PIPE_BYTES: usize = 8 << 10;

/// [`SCHEMA`], read.
///
/// # Errors
/// Never in practice: only if the built-in text were no schema.
pub fn schema() -> Result<DatabaseSchema, Error> {
    DatabaseSchema::from_bytes(SCHEMA.as_bytes())
}

/// What a VRS begins with.
#[derive(Clone, Debug, Default)]
pub struct VrsOptions {
    /// Without the ready-made rows, as a database that was just created.
    pub empty: bool,
    /// `external_ids:system-id` of the switch.
    pub system_id: String,
    /// With a second controller, which stands by.
    pub standby: bool,
}

/// Why a VRS does not come back.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// Never in practice: only if a built-in schema were none.
    #[error(transparent)]
    Schema(#[from] Error),
    /// Its file.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its file is a switch's without what makes it a VRS.
    #[error("has no table {0}: ovsdb-tool convert gives it the schema that `emulator schema` prints")]
    Table(&'static str),
}

/// An emulated VRS. Clones are handles of the same one.
#[derive(Clone, Debug)]
pub struct Vrs {
    server: Server,
}

impl Vrs {
    /// A running VRS.
    ///
    /// # Errors
    /// Never in practice: only if a built-in schema were none.
    pub fn new(entropy: Entropy, options: &VrsOptions) -> Result<Self, Error> {
        let (vrs, _) = Self::bare(entropy)?;
        if !options.empty {
            vrs.server.transact(DATABASE, &ready_rows(options));
        }
        Ok(vrs)
    }

    /// Another running VRS, which shares with this one what never changes: a cluster of many takes less time and memory.
    #[must_use]
    pub fn twin(&self, entropy: Entropy, options: &VrsOptions) -> Self {
        let (vrs, _) = Self::around(self.server.twin(entropy));
        if !options.empty {
            vrs.server.transact(DATABASE, &ready_rows(options));
        }
        vrs
    }

    /// A switch without rows, and the number of its next port.
    fn bare(entropy: Entropy) -> Result<(Self, Arc<AtomicI64>), Error> {
        Ok(Self::around(Server::new(vec![schema()?], entropy)?))
    }

    fn around(server: Server) -> (Self, Arc<AtomicI64>) {
        server.follow_up("Open_vSwitch", &["next_cfg", "cur_cfg"], configure);
        let next = Arc::new(AtomicI64::new(FIRST_OFPORT));
        let ports = Arc::clone(&next);
        server.follow_up("Interface", &["ofport", "ofport_request", "type", "name"], move |row| {
            attach(row, &ports)
        });
        (Self { server }, next)
    }

    /// A running VRS whose rows outlive the process; those that it left there are there again, otherwise it begins as
    /// [`Vrs::new`] does.
    ///
    /// # Errors
    /// The medium cannot be used.
    pub fn kept(
        entropy: Entropy,
        options: &VrsOptions,
        medium: Box<dyn Medium>,
        clock: Clock,
    ) -> Result<Self, KeepError> {
        let (vrs, next_port) = Self::bare(entropy)?;
        if vrs.server.persist(DATABASE, medium, clock)? {
            if let Some(missing) = TABLES.into_iter().find(|table| !vrs.server.has_table(DATABASE, table)) {
                return Err(KeepError::Table(missing));
            }
            vrs.come_back(&next_port);
        } else if !options.empty {
            vrs.server.transact(DATABASE, &ready_rows(options));
        }
        Ok(vrs)
    }

    /// What the switch says of itself does not outlive the process (ephemeral columns), so it says it anew; the numbers of
    /// its ports do, so new ones go on behind them.
    fn come_back(&self, next_port: &AtomicI64) {
        let interfaces = self.server.columns(DATABASE, "Interface", &["ofport"]);
        let taken = interfaces.iter().filter_map(|row| row.get("ofport")?.as_i64());
        let last = taken.filter(|number| *number < LOCAL_OFPORT).max();
        next_port.store(last.map_or(FIRST_OFPORT, |last| last + 1), Ordering::Relaxed);
        let again = |role: &str| json!({"role": role, "is_connected": true});
        let second = json!([["target", "==", CONTROLLERS[1]]]);
        let attached = json!([["ofport", "!=", ["set", []]]]);
        let up = json!({"admin_state": "up", "link_state": "up"});
        self.server.transact(
            DATABASE,
            &[
                json!({"op": "update", "table": "Controller", "where": [], "row": again("master")}),
                json!({"op": "update", "table": "Controller", "where": second, "row": again("slave")}),
                json!({"op": "update", "table": "Interface", "where": attached, "row": up}),
            ],
        );
    }

    /// Its OVSDB server.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Opens a stream in this process; `None` while the switch is stopped.
    pub fn connect(&self) -> Option<DuplexStream> {
        self.connect_as("")
    }

    /// As [`Vrs::connect`], for somebody of whom it is known what he does: hits of faults are counted by it.
    pub fn connect_as(&self, operation: &str) -> Option<DuplexStream> {
        if !self.server.is_open() {
            return None;
        }
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        tokio::spawn(self.server.clone().serve_as(theirs, operation.into()));
        Some(ours)
    }

    /// Brings about a fault that is a state of a switch.
    pub fn suffer(&self, fault: &str) {
        match fault {
            "vrs.restart" => self.stop(),
            "vrs.controller_lost" => self.lose_controller(),
            _ => {}
        }
    }

    /// Ends what [`Vrs::suffer`] has brought about.
    pub fn recover(&self, fault: &str, values: &Values) {
        match fault {
            "vrs.restart" => self.start(values.flag("lose_rows")),
            "vrs.controller_lost" => self.find_controller(),
            _ => {}
        }
    }

    /// Whoever is master is so no more; marked, so that the same one comes back.
    fn lose_controller(&self) {
        let mark = json!([["external_ids", "insert", lost_mark()]]);
        let master = json!([["role", "==", "master"]]);
        let lost = json!({"role": "slave", "is_connected": false});
        let operations = [
            json!({"op": "mutate", "table": "Controller", "where": master, "mutations": mark}),
            json!({"op": "update", "table": "Controller", "where": master, "row": lost}),
        ];
        self.server.transact(DATABASE, &operations);
    }

    /// Those who were lost are back: as master only if nobody has taken over.
    fn find_controller(&self) {
        let unmark = json!([["external_ids", "delete", lost_mark()]]);
        for target in self.lost_controllers() {
            let this = json!([["target", "==", target]]);
            let found = |role: &str| json!({"role": role, "is_connected": true});
            self.server.transact(
                DATABASE,
                &[
                    json!({"op": "update", "table": "Controller", "where": this, "row": found("slave")}),
                    json!({"op": "mutate", "table": "Controller", "where": this, "mutations": unmark}),
                ],
            );
            let nobody = json!({"op": "wait", "table": "Controller", "where": [["role", "==", "master"]], "columns": [],
                                "until": "==", "rows": [], "timeout": 0});
            let master =
                json!({"op": "update", "table": "Controller", "where": this, "row": found("master")});
            self.server.transact(DATABASE, &[nobody, master]);
        }
    }

    /// The targets of the controllers that a fault has disconnected, in their order.
    fn lost_controllers(&self) -> BTreeSet<String> {
        let lost = json!({"op": "select", "table": "Controller", "where": [["external_ids", "includes", lost_mark()]],
                          "columns": ["target"]});
        let results = self.server.transact(DATABASE, &[lost]);
        let rows = results.first().and_then(|result| result.get("rows")?.as_array()).into_iter().flatten();
        rows.filter_map(|row| row.get("target")?.as_str().map(str::to_owned)).collect()
    }

    /// Ends all sessions and takes no new ones.
    pub fn stop(&self) {
        self.server.close();
    }

    /// Runs again, with the rows it had or without those of containers.
    pub fn start(&self, lose_rows: bool) {
        if lose_rows {
            let local = json!([["name", "==", BRIDGE]]);
            let port = json!({"op": "select", "table": "Port", "where": local, "columns": ["_uuid"]});
            let found = self.server.transact(DATABASE, &[port]);
            let keep = found[0]["rows"][0]["_uuid"].clone();
            let keep = if keep.is_null() { json!(["set", []]) } else { keep };
            self.server.transact(
                DATABASE,
                &[
                    json!({"op": "delete", "table": "Nuage_Port_Table", "where": []}),
                    json!({"op": "delete", "table": "Nuage_VM_Table", "where": []}),
                    json!({"op": "update", "table": "Bridge", "where": local, "row": {"ports": keep}}),
                ],
            );
        }
        self.server.open();
    }
}

/// What ovs-vswitchd does when it has carried out a configuration: `cur_cfg` follows `next_cfg`. A client that does
/// not say --no-wait waits for it.
fn configure(row: &Row) -> Option<Row> {
    let number = |column: &str| row.get(column).and_then(Value::as_i64).unwrap_or(0);
    (number("next_cfg") > number("cur_cfg"))
        .then(|| Row::from([("cur_cfg".to_owned(), json!(number("next_cfg")))]))
}

/// What ovs-vswitchd does when it has made an interface: it has an OpenFlow port number, is up, and there is no error.
/// Clients wait for the number.
fn attach(row: &Row, ports: &AtomicI64) -> Option<Row> {
    let is = |column: &str, value: Value| row.get(column) == Some(&value);
    if !is("ofport", json!(["set", []])) {
        return None;
    }
    let asked = row.get("ofport_request").and_then(Value::as_i64);
    let number = match asked {
        Some(number) => number,
        None if is("type", json!("internal")) && is("name", json!(BRIDGE)) => LOCAL_OFPORT,
        None => ports.fetch_add(1, Ordering::Relaxed),
    };
    let up = |column: &str| (column.to_owned(), json!("up"));
    Some(Row::from([("ofport".to_owned(), json!(number)), up("admin_state"), up("link_state")]))
}

/// What marks a controller that a fault has disconnected.
fn lost_mark() -> Value {
    json!(["map", [["nuage-emulator-fault", "controller_lost"]]])
}

/// The switch, alubr0 with its internal port, one connected controller of role master, and one that stands by if there
/// is to be one.
fn ready_rows(options: &VrsOptions) -> Vec<Value> {
    let insert = |table: &str, name: &str, row: Value| json!({"op": "insert", "table": table, "uuid-name": name, "row": row});
    let controller = |name: &str, target: &str, role: &str| {
        insert("Controller", name, json!({"target": target, "role": role, "is_connected": true}))
    };
    let [first, second] = CONTROLLERS;
    let mut rows = vec![
        insert("Interface", "interface", json!({"name": BRIDGE, "type": "internal"})),
        insert("Port", "port", json!({"name": BRIDGE, "interfaces": ["named-uuid", "interface"]})),
        controller("controller", first, "master"),
    ];
    let mut controllers = vec![json!(["named-uuid", "controller"])];
    if options.standby {
        rows.push(controller("standby", second, "slave"));
        controllers.push(json!(["named-uuid", "standby"]));
    }
    rows.extend([
        insert(
            "Bridge",
            "bridge",
            json!({
                "name": BRIDGE, "ports": ["named-uuid", "port"], "controller": ["set", controllers]
            }),
        ),
        insert(
            "Open_vSwitch",
            "switch",
            json!({
                "bridges": ["named-uuid", "bridge"], "external_ids": ["map", [["system-id", options.system_id]]]
            }),
        ),
    ]);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vrs() -> Vrs {
        Vrs::new(Entropy::seeded(1), &VrsOptions::default()).unwrap()
    }

    fn names(vrs: &Vrs, table: &str) -> Vec<Value> {
        vrs.server().rows(DATABASE, table).into_iter().map(|(_, row)| row["name"].clone()).collect()
    }

    #[test]
    fn a_new_switch_has_its_bridge_and_one_master() {
        let vrs = vrs();
        assert_eq!(names(&vrs, "Bridge"), [BRIDGE]);
        let controllers = vrs.server().rows(DATABASE, "Controller");
        assert_eq!(controllers.len(), 1);
        assert_eq!(controllers[0].1["role"], "master");
    }

    #[test]
    fn a_twin_begins_like_the_first_and_shares_no_row_with_it() {
        let first = vrs();
        let insert = json!({"op": "insert", "table": "Nuage_Port_Table", "row": {"name": "nu1"}});
        first.server().transact(DATABASE, std::slice::from_ref(&insert));
        let twin = first.twin(Entropy::seeded(2), &VrsOptions::default());
        assert_eq!(names(&twin, "Bridge"), [BRIDGE]);
        assert!(names(&twin, "Nuage_Port_Table").is_empty());
        twin.server().transact(DATABASE, &[insert.clone(), insert]);
        assert_eq!((names(&first, "Nuage_Port_Table").len(), names(&twin, "Nuage_Port_Table").len()), (1, 2));
        let described = |vrs: &Vrs| vrs.server().columns("_Server", "Database", &["name", "schema"]);
        assert_eq!(described(&first), described(&twin));
    }

    #[test]
    fn the_same_seed_gives_the_same_rows() {
        let rows = |seed| {
            Vrs::new(Entropy::seeded(seed), &VrsOptions::default()).unwrap().server().rows(DATABASE, "Bridge")
        };
        assert_eq!(rows(7), rows(7));
        assert_ne!(rows(7), rows(8));
    }

    #[test]
    fn cur_cfg_follows_next_cfg() {
        let vrs = vrs();
        let more = json!({"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["next_cfg", "+=", 1]]});
        vrs.server().transact(DATABASE, &[more]);
        assert_eq!(vrs.server().rows(DATABASE, "Open_vSwitch")[0].1["cur_cfg"], 1);
    }

    #[test]
    fn an_interface_gets_a_port_number_of_its_own() {
        let vrs = vrs();
        vrs.server().transact(DATABASE, &[
            json!({"op": "insert", "table": "Interface", "uuid-name": "i", "row": {"name": "nu1"}}),
            json!({"op": "insert", "table": "Interface", "uuid-name": "j", "row": {"name": "nu2", "ofport_request": 7}}),
            json!({"op": "insert", "table": "Port", "uuid-name": "p", "row": {"name": "nu1", "interfaces": ["set", [["named-uuid", "i"], ["named-uuid", "j"]]]}}),
            json!({"op": "mutate", "table": "Bridge", "where": [], "mutations": [["ports", "insert", ["named-uuid", "p"]]]}),
        ]);
        let mut numbers: Vec<_> = vrs
            .server()
            .rows(DATABASE, "Interface")
            .into_iter()
            .map(|(_, row)| (row["name"].clone(), row["ofport"].clone(), row["link_state"].clone()))
            .collect();
        numbers.sort_by_key(|(name, ..)| name.to_string());
        let up = json!("up");
        assert_eq!(
            numbers,
            [
                (json!(BRIDGE), json!(LOCAL_OFPORT), up.clone()),
                (json!("nu1"), json!(FIRST_OFPORT), up.clone()),
                (json!("nu2"), json!(7), up)
            ]
        );
    }

    #[test]
    fn a_switch_that_was_kept_has_its_interfaces_up_and_goes_on_with_their_numbers() {
        let directory = tempfile::tempdir().unwrap();
        let start = |seed| {
            let medium = crate::ovsdb::persist::FileMedium::open(&directory.path().join("db")).unwrap();
            let (entropy, options) = (Entropy::seeded(seed), VrsOptions::default());
            Vrs::kept(entropy, &options, Box::new(medium), Clock::System).unwrap()
        };
        let add = |vrs: &Vrs, name: &str| {
            let port = json!({"name": name, "interfaces": ["named-uuid", "i"]});
            let mutations = json!([["ports", "insert", ["named-uuid", "p"]]]);
            vrs.server().transact(
                DATABASE,
                &[
                    json!({"op": "insert", "table": "Interface", "uuid-name": "i", "row": {"name": name}}),
                    json!({"op": "insert", "table": "Port", "uuid-name": "p", "row": port}),
                    json!({"op": "mutate", "table": "Bridge", "where": [], "mutations": mutations}),
                ],
            );
        };
        let vrs = start(1);
        add(&vrs, "p1");
        drop(vrs);
        let vrs = start(2);
        add(&vrs, "p2");
        let mut interfaces = vrs.server().columns(DATABASE, "Interface", &["name", "ofport", "link_state"]);
        interfaces.sort_by_key(|row| row["name"].to_string());
        let told: Vec<_> =
            interfaces.iter().map(|row| [&row["name"], &row["ofport"], &row["link_state"]]).collect();
        let up = &json!("up");
        assert_eq!(
            told,
            [
                [&json!(BRIDGE), &json!(LOCAL_OFPORT), up],
                [&json!("p1"), &json!(FIRST_OFPORT), up],
                [&json!("p2"), &json!(FIRST_OFPORT + 1), up],
            ]
        );
        assert_eq!(vrs.server().columns(DATABASE, "Controller", &["role"])[0]["role"], "master");
    }

    #[test]
    fn the_file_of_a_plain_switch_is_refused_by_the_table_that_it_lacks() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("db");
        let medium = || Box::new(crate::ovsdb::persist::FileMedium::open(&file).unwrap());
        let mut plain = schema().unwrap();
        plain.tables.retain(|name, _| !name.starts_with("Nuage"));
        let server = Server::new(vec![plain], Entropy::seeded(1)).unwrap();
        server.persist(DATABASE, medium(), Clock::System).unwrap();
        drop(server);
        let kept = Vrs::kept(Entropy::seeded(2), &VrsOptions::default(), medium(), Clock::System);
        assert!(matches!(kept, Err(KeepError::Table("Nuage_Port_Table"))), "{kept:?}");
    }

    #[tokio::test]
    async fn a_restart_ends_sessions_and_may_lose_the_rows_of_containers() {
        let vrs = vrs();
        vrs.server().transact(DATABASE, &[
            json!({"op": "insert", "table": "Interface", "uuid-name": "i", "row": {"name": "nu1"}}),
            json!({"op": "insert", "table": "Port", "uuid-name": "p", "row": {"name": "nu1", "interfaces": ["named-uuid", "i"]}}),
            json!({"op": "mutate", "table": "Bridge", "where": [], "mutations": [["ports", "insert", ["named-uuid", "p"]]]}),
            json!({"op": "insert", "table": "Nuage_Port_Table", "row": {"name": "nu1"}}),
        ]);
        let client = nuage_ovsdb::client::Client::spawn(
            vrs.connect().unwrap(),
            nuage_ovsdb::client::Limits::default(),
        );
        let patience = std::time::Duration::from_secs(5);
        client.call("echo", json!([]), patience).await.unwrap();
        vrs.stop();
        assert!(vrs.connect().is_none());
        assert_eq!(client.call("echo", json!([]), patience).await, Err(Error::Closed));
        vrs.start(false);
        assert_eq!(names(&vrs, "Nuage_Port_Table"), ["nu1"]);
        vrs.stop();
        vrs.start(true);
        assert!(names(&vrs, "Nuage_Port_Table").is_empty());
        assert_eq!(
            (names(&vrs, "Port"), names(&vrs, "Interface")),
            (vec![json!(BRIDGE)], vec![json!(BRIDGE)])
        );
    }
}
