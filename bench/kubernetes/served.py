"""Latency of a change, from the response of the API server to the client that made it."""

import time

import msgspec
from cluster.api import Api

from bench.kubernetes.client import Client
from bench.kubernetes.world import HOSTS, NAMESPACE, endpoints, route

CREATED = 300
MOVES = 200
GAP = 0.02  # seconds between two changes
WATCHED = 0.06  # seconds for which responses are watched after endpoints changed


class Delay(msgspec.Struct, frozen=True):
    """Milliseconds."""

    p50: float
    p99: float
    worst: float


class Served(msgspec.Struct, frozen=True):
    created: Delay  # a route: until its first response
    gained: Delay  # an endpoint that became ready: until its first request
    lost: Delay  # a terminating endpoint: until its last request
    wrong: int  # responses from neither of the two valid endpoints


def measure_served(api: Api) -> Served:
    with Client() as client:
        created = [_create(api, client, number) for number in range(CREATED)]
        moved = [_move(api, client, "ab"[number % 2 == 0]) for number in range(MOVES)]
    return Served(
        created=_delay(created),
        gained=_delay([gained for gained, _, _ in moved]),
        lost=_delay([lost for _, lost, _ in moved]),
        wrong=sum(wrong for _, _, wrong in moved),
    )


def _create(api: Api, client: Client, number: int) -> float:
    time.sleep(GAP)
    api.create(route(f"new-{number}", f"/new-{number}", "still"))
    begin = time.perf_counter()
    return client.until(f"/new-{number}/x") - begin


def _move(api: Api, client: Client, to: str) -> tuple[float, float, int]:
    """`to` becomes ready as the other terminates. Returns the first request to `to`, the last to the other, errors."""
    api.patch("EndpointSlice", NAMESPACE, "moving", {"endpoints": endpoints(to)})
    begin = time.perf_counter()
    answers = client.ask_for("/moving/x", WATCHED)
    first = next((each.asked for each in answers if each.body == to), begin + WATCHED)
    last = max((each.asked for each in answers if each.body != to), default=begin)
    wrong = sum(each.status != 200 or each.body not in HOSTS for each in answers)
    return max(first - begin, 0), max(last - begin, 0), wrong


def _delay(seconds: list[float]) -> Delay:
    ordered = sorted(seconds)
    return Delay(*(ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1e3 for share in (0.5, 0.99, 1)))
