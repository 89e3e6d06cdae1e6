"""How many endpoints of each backend are used. Those of a namespace are limited; the oldest Services have priority.

Each port of a Service that routes use is a backend with all endpoints of the Service. So one EndpointSlice with many
ports could fill the memory of the workers. Endpoints that are not ready count, too: otherwise each Pod that is not
ready for some time would change which endpoints of other Services are used.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from fastroute.difference import replaced
from fastroute.graph.age import Age

MOST_OF_NAMESPACE = 100_000


class Demand(NamedTuple):
    """Of a backend."""

    age: Age  # of the Service
    port: int
    endpoints: int


class Rations(msgspec.Struct, frozen=True):
    """Of the backends of one namespace, by id."""

    demands: Mapping[str, Demand] = {}
    total: int = 0
    short: Mapping[str, int] = {}  # how many endpoints are used, of the backends that have more


def ration(rations: Rations, changes: Mapping[str, Demand | None]) -> Rations:
    """After changes of demands; None: the backend is not used any more."""
    demands = replaced(rations.demands, changes)
    leaving = sum(rations.demands[id_].endpoints for id_ in changes if id_ in rations.demands)
    total = rations.total - leaving + sum(demand.endpoints for demand in changes.values() if demand is not None)
    return Rations(demands, total, _short(demands) if total > MOST_OF_NAMESPACE else {})


def _short(demands: Mapping[str, Demand]) -> dict[str, int]:
    short: dict[str, int] = {}
    left = MOST_OF_NAMESPACE
    for id_, demand in sorted(demands.items(), key=lambda pair: pair[1]):
        if demand.endpoints > left:
            short[id_] = left
        left = max(0, left - demand.endpoints)
    return short
