"""The workflows of a Kubernetes site by Nuage's own Python client: templates, subnets, machines, policy, jobs, and the call
list of Nuage's Kubernetes monitor. Usage: workflows.py URL"""

import sys
import time

from sdk import check, login, refused
from vspk import v6 as vspk

me = login(sys.argv[1]).user
enterprise = vspk.NUEnterprise(name="K8S-Enterprise")
me.create_child(enterprise)


def first(fetcher, name):
    return fetcher.get_first(filter=f'name == "{name}"')


# A template with parts, and a domain of it.
template = vspk.NUDomainTemplate(name="K8S-Domain-Template", encryption="ENABLED")
enterprise.create_child(template)
zone_template = vspk.NUZoneTemplate(name="from-template")
template.create_child(zone_template)
zone_template.create_child(vspk.NUSubnetTemplate(name="from-template", address="10.9.0.0", netmask="255.255.255.0"))
template.create_child(vspk.NUPolicyGroupTemplate(name="from-template", type="SOFTWARE"))
domain = vspk.NUDomain(name="K8S-Domain", underlay_enabled="DISABLED", encryption="DISABLED", external_id="monitor-1")
enterprise.instantiate_child(domain, template)
zones = [zone.name for zone in domain.zones.get()]
check("zones of a domain are the template's and the hidden one", zones == ["BackHaulZone", "from-template"])
subnets = domain.subnets.get(filter="name ISNOT 'BackHaulSubnet'")
check("as its subnets are", [subnet.name for subnet in subnets] == ["from-template"])
check("and its policy groups", [g.name for g in domain.policy_groups.get()] == ["from-template"])
template.description = "changed"
template.save()
template.fetch()
check("the SDK answers the question about a template in use by itself", template.description == "changed")

# What the monitor makes at its start: templates of each direction, base entries.
acls = {}
for way, made in (
    ("ingress", vspk.NUIngressACLTemplate(name="Auto-generated Ingress Policies", priority=1000000000)),
    ("egress", vspk.NUEgressACLTemplate(name="Auto-generated Egress Policies", priority=1000000000)),
):
    made.active, made.default_allow_ip, made.default_allow_non_ip = True, True, True
    check(f"no {way} template of that name", first(getattr(domain, f"{way}_acl_templates"), made.name) is None)
    domain.create_child(made)
    again = type(made)(name=made.name, priority=1)
    refused(f"the name of an {way} template is there once", 409, 2533, lambda: domain.create_child(again))
    other = type(made)(name="Namespace Annotations", priority=1000000000)
    refused("and so is its priority, by another code", 409, None, lambda: domain.create_child(other))
    other.priority -= 1
    domain.create_child(other)
    check("the template is found by name", first(getattr(domain, f"{way}_acl_templates"), made.name).id == made.id)
    acls[way] = made


def entry(way, **values):
    kind = vspk.NUIngressACLEntryTemplate if way == "ingress" else vspk.NUEgressACLEntryTemplate
    any_traffic = {"dscp": "*", "ether_type": "0x0800", "protocol": "ANY", "location_type": "ANY", "network_type": "ANY"}
    return kind(**any_traffic | values)


service_net = vspk.NUEnterpriseNetwork(name="service CIDR", address="10.96.0.0", netmask="255.240.0.0")
enterprise.create_child(service_net)
for way, acl in acls.items():
    for base in (
        {"action": "FORWARD", "network_type": "ENDPOINT_ZONE", "priority": 0, "description": "Allow Intra-Zone Traffic"},
        {"action": "DROP", "network_type": "ENDPOINT_DOMAIN", "priority": 1000000000},
        {"action": "DROP", "network_type": "ENTERPRISE_NETWORK", "network_id": service_net.id, "priority": 999999999},
    ):
        acl.create_child(entry(way, **base))
    refused("a priority is one entry's", 409, 2640, lambda: acl.create_child(entry(way, action="DROP", priority=0)))
    found = getattr(acl, f"{way}_acl_entry_templates").get(
        filter='DSCP == "*" and action == "FORWARD" and etherType == "0x0800" and networkType == "ENDPOINT_ZONE"'
    )
    check("an entry is found by what it says", [one.priority for one in found] == [0])

# A namespace: zone, subnets that do not overlap, services.
zone = vspk.NUZone(name="shop", external_id="monitor-1")
domain.create_child(zone)
subnet = vspk.NUSubnet(name="shop-0", address="10.1.0.0", netmask="255.255.255.248", ip_type="IPV4")
zone.create_child(subnet)
overlap = vspk.NUSubnet(name="shop-1", address="10.1.0.0", netmask="255.255.255.0")
refused("a block that is taken is 409, 2504", 409, 2504, lambda: zone.create_child(overlap))
check("and is not there by name", first(zone.subnets, "shop-1") is None)
overlap.address, overlap.netmask = "10.1.0.8", "255.255.255.248"
zone.create_child(overlap)
services = vspk.NUNetworkMacroGroup(name="Service Group For Zone - shop")
enterprise.create_child(services)
one = {"name": "NetworkMacro for service shop--web", "netmask": "255.255.255.255"}
service = vspk.NUEnterpriseNetwork(address="10.96.0.9", **one)
enterprise.create_child(service)
again = vspk.NUEnterpriseNetwork(address="10.96.0.7", **one)
refused("a macro's name is there once", 409, 2510, lambda: enterprise.create_child(again))
services.assign([service], vspk.NUEnterpriseNetwork)
check("the group holds the service", [one.id for one in services.enterprise_networks.get()] == [service.id])
to_services = {"network_type": "NETWORK_MACRO_GROUP", "network_id": services.id, "stateful": True, "priority": 300}
acls["ingress"].create_child(entry("ingress", action="FORWARD", location_type="ZONE", location_id=zone.id, **to_services))

# Pods, and the policy group that a NetworkPolicy selects them into.
pods = []
for name in ("web", "db"):
    interface = {"attachedNetworkID": subnet.id, "MAC": f"02:00:00:00:00:0{len(pods)}"}
    pod = vspk.NUContainer(name=name, uuid=f"uuid-{name}", orchestration_id="k8s", interfaces=[interface])
    me.create_child(pod)
    pods.append(pod)
group = vspk.NUPolicyGroup(name="PG Target For policy", type="SOFTWARE", description="app=db")
domain.create_child(group)
found = domain.containers.get(filter='name == "db"', page=0, page_size=100)
interface = found[0].container_interfaces.get()[0]
port = vspk.NUVPort(id=interface.vport_id)
group.assign([port], vspk.NUVPort)
check("the pod's vPort is a member", [one.id for one in group.vports.get()] == [port.id])
check("and its interface knows it", [one.name for one in interface.policy_groups.get()] == [group.name])
refused("a group with members stays", 409, 7097, group.delete)


def job(command):
    made = vspk.NUJob(command=command)
    domain.create_child(made)
    for _ in range(50):
        made.fetch()
        if made.status != "RUNNING":
            return made.status
        time.sleep(0.1)
    return "never"


check("policy changes begin", job("BEGIN_POLICY_CHANGES") == "SUCCESS")
drafts = domain.ingress_acl_templates.get(filter='policyState == "DRAFT"')
of = {draft.associated_live_entity_id for draft in drafts}
check("each live template has a draft", len(drafts) == 2 and acls["ingress"].id in of)
policy = vspk.NUIngressACLTemplate(name="policy", priority=7, active=True)
domain.create_child(policy)
check("what is made meanwhile is a draft", policy.policy_state == "DRAFT")
database = {"protocol": "6", "source_port": "*", "destination_port": "5432", "network_type": "POLICYGROUP"}
policy.create_child(entry("ingress", action="FORWARD", network_id=group.id, priority=1, **database))
check("policy changes are applied", job("APPLY_POLICY_CHANGES") == "SUCCESS")
live = domain.ingress_acl_templates.get(filter='policyState == "LIVE"')
names = sorted(one.name for one in live)
check("and then everything is live", names == ["Auto-generated Ingress Policies", "Namespace Annotations", "policy"])
check("no draft is left", domain.ingress_acl_templates.get(filter='policyState == "DRAFT"') == [])
check("an entry has an ID for its statistics", bool(policy.ingress_acl_entry_templates.get()[0].stats_id))
check("changes that were not begun fail", job("DISCARD_POLICY_CHANGES") == "FAILED")

# Machines of a cloud.
interface = {"attachedNetworkID": overlap.id, "MAC": "02:00:00:00:01:00", "IPAddress": "10.1.0.12"}
vm = vspk.NUVM(name="vm", uuid="uuid-vm", interfaces=[interface])
me.create_child(vm)
check("a VM has the address that it asks for", vm.interfaces[0]["IPAddress"] == "10.1.0.12")
other = vspk.NUVM(name="x", uuid="x", interfaces=[interface])
refused("which nobody else gets", 409, 2704, lambda: me.create_child(other))
refused("a subnet in use stays", 409, 2506, overlap.delete)

# What is asked about is confirmed: at once, or when the question comes.
template.description = "changed again"
template.save(response_choice=1)
template.fetch()
check("an update may be confirmed beforehand", template.description == "changed again")
late = vspk.NUZone(name="late")
domain.create_child(late)
late.create_child(vspk.NUSubnet(name="late", address="10.1.1.0", netmask="255.255.255.0"))
late.delete(response_choice=None)
check("a deletion that was asked about is confirmed", first(domain.zones, "late") is None)

# An address of the outside.
shared = {"type": "FLOATING", "address": "192.0.2.0", "netmask": "255.255.255.0"}
outside = vspk.NUSharedNetworkResource(name="outside", **shared)
me.create_child(outside)
floating = vspk.NUFloatingIp(associated_shared_network_resource_id=outside.id)
domain.create_child(floating)
check("a floating address is picked", floating.address == "192.0.2.2" and floating.assigned is False)
port.fetch()
port.associated_floating_ip_id = floating.id
port.save()
floating.fetch()
check("and is assigned to a vPort", (floating.assigned, floating.assigned_to_object_type) == (True, "vport"))
check("which it knows", [one.id for one in floating.vports.get()] == [port.id])
refused("one that is assigned stays", 409, None, floating.delete)
port.associated_floating_ip_id = None
port.save()
floating.delete()
outside.delete()

# The end of the namespace.
group.assign([], vspk.NUVPort)
for gone in (*pods, vm, group, policy, service, services, subnet, overlap, zone):
    gone.delete()
check("the domain goes with all that it has", domain.delete() is not None)
check("and leaves nothing", me.zones.get() == [] and me.subnets.get() == [])
