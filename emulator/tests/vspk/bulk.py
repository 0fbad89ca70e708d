"""Several objects in one call by Nuage's own Python client. Usage: bulk.py URL"""

import sys

from sdk import check, login
from vspk import v6 as vspk

me = login(sys.argv[1]).user
enterprise = vspk.NUEnterprise(name="acme")
me.create_child(enterprise)
template = vspk.NUDomainTemplate(name="template")
enterprise.create_child(template)
# Without the hidden zone, so that lists hold what is made here.
domain = vspk.NUDomain(name="domain", template_id=template.id, create_back_haul_subnet=False)
enterprise.instantiate_child(domain, template)
check("a domain is an instance of its template", [found.id for found in template.domains.get()] == [domain.id])

zones = [vspk.NUZone(name=name) for name in ("a", "b", "c")]
_, _, metadata, errors = domain.create_children(zones)
check("all are made", errors is None and metadata["failure"] == 0 and all(zone.id for zone in zones))
again = [vspk.NUZone(name="a"), vspk.NUZone(name="d")]
_, connection, metadata, errors = domain.create_children(again)
check("one fails by itself", (metadata["failure"], [error["index"] for error in errors]) == (1, [0]))
check("and says why", errors[0]["status"] == 409 and errors[0]["error"]["internalErrorCode"] == 2510)
check("the others are made", again[1].id and connection.response.status_code == 207)
zones.append(again[1])

for zone in zones:
    zone.description = f"about {zone.name}"
_, _, metadata, errors = me.bulk_save(zones)
check("all are changed", errors is None and metadata["success"] == 4)
check("as was said", {zone.description for zone in domain.zones.get()} == {f"about {name}" for name in "abcd"})
_, _, metadata, errors = me.bulk_delete(zones[:3])
check("all are deleted", errors is None and [zone.name for zone in domain.zones.get()] == ["d"])

for number in range(60):
    me.create_child(vspk.NURateLimiter(
        name=f"limit-{number:02}", committed_information_rate="1", peak_information_rate=str(number % 3), peak_burst_size="1"
    ))
grouped = me.rate_limiters.get(group_by=["peakInformationRate"])
check("groups are shown once", sorted(one.peak_information_rate for one in grouped) == ["0", "1", "2"])
pages = [me.rate_limiters.get(page=page, page_size=25) for page in range(4)]
check("pages hold what is left", [len(page) for page in pages] == [25, 25, 10, 0])
check("a filter alone gets a first page", len(me.rate_limiters.get(filter='name beginswith "limit"')) == 50)
check("but counts all", me.rate_limiters.get_count(filter='name beginswith "limit"') == 60)
