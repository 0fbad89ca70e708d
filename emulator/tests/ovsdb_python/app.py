"""Drives the emulated VRS with OpenStack's ovsdbapp, as Neutron's agents use it. Usage: app.py REMOTE. Each check names what it
promises; the first that fails ends the run with a traceback."""

import sys

from ovsdbapp.backend.ovs_idl import connection
from ovsdbapp.schema.open_vswitch import impl_idl

PATIENCE = 20


def check(promise, holds):
    if not holds:
        raise AssertionError(promise)
    print("ok", promise)


idl = connection.OvsdbIdl.from_server(sys.argv[1], "Open_vSwitch")
switch = impl_idl.OvsdbIdl(connection.Connection(idl=idl, timeout=PATIENCE))


def run(command):
    return command.execute(check_error=True)


check("the ready-made bridge is listed", run(switch.list_br()) == ["alubr0"])
run(switch.add_br("br1"))
check("a bridge is made and waited for", sorted(run(switch.list_br())) == ["alubr0", "br1"])
run(switch.add_port("br1", "p1", type="internal"))
check("a port is made with its interface", run(switch.list_ports("br1")) == ["p1"])
check("an interface's column is read", run(switch.db_get("Interface", "p1", "type")) == "internal")
run(switch.db_set("Interface", "p1", ("external_ids", {"iface-id": "x"})))
check("and written", run(switch.db_get("Interface", "p1", "external_ids")) == {"iface-id": "x"})
check("rows are found by a value", len(run(switch.db_find("Interface", ("external_ids", "=", {"iface-id": "x"})))) == 1)
check("a port knows its bridge", run(switch.port_to_br("p1")) == "br1")
run(switch.set_controller("br1", ["tcp:127.0.0.1:6653"]))
check("a controller is set", run(switch.get_controller("br1")) == ["tcp:127.0.0.1:6653"])
run(switch.set_fail_mode("br1", "secure"))
run(switch.db_clear("Bridge", "br1", "fail_mode"))
check("an optional column is cleared", run(switch.db_get("Bridge", "br1", "fail_mode")) == [])
with switch.transaction(check_error=True) as transaction:
    transaction.add(switch.del_port("p1", bridge="br1"))
    transaction.add(switch.add_port("br1", "p2"))
check("two commands are one transaction", run(switch.list_ports("br1")) == ["p2"])
run(switch.db_create("Nuage_Port_Table", name="nu1", evpn_id=7))
found = run(switch.db_find("Nuage_Port_Table", ("evpn_id", "=", 7), columns=["name"]))
check("a row of Nuage's table is made and found", found == [{"name": "nu1"}])
run(switch.del_br("br1"))
check("a bridge goes with its ports", run(switch.list_br()) == ["alubr0"] and not run(switch.db_find("Port", ("name", "=", "p2"))))
switch.ovsdb_connection.stop()
