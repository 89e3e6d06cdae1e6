"""1,000 routes that attach in one moment: they name a Gateway that comes last."""

import time

import msgspec
from cluster.api import Api

from bench.kubernetes.gateway import Gateway
from bench.kubernetes.world import accepted, create_all, gateway, route

ROUTES = 1_000
PATIENCE = 60.0  # seconds
LOOK = 0.05  # seconds between two looks at how many were written; to list them all would take the server's time


class Attached(msgspec.Struct, frozen=True):
    routes: int
    seconds: float  # from the answer to who created the Gateway until every route's status says Accepted
    writes: float  # of statuses, for each route


def measure_attached(api: Api, served: Gateway) -> Attached:
    create_all(api, (route(f"crowd-{n}", f"/crowd-{n}", "still", parent="crowd") for n in range(ROUTES)))
    served.settle()
    before = served.writes()
    api.create(gateway("crowd", 8081))
    begin = time.perf_counter()
    while True:
        enough = served.writes() - before >= ROUTES
        seconds = time.perf_counter() - begin  # to look at all of them takes long
        if enough and _all_accepted(api):
            break
        if seconds > PATIENCE:
            raise RuntimeError("not every route was accepted")
        time.sleep(LOOK)
    served.settle()
    return Attached(ROUTES, seconds, (served.writes() - before) / ROUTES)


def _all_accepted(api: Api) -> bool:
    found = accepted(api)
    return all(found[f"crowd-{number}"] for number in range(ROUTES))
