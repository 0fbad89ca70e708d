"""The push centre of Nuage's own Python client: every change is told once. Usage: push.py URL"""

import queue
import sys
import time

from sdk import check, login
from vspk import v6 as vspk

told = queue.Queue()
session = login(sys.argv[1])
me = session.user


def listen(data):
    for event in data["events"]:
        told.put((event["type"], event["entityType"], event["entities"][0]["ID"]))


session.push_center.add_delegate(listen)
session.push_center.start(timeout=60)
# The listener's place is there with its first poll, which is made in a thread: changes begin when one is heard of.
heard, probe = False, 0
while not heard:
    me.create_child(vspk.NUEnterprise(name=f"probe-{probe}"))
    probe += 1
    try:
        heard = told.get(timeout=1)
    except queue.Empty:
        check("the push centre begins to listen", probe < 30)

wanted = []
enterprise = vspk.NUEnterprise(name="acme")
me.create_child(enterprise)
wanted.append(("CREATE", "enterprise", enterprise.id))
for number in range(20):
    enterprise.description = str(number)
    enterprise.save()
    wanted.append(("UPDATE", "enterprise", enterprise.id))
enterprise.delete()
wanted.append(("DELETE", "enterprise", enterprise.id))

got, end = [], time.monotonic() + 30
while len(got) < len(wanted) and time.monotonic() < end:
    try:
        event = told.get(timeout=1)
    except queue.Empty:
        continue
    if event[2] == enterprise.id:
        got.append(event)
check("every change is told once and in order", got == wanted)
