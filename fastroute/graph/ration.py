"""How many endpoints of each backend are used. Their number is limited for a Service, and for a namespace; the oldest
Services have priority.

Each port of a Service that routes use is a backend with all endpoints of the Service. So one EndpointSlice with many
ports could fill the memory of the workers. And whenever one endpoint changes, all endpoints of its Service are sorted
and sent to the workers again, which delays other changes: 100,000 of them did so by 0.5 s. Endpoints that are not ready
count, too: otherwise each Pod that is not ready for some time would change which endpoints of other Services are used.

A worker has the endpoints of a backend once for each client certificate that Gateways show to it (variant.py).
"""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from fastroute.difference import replaced
from fastroute.graph.age import Age
from fastroute.graph.variant import Claim

MOST_OF_NAMESPACE = 100_000
MOST_OF_SERVICE = 10_000


class Demand(NamedTuple):
    """Of a variant of a backend. Smaller ones are served first."""

    further: bool  # as in Variant
    age: Age  # of the Service
    port: int
    endpoints: int


class Cut(NamedTuple):
    """A variant of a backend of which not all endpoints are used."""

    used: int
    limit: int
    is_of_service: bool  # the limit, instead of the namespace
    further: bool = False  # as in Variant


class Rations(msgspec.Struct, frozen=True):
    """Of the variants for which one namespace pays."""

    demands: Mapping[Claim, Demand] = {}
    total: int = 0
    services: Mapping[Age, int] = {}  # how many endpoints the ports of each Service have
    wide: int = 0  # how many Services have more than MOST_OF_SERVICE
    short: Mapping[Claim, Cut] = {}


def ration(rations: Rations, changes: Mapping[Claim, Demand | None]) -> Rations:
    """After changes of demands; None: the variant is not used any more."""
    demands = replaced(rations.demands, changes)
    more: Counter[Age] = Counter()
    for claim, demand in changes.items():
        if (old := rations.demands.get(claim)) is not None:
            more[old.age] -= old.endpoints
        if demand is not None:
            more[demand.age] += demand.endpoints
    total = rations.total + sum(more.values())
    now = {service: rations.services.get(service, 0) + number for service, number in more.items()}
    wide = rations.wide + sum(
        (number > MOST_OF_SERVICE) - (rations.services.get(service, 0) > MOST_OF_SERVICE)
        for service, number in now.items()
    )
    services = replaced(rations.services, {service: number or None for service, number in now.items()})
    short = _short(demands) if total > MOST_OF_NAMESPACE or wide else {}
    return Rations(demands, total, services, wide, short)


def _short(demands: Mapping[Claim, Demand]) -> dict[Claim, Cut]:
    short: dict[Claim, Cut] = {}
    left = MOST_OF_NAMESPACE
    of_service: dict[Age, int] = {}
    for claim, demand in sorted(demands.items(), key=lambda pair: (pair[1], pair[0])):
        own = of_service.get(demand.age, MOST_OF_SERVICE)
        used = min(demand.endpoints, own, left)
        if used < demand.endpoints:
            limit, of_one = (MOST_OF_SERVICE, True) if own <= left else (MOST_OF_NAMESPACE, False)
            short[claim] = Cut(used, limit, of_one, demand.further)
        left, of_service[demand.age] = left - used, own - used
    return short
