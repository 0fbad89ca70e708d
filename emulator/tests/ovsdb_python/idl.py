"""Drives the emulated VRS with Open vSwitch's own Python library (ovs.db.idl): replica, transactions, verification, conditions,
locks. Usage: idl.py REMOTE [KEY CERTIFICATE AUTHORITY]. Each check names what it promises; the first that fails ends the run."""

import sys
import time

import ovs.stream
from ovs.db import idl
from ovs.jsonrpc import Session
from ovs.poller import Poller

remote = sys.argv[1]
if len(sys.argv) > 2:
    ovs.stream.Stream.ssl_set_private_key_file(sys.argv[2])
    ovs.stream.Stream.ssl_set_certificate_file(sys.argv[3])
    ovs.stream.Stream.ssl_set_ca_cert_file(sys.argv[4])

PATIENCE = 20


def check(promise, holds):
    if not holds:
        raise AssertionError(promise)
    print("ok", promise)


def until(holds, *replicas):
    """Runs the replicas until it holds."""
    end = time.monotonic() + PATIENCE
    while True:
        for replica in replicas:
            replica.run()
        if holds():
            return True
        if time.monotonic() > end:
            return False
        poller = Poller()
        for replica in replicas:
            replica.wait(poller)
        poller.timer_wait(100)
        poller.block()


def schema():
    from ovs.jsonrpc import Connection, Message
    from ovs.stream import Stream

    error, stream = Stream.open_block(Stream.open(remote), PATIENCE * 1000)
    assert not error, error
    connection = Connection(stream)
    error, reply = connection.transact_block(Message.create_request("get_schema", ["Open_vSwitch"]))
    connection.close()
    assert not error and not reply.error, (error, reply)
    return reply.result


def replica(*tables):
    helper = idl.SchemaHelper(schema_json=schema())
    for table in tables:
        helper.register_table(table)
    made = idl.Idl(remote, helper)
    check("a replica of %s comes" % ", ".join(tables), until(lambda: made.has_ever_connected(), made))
    return made


def commit(replica, make):
    """Commits what `make` does to a transaction; gives its status and what `make` gave."""
    transaction = idl.Transaction(replica)
    made = make(transaction)
    end = time.monotonic() + PATIENCE
    while True:
        status = transaction.commit()
        if status != idl.Transaction.INCOMPLETE or time.monotonic() > end:
            return status, made, transaction
        replica.run()
        poller = Poller()
        replica.wait(poller)
        transaction.wait(poller)
        poller.timer_wait(100)
        poller.block()


def rows(replica, table, **wanted):
    found = replica.tables[table].rows.values()
    return [row for row in found if all(getattr(row, key) == value for key, value in wanted.items())]


one = replica("Open_vSwitch", "Bridge", "Port", "Interface", "Nuage_Port_Table")
other = replica("Bridge", "Port", "Nuage_Port_Table")
bridges = rows(one, "Bridge", name="alubr0")
check("the ready-made bridge is in the replica", len(bridges) == 1)
bridge = bridges[0]


def add_port(transaction):
    interface = transaction.insert(one.tables["Interface"])
    interface.name = "nu1"
    interface.external_ids = {"a": "b"}
    port = transaction.insert(one.tables["Port"])
    port.name = "nu1"
    port.interfaces = [interface]
    bridge.addvalue("ports", port)
    transaction.add_comment("a port from Python")
    return port


status, port, transaction = commit(one, add_port)
check("a port, its interface and the bridge's reference are one commit", status == idl.Transaction.SUCCESS)
uuid = transaction.get_insert_uuid(port.uuid)
check("the new row has the identifier that the answer told", [row.uuid for row in rows(one, "Port", name="nu1")] == [uuid])
check("another replica follows", until(lambda: rows(other, "Port", name="nu1"), other))
check("a reference leads to the row", rows(one, "Port", name="nu1")[0].interfaces[0].external_ids == {"a": "b"})


def set_key(transaction):
    rows(one, "Port", name="nu1")[0].setkey("external_ids", "k", "v")


status, _, _ = commit(one, set_key)
check("one key of a map is set", status == idl.Transaction.SUCCESS)
check("and seen", until(lambda: rows(one, "Port", name="nu1")[0].external_ids == {"k": "v"}, one))


def increment(transaction):
    switch = rows(one, "Open_vSwitch")[0]
    # An increment alone is no change for the library.
    switch.setkey("external_ids", "counted", "yes")
    switch.increment("next_cfg")
    return switch


status, switch, transaction = commit(one, increment)
check("a counter is incremented", status == idl.Transaction.SUCCESS)
wanted = transaction.get_increment_new_value()
check("the switch reports the configuration as carried out", until(lambda: rows(one, "Open_vSwitch")[0].cur_cfg >= wanted, one))


def duplicate(transaction):
    interface = transaction.insert(one.tables["Interface"])
    interface.name = "nu1"
    port = transaction.insert(one.tables["Port"])
    port.name = "nu1"
    port.interfaces = [interface]
    bridge.addvalue("ports", port)


status, _, _ = commit(one, duplicate)
check("a second port of the same name is refused", status == idl.Transaction.ERROR)

# `other` looks at a row, it changes, and the commit that relied on it is refused.
row = rows(other, "Port", name="nu1")[0]
stale = idl.Transaction(other)
row.verify("external_ids")
row.external_ids = {"mine": "1"}
commit(one, lambda transaction: setattr(rows(one, "Port", name="nu1")[0], "external_ids", {"theirs": "1"}))
status = stale.commit_block()
check("a commit that relies on what has changed is told to try again", status == idl.Transaction.TRY_AGAIN)

for number in range(3):
    name = "nu%d" % number

    def insert(transaction, name=name):
        made = transaction.insert(one.tables["Nuage_Port_Table"])
        made.name = name
        made.evpn_id = 7 if name == "nu1" else 8

    commit(one, insert)
check("three rows come", until(lambda: len(rows(other, "Nuage_Port_Table")) == 3, other))
other.cond_change("Nuage_Port_Table", [["evpn_id", "==", 7]])
check("a condition takes away the others", until(lambda: [row.name for row in rows(other, "Nuage_Port_Table")] == ["nu1"], other))
other.cond_change("Nuage_Port_Table", [True])
check("and gives them back", until(lambda: len(rows(other, "Nuage_Port_Table")) == 3, other))

one.set_lock("python")
check("a lock is had", until(lambda: one.has_lock, one))
other.set_lock("python")
check("by one only", until(lambda: other.is_lock_contended, other) and not other.has_lock)
one.set_lock(None)
check("and handed on", until(lambda: other.has_lock, one, other))


def delete(transaction):
    gone = rows(one, "Port", name="nu1")[0]
    bridge.delvalue("ports", gone)


status, _, _ = commit(one, delete)
check("a port that nothing refers to goes", until(lambda: not rows(other, "Port", name="nu1"), one, other))
check("and its interface with it", not rows(one, "Interface", name="nu1"))
one.close()
other.close()
