"""Makes the resource model from two sources of facts: what Nuage's published SDK (PyPI vspk 20.10.15, BSD-3) knows about
names, types, choices, mandatory values and relations, and in which of its two releases of the API, and facts.json beside this script, which is kept by hand and has
what the SDK does not tell: verbs, limits, defaults, what the server assigns, codes of duplicates.

Usage: generate.py > model.json, with a Python that has vspk."""

import importlib
import json
import pathlib
import pkgutil
import sys

from bambou import NURESTObject
from vspk import v5_0, v6

SOURCE = (
    "Names, types, choices and relations: Nuage's SDK vspk 20.10.15 (API v6, and what is not in its v5_0). "
    "Verbs, limits, defaults, what the server fills: facts.json beside this file."
)
# What every object has and the server alone keeps.
COMMON = {
    "ID", "parentID", "parentType", "owner", "creationDate", "lastUpdatedDate", "lastUpdatedBy", "entityScope",
    "embeddedMetadata",
}
TYPES = {str: "string", int: "integer", bool: "boolean", float: "float", list: "list", dict: "object"}
# Collections that nearly every entity has.
EVERYWHERE = {"eventlog": "R", "metadata": "CR", "globalmetadata": "CR", "permission": "CR"}


def classes(release=v6):
    for module in pkgutil.iter_modules(release.__path__):
        if not module.name.startswith("nu"):
            continue
        for value in vars(importlib.import_module(f"{release.__name__}.{module.name}")).values():
            if isinstance(value, type) and issubclass(value, NURESTObject) and value.__name__.lower() == module.name:
                yield value


def attributes(instance, facts, before=None):
    """What an entity has; `before` is what the release before had of it, None where it did not have the entity."""
    found = {}
    for attribute in instance.get_attributes():
        name = attribute.remote_name
        if name in COMMON:
            continue
        kind = TYPES[attribute.attribute_type]
        entry = {} if kind == "string" else {"type": kind}
        if attribute.choices:
            entry["choices"] = sorted(attribute.choices)
        if attribute.is_required:
            entry["required"] = True
        if before and name not in before:
            entry["since"] = "v6"
        entry.update(facts.get(name, {}))
        found[name] = entry
    for name in set(facts) - set(found):
        sys.exit(f"facts.json: {instance.rest_name}.{name} is no attribute of the SDK's")
    return dict(sorted(found.items()))


def children(instance, facts, makeable, before):
    found = {}
    for child, fetcher in instance._fetchers_registry.items():
        if fetcher.relationship == "member":
            verbs = "RU member"
        else:
            verbs = EVERYWHERE.get(child) or ("CR" if child in makeable else "R")
        new = " since v6" if before and child not in before else ""
        found[child] = facts.get(child, verbs) + new
    for child in set(facts) - set(found):
        sys.exit(f"facts.json: {instance.rest_name} has no {child} in the SDK")
    return dict(sorted(found.items()))


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def main():
    facts = json.loads(pathlib.Path(__file__).with_name("facts.json").read_text())
    entities, values = {}, {}
    made_by_server = set(facts["madeByServer"])
    instances = {cls.rest_name: cls() for cls in classes() if cls.rest_name != "None"}
    makeable = set(instances) - made_by_server
    before = {cls.rest_name: cls() for cls in classes(v5_0)}
    for cls in classes():
        instance = cls()
        if cls.rest_name == "None":
            values[cls.__name__.removeprefix("NU")] = attributes(instance, {})
            continue
        known = facts["entities"].get(cls.rest_name, {})
        verbs = "R" if cls.rest_name in made_by_server else "RUD"
        entity = {"resource": cls.resource_name, "class": cls.__name__.removeprefix("NU"), "verbs": known.get("verbs", verbs)}
        entity.update({key: known[key] for key in ("unique", "duplicate") if key in known})
        old = before.get(cls.rest_name)
        if not old:
            entity["since"] = "v6"
        relations = old and set(old._fetchers_registry)
        entity["children"] = children(instance, known.get("children", {}), makeable, relations)
        names = old and {attribute.remote_name for attribute in old.get_attributes()}
        entities[cls.rest_name] = (entity, attributes(instance, known.get("attributes", {}), names))
    for name in set(facts["entities"]) - set(entities):
        sys.exit(f"facts.json: {name} is no entity of the SDK's")

    print("{")
    print(f'"source":{compact(SOURCE)},')
    print('"entities":{')
    print(",\n".join(text(name, *entities[name]) for name in sorted(entities)))
    print('},\n"values":{')
    print(",\n".join(f"{compact(name)}:{compact(values[name])}" for name in sorted(values)))
    print("}\n}")


def text(name, entity, facts):
    """An entity: a line for itself and one for each attribute."""
    head = compact(entity)[:-1]
    lines = ",\n".join(f"{compact(attribute)}:{compact(fact)}" for attribute, fact in facts.items())
    return f"{compact(name)}:{head},\"attributes\":{{\n{lines}}}}}" if lines else f"{compact(name)}:{head},\"attributes\":{{}}}}"


main()
