//! `foreign_rows_untouched`: a virtual machine with its tap stands on every switch from the beginning.

use nuage_emulator::vrs::{BRIDGE, DATABASE, Vrs};
use serde_json::json;

use super::{FOREIGN, View, is_foreign, text};

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
            insert(
                "Nuage_Port_Table",
                "row",
                json!({"name": FOREIGN, "ip_addr": "192.0.2.1", "mac": "02:00:00:00:00:99"}),
            ),
            // Defined but not started: no controller touches it.
            insert("Nuage_VM_Table", "vm", json!({"vm_uuid": FOREIGN, "vm_name": FOREIGN, "ports": FOREIGN})),
        ],
    );
}

pub(super) fn check(view: &View<'_>) -> Result<(), String> {
    let port = view.ports.iter().find(|row| is_foreign(row));
    if port.is_none_or(|row| text(row, "ip_addr") != "192.0.2.1" || text(row, "mac") != "02:00:00:00:00:99") {
        return Err("the virtual machine's row in Nuage_Port_Table was changed or deleted".to_owned());
    }
    let entity = view.entities.iter().find(|row| is_foreign(row));
    if entity.is_none_or(|row| text(row, "ports") != FOREIGN) {
        return Err("the virtual machine's row in Nuage_VM_Table was changed or deleted".to_owned());
    }
    if !view.switch_ports.iter().any(|name| name == FOREIGN) {
        return Err("the virtual machine's tap was taken out of the bridge".to_owned());
    }
    Ok(())
}
