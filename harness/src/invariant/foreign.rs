//! `foreign_rows_untouched`: a virtual machine with its tap stands on every switch from the beginning.

use nuage_emulator::vrs::{BRIDGE, DATABASE, Vrs};
use serde_json::json;

use super::{FOREIGN, Invariant, View};

const ADDRESS: &str = "192.0.2.1";
const MAC: &str = "02:00:00:00:00:99";

/// Puts the virtual machine there.
pub fn plant(vrs: &Vrs) {
    let insert = |table: &str, name: &str, row: serde_json::Value| json!({"op": "insert", "table": table, "uuid-name": name, "row": row});
    vrs.server().transact(
        DATABASE,
        &[
            insert("Interface", "interface", json!({"name": FOREIGN})),
            insert("Port", "port", json!({"name": FOREIGN, "interfaces": ["named-uuid", "interface"]})),
            json!({"op": "mutate", "table": "Bridge", "where": [["name", "==", BRIDGE]],
               "mutations": [["ports", "insert", ["named-uuid", "port"]]]}),
            insert("Nuage_Port_Table", "row", json!({"name": FOREIGN, "ip_addr": ADDRESS, "mac": MAC})),
            // Defined but not started: no controller touches it.
            insert("Nuage_VM_Table", "vm", json!({"vm_uuid": FOREIGN, "vm_name": FOREIGN, "ports": FOREIGN})),
        ],
    );
}

pub(super) const INVARIANT: Invariant = Invariant::of_state(
    "foreign_rows_untouched",
    "rows and ports of virtual machines and other drivers stay as they are",
    check,
);

fn check(view: &View<'_>) -> Result<(), String> {
    let rows = view.rows();
    let changed = |what: &str| Err(format!("the virtual machine's {what} was changed or deleted"));
    if rows.port(FOREIGN).is_none_or(|port| port.address != ADDRESS || port.mac != MAC) {
        return changed("row in Nuage_Port_Table");
    }
    if rows.entity(FOREIGN).is_none_or(|entity| !entity.ports.contains(FOREIGN)) {
        return changed("row in Nuage_VM_Table");
    }
    if !rows.has_switch_port(FOREIGN) {
        return changed("tap in the bridge");
    }
    Ok(())
}
