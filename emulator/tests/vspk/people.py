"""Users, groups, roles, permissions, API keys and impersonation by Nuage's own Python client. Usage: people.py URL"""

import sys
import time

from sdk import answer, check, login, refused
from vspk import v5_0, v6 as vspk

url = sys.argv[1]
root = login(url)
me = root.user


def user(parent, name):
    made = vspk.NUUser(user_name=name, password="first", first_name="F", last_name="L", email="e@x")
    parent.create_child(made)
    return made


check("a key lives a day", 0 <= int(me.api_key_expiry) / 1000 - time.time() <= 86_400)
check("each login has the same key", login(url).user.api_key == me.api_key)
check("the organisation is no matter of case", login(url, enterprise="CSP").user.role == "CSPROOT")
check("the older API is there", login(url, sdk=v5_0).user.role == "CSPROOT")
root = login(url)
me = root.user

enterprise = vspk.NUEnterprise(name="acme")
me.create_child(enterprise)
groups = {group.name: group for group in enterprise.groups.get()}
check("an enterprise has its groups", set(groups) == {"Administrators", "Everybody", "Network Designer"})
ann, bob = user(enterprise, "ann"), user(enterprise, "bob")
check("a password is never shown", vspk.NUUser(id=ann.id).fetch()[0].password is None)
groups["Administrators"].assign([ann], vspk.NUUser)
check("a user knows the groups it is in", [group.name for group in ann.groups.get()] == ["Administrators"])
template = vspk.NUDomainTemplate(name="template")
enterprise.create_child(template)

of_ann = login(url, "ann", "first", "acme")
with of_ann:
    check("an administrator is told the role", of_ann.user.role == "ORGADMIN")
    domain = vspk.NUDomain(name="domain", template_id=template.id)
    enterprise.create_child(domain)
    check("who makes an object owns it", domain.owner == ann.id)
    refused("no enterprise is made by a tenant", 403, None, lambda: of_ann.user.create_child(vspk.NUEnterprise(name="x")))

of_bob = login(url, "bob", "first", "acme")
with of_bob:
    check("a member sees no domain", of_bob.user.domains.get() == [] and of_bob.user.domains.get_count() == 0)
    refused("and reads none", 403, None, vspk.NUDomain(id=domain.id).fetch)
with of_ann:
    domain.create_child(vspk.NUPermission(permitted_entity_id=bob.id, permitted_action="EXTEND"))
with of_bob:
    check("a permission shows it", [found.name for found in of_bob.user.domains.get()] == ["domain"])
    zone = vspk.NUZone(name="zone")
    domain.create_child(zone)
    domain.description = "changed"
    refused("but does not let it be changed", 403, None, domain.save)
    zone.delete()

with root:
    bob.password = "second"
    bob.save()
with of_bob:
    check("a key outlives a change of the password", of_bob.user.domains.get_count() == 1)
refused("the old password is refused", 401, None, lambda: login(url, "bob", "first", "acme"))
check("the new one is not", login(url, "bob", "second", "acme").user.user_name == "bob")
with root:
    bob.disabled = True
    bob.save()
refused("who is disabled does not come in", 401, None, lambda: login(url, "bob", "second", "acme"))
with of_bob:
    check("nor with a key", answer(lambda: of_bob.user.domains.get()) == (401, None))

root.impersonate("ann", "acme")
with root:
    machine = vspk.NUContainer(name="pod", uuid="uuid", orchestration_id="k8s")
    me.create_child(machine)
    check("what is made for another is the other's", machine.owner == ann.id)
root.stop_impersonate()
with root:
    machine.delete()
    me.fetch()
    check("and then one is oneself again", me.user_name == "csproot")
