"""1,000 routes that are attached at the same moment: their Gateway is created last."""

import time

import msgspec
from cluster.api import Api

from bench.kubernetes.gateway import Gateway
from bench.kubernetes.world import accepted, create_all, gateway, route

ROUTES = 1_000
PATIENCE = 60.0  # seconds
LOOK = 0.05  # seconds between two checks of the number of writes; listing all routes would load the server


class Attached(msgspec.Struct, frozen=True):
    routes: int
    seconds: float  # from the response to the creation of the Gateway until every route has Accepted
    writes: float  # of statuses, per route


def measure_attached(api: Api, served: Gateway) -> Attached:
    create_all(api, (route(f"crowd-{n}", f"/crowd-{n}", "still", parent="crowd") for n in range(ROUTES)))
    served.settle()
    before = served.writes()
    api.create(gateway("crowd", 8081))
    begin = time.perf_counter()
    while True:
        enough = served.writes() - before >= ROUTES
        seconds = time.perf_counter() - begin  # before listing all routes, which takes long
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
