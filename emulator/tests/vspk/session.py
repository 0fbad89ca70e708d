"""Drives the VSD with Nuage's own Python client: login, create, read, list, count, update, assign, delete, errors.
Usage: session.py URL. Each check names what it promises; the first that fails ends the run with a traceback."""

import sys

import sdk
from sdk import check, refused
from vspk import v6 as vspk

url = sys.argv[1]


def login(password):
    return sdk.login(url, password=password)


session = login("csproot")
me = session.user
check("login gives a key", bool(me.api_key) and me.role == "CSPROOT")

enterprise = vspk.NUEnterprise(name="acme")
me.create_child(enterprise)
check("create fills the ID and what the server assigns", enterprise.id and enterprise.customer_id >= 10000)
template = vspk.NUDomainTemplate(name="template")
enterprise.create_child(template)
# Without the hidden zone, so that lists hold what is made here.
domain = vspk.NUDomain(name="domain", template_id=template.id, create_back_haul_subnet=False)
enterprise.create_child(domain)
zone = vspk.NUZone(name="zone")
domain.create_child(zone)
check("a list of no objects is empty", zone.subnets.get() == [])
subnet = vspk.NUSubnet(name="subnet", address="10.1.0.0", netmask="255.255.255.0")
zone.create_child(subnet)
check("a subnet gets its first address as gateway", subnet.gateway == "10.1.0.1")
vport = vspk.NUVPort(name="vport", type="VM", address_spoofing="INHERITED")
subnet.create_child(vport)
group = vspk.NUPolicyGroup(name="group", type="SOFTWARE")
domain.create_child(group)

for name in ("a", "b", "c"):
    domain.create_child(vspk.NUZone(name=name))
check("a list is ordered by name", [z.name for z in domain.zones.get()] == ["a", "b", "c", "zone"])
check("get_first finds by filter", domain.zones.get_first(filter='name == "b"').name == "b")
check("get_first of nothing is None", domain.zones.get_first(filter='name == "none"') is None)
check("a filter reduces a count", domain.zones.get_count(filter='name beginswith "z"') == 1)
check("pages follow each other", [z.name for z in domain.zones.get(page=1, page_size=3)] == ["zone"])
check("an order is kept", [z.name for z in domain.zones.get(order_by="name DESC")][0] == "zone")
check("a domain lists what lies deeper", [s.id for s in domain.subnets.get()] == [subnet.id])

zone.description = "changed"
zone.save()
fetched = vspk.NUZone(id=zone.id)
fetched.fetch()
check("an update is stored", (fetched.description, fetched.name) == ("changed", "zone"))
refused("an update of nothing is 409, 2039", 409, 2039, zone.save)

group.assign([vport], vspk.NUVPort)
check("members are assigned", [v.id for v in group.vports.get()] == [vport.id])
group.assign([], vspk.NUVPort)
check("members are taken away", group.vports.get() == [])

duplicate = vspk.NUZone(name="zone")
refused("a second name is 409, 2510", 409, 2510, lambda: domain.create_child(duplicate))
overlap = vspk.NUSubnet(name="other", address="10.1.0.128", netmask="255.255.255.128")
refused("an overlap is 409, 2504", 409, 2504, lambda: zone.create_child(overlap))
refused("what is not there is 404", 404, None, vspk.NUZone(id="00000000-0000-4000-8000-000000000000").fetch)

container = vspk.NUContainer(
    name="pod",
    uuid="pod-uuid",
    orchestration_id="k8s",
    interfaces=[{"attachedNetworkID": subnet.id, "attachedNetworkType": "SUBNET", "MAC": "02:00:00:00:00:01"}],
)
me.create_child(container)
check("a container gets an address", container.interfaces[0]["IPAddress"] == "10.1.0.2")
check("its interface is listed", [i.ip_address for i in subnet.container_interfaces.get()] == ["10.1.0.2"])
refused("a subnet in use is 409, 2506", 409, 2506, subnet.delete)
container.delete()

for gone in (vport, subnet, zone, group, domain, template, enterprise):
    gone.delete()
check("everything is deleted", me.enterprises.get() == [] and me.enterprises.get_count() == 0)
# Last: the client uses the session that was started last, even where its start failed.
refused("a wrong password is 401", 401, None, lambda: login("wrong"))
