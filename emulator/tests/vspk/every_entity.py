"""Every entity of the SDK against the emulated VSD: made below every parent where the model has that edge, read back,
listed, counted, filtered, paged, updated, assigned, deleted; and every verb that the model lacks is refused.

Usage: every_entity.py URL MODEL_JSON. Prints emulator/COVERAGE.md; the first promise that fails ends the run."""

import itertools
import json
import sys

from bambou.exceptions import BambouHTTPError
from sdk import answer, classes, login

URL, MODEL = sys.argv[1:]
ENTITIES = json.load(open(MODEL))["entities"]
VALUES = json.load(open(MODEL))["values"]
CLASSES = classes()
NUMBER = itertools.count(1)
OPERATIONS = ["create", "read", "list", "count", "filter", "page", "update", "delete", "assign"]
NOBODY = "00000000-0000-4000-8000-000000000000"


def promise(text, holds):
    if not holds:
        raise AssertionError(text)


def verbs(edge):
    return edge.split()[0]


def creatable():
    """For each entity that can be made, a parent to make it below: the nearest to the root."""
    parents, reached = {"me": None}, ["me"]
    for parent in reached:
        for child, edge in ENTITIES[parent]["children"].items():
            if "C" in verbs(edge) and child not in parents:
                parents[child] = parent
                reached.append(child)
    return parents


def recipe(entity, parent):
    """Values that behaviours of the VSD ask for beyond what the model says."""
    number = next(NUMBER)
    net = f"10.{number // 250}.{number % 250}.0"

    def inside():
        start = getattr(parent, "address", None) or made("subnet").address
        return f"{start.rsplit('.', 1)[0]}.{number % 200 + 10}"

    below_port = parent.rest_name == "vport"
    entry = {"DSCP": "*", "etherType": "0x0800"}
    return {
        "ingressaclentrytemplate": lambda: entry,
        "egressaclentrytemplate": lambda: entry,
        "ingressadvfwdentrytemplate": lambda: entry,
        "egressadvfwdentrytemplate": lambda: entry,
        "enterprisenetwork": lambda: {"address": net, "netmask": "255.255.255.0"},
        "job": lambda: {"command": COMMANDS.get(parent.rest_name, "RELOAD")},
        "domain": lambda: {"templateID": made("domaintemplate").id},
        "subnet": lambda: {"address": net, "netmask": "255.255.255.0"},
        "subnettemplate": lambda: {"address": net, "netmask": "255.255.255.0"},
        "sharednetworkresource": lambda: {"address": net, "netmask": "255.255.255.0"},
        "floatingip": lambda: {"associatedSharedNetworkResourceID": made("sharednetworkresource").id},
        "addressrange": lambda: dict.fromkeys(("minAddress", "maxAddress"), inside()),
        "ipreservation": lambda: {"IPAddress": inside()},
        "virtualip": lambda: {"virtualIP": inside()},
        "containerinterface": lambda: {"attachedNetworkID": made("subnet").id},
        "vminterface": lambda: {"VMUUID": made("vm").uuid} if below_port else {"attachedNetworkID": made("subnet").id},
    }.get(entity, dict)()


def value(name, facts):
    kind, number = facts.get("type", "string"), next(NUMBER)
    if facts.get("choices"):
        return [facts["choices"][0]] if kind == "list" else facts["choices"][0]
    if kind == "string":
        return f"{name}-{number}"[: (facts.get("length") or [0, None])[1] or 255]
    if kind in ("integer", "float"):
        low, high = facts.get("range") or (1, None)
        return max(low, 1) if high is None or high >= 1 else high
    return {"boolean": True, "list": [], "object": {}}[kind]


def new(entity, parent):
    """An object of the SDK with what is mandatory, a name and an external ID."""
    facts = ENTITIES[entity]["attributes"]
    wanted = {name for name, fact in facts.items() if fact.get("required") and not fact.get("readOnly")}
    wanted |= {"name", "externalID"} & set(facts)
    values = {name: value(name, facts[name]) for name in wanted}
    values.update(recipe(entity, parent))
    made_object = CLASSES[entity]()
    local = {attribute.remote_name: attribute.local_name for attribute in made_object.get_attributes()}
    for name, given in values.items():
        setattr(made_object, local[name], given)
    return made_object, {local[name]: given for name, given in values.items()}


def create(parent, entity):
    child, values = new(entity, parent)
    try:
        parent.create_child(child)
    except BambouHTTPError as error:
        raise AssertionError(f"{entity} is made below {parent.rest_name}: {error}") from error
    promise(f"{entity} gets an ID below {parent.rest_name}", child.id)
    return child, values


# A command of each entity that knows certain ones only.
COMMANDS = dict.fromkeys(
    ("domain", "domaintemplate", "l2domain", "l2domaintemplate", "ingressacltemplate", "egressacltemplate", "ingressadvfwdtemplate"),
    "EXPORT",
) | {"vport": "CLEAR_MAC_MOVE_ALARMS", "gateway": "GATEWAY_AUDIT", "enterprise": "GET_ZFB_INFO", "me": "GET_ZFB_INFO"}
# A vPort of the domain whose policy groups it joins.
PARENTS = creatable() | {"vport": "subnet"}
# They are alone on their vPort.
ALONE = ("bridgeinterface", "hostinterface")
MADE = {}


def made(entity):
    """The one that others are made below."""
    if entity not in MADE:
        parent = made(PARENTS[entity])
        if entity in ALONE:
            parent = create(made("subnet"), "vport")[0]
        MADE[entity] = create(parent, entity)[0]
    return MADE[entity]


def listed(parent, entity, **how):
    return [child.id for child in parent.fetcher_for_rest_name(entity).get(commit=False, **how)]


def changeable(entity):
    """A text that an update may change."""
    facts = ENTITIES[entity]["attributes"]
    free = [
        name
        for name, fact in facts.items()
        if fact.get("type", "string") == "string"
        and not set(fact) & {"choices", "required", "readOnly", "creationOnly", "secret", "assigned", "length"}
    ]
    return next((name for name in ("externalID", "description", *free) if name in free), None)


def one_object(entity, parent, child, values, row):
    """What a client does with one object."""
    cls, facts = CLASSES[entity], ENTITIES[entity]
    fetcher = parent.fetcher_for_rest_name(entity)
    if "R" in facts["verbs"]:
        again = cls(id=child.id)
        again.fetch()
        for name, given in values.items():
            secret = entity == "user" and name == "password"
            got = getattr(again, name)
            promise(f"{entity}.{name} is read back: {got!r} for {given!r}", got is None if secret else got == given)
        row["read"] += 1
    if "R" in verbs(ENTITIES[parent.rest_name]["children"][entity]):
        promise(f"{entity} is listed below {parent.rest_name}", child.id in listed(parent, entity))
        promise(f"{entity} is counted", fetcher.get_count() == len(listed(parent, entity)))
        row["list"] += 1
        row["count"] += 1
        promise(f"{entity} is found by ID", listed(parent, entity, filter=f'ID == "{child.id}"') == [child.id])
        if "externalID" in facts["attributes"]:
            wanted = f'externalID == "{child.external_id}" and not (ID == "{NOBODY}")'
            promise(f"{entity} is found by externalID", listed(parent, entity, filter=wanted) == [child.id])
        promise(f"{entity} is filtered away", fetcher.get_first(filter=f'ID == "{NOBODY}"') is None)
        row["filter"] += 1
        pages = [listed(parent, entity, page=page, page_size=1) for page in range(fetcher.get_count() + 1)]
        promise(f"{entity}: pages hold all once", sorted(sum(pages, [])) == sorted(listed(parent, entity)))
        promise(f"{entity}: behind the last page there is nothing", pages[-1] == [])
        row["page"] += 1
    if "U" in facts["verbs"]:
        update(entity, child, row)
    if "D" in facts["verbs"]:
        child.delete()
        promise(f"{entity} is gone", answer(cls(id=child.id).fetch) in ((404, None), (405, None)))
        row["delete"] += 1


def update(entity, child, row):
    name = changeable(entity)
    if name is None:
        return
    local = next(a.local_name for a in child.get_attributes() if a.remote_name == name)
    setattr(child, local, "changed")
    child.save()
    if "R" in ENTITIES[entity]["verbs"]:
        again = CLASSES[entity](id=child.id)
        again.fetch()
        promise(f"{entity}.{name} is updated", getattr(again, local) == "changed")
    row["update"] += 1


def members(parent, entity, row):
    """Objects become members of another and leave it."""
    owner, member = made(parent), made(entity)
    owner.assign([member], CLASSES[entity])
    promise(f"{entity} is a member of {parent}", listed(owner, entity) == [member.id])
    owner.assign([], CLASSES[entity])
    promise(f"{entity} is no member of {parent}", listed(owner, entity) == [])
    row["assign"] += 1


def refusals(parent, entity, edge):
    """The verbs that an edge does not have."""
    below = made(parent)
    if "C" not in verbs(edge):
        child, _ = new(entity, below)
        promise(f"{parent} -> {entity}: no create", answer(lambda: below.create_child(child)) == (405, None))
    if "R" not in verbs(edge):
        promise(f"{parent} -> {entity}: no list", answer(lambda: listed(below, entity)) == (405, None))


def run():
    table = {entity: dict.fromkeys([*OPERATIONS, "refused"], 0) for entity in ENTITIES}
    for parent, facts in ENTITIES.items():
        if parent not in PARENTS:
            continue
        for entity, edge in facts["children"].items():
            row = table[entity]
            if "C" in verbs(edge):
                child, values = create(made(parent), entity)
                row["create"] += 1
                one_object(entity, made(parent), child, values, row)
            elif "R" in verbs(edge):
                promise(f"{parent} -> {entity} is listed", isinstance(listed(made(parent), entity), list))
                row["list"] += 1
            if "member" in edge and "U" in verbs(edge) and entity in PARENTS:
                members(parent, entity, row)
            if set(verbs(edge)) & {"C", "R"} != {"C", "R"} or entity not in CLASSES:
                refusals(parent, entity, edge)
                row["refused"] += 1
    for entity, facts in ENTITIES.items():
        if entity in PARENTS and entity != "me":
            whole(entity, facts, table[entity])
    return table


def whole(entity, facts, row):
    """The verbs that an object does not have."""
    one = made(entity)
    for verb, call in (("R", one.fetch), ("U", one.save), ("D", one.delete)):
        if verb not in facts["verbs"]:
            promise(f"{entity}: {verb} is refused", answer(call) == (405, None))
            row["refused"] += 1


def text(table):
    print("# What of the VSD's API is exercised")
    print()
    print("Made by `emulator/tests/vspk/every_entity.py` with Nuage's SDK vspk 20.10.15, and compared by `emulator/tests/vspk.rs`.")
    print("A number says below how many kinds of parents the operation was done, `-` that the API has no such operation")
    print("there or that nothing of the kind can be made by a client; *refused*: verbs that are missing, and answered with 405.")
    print()
    print("| entity | path |", " | ".join(OPERATIONS), "| refused |")
    print("|---|---|" + "--:|" * (len(OPERATIONS) + 1))
    for entity, row in table.items():
        cells = [str(row[name] or "-") for name in (*OPERATIONS, "refused")]
        print(f"| {entity} | /{ENTITIES[entity]['resource']} |", " | ".join(cells), "|")
    print()
    print("Types that occur only within attributes and have no path:", ", ".join(sorted(VALUES)) + ".")


MADE["me"] = login(URL).user
text(run())
