"""The cost of a request between its head and its backend: match, pick, forwarding headers; and of an installation.

Loops of ROUNDS iterations are compiled, so that the call from Python is negligible; divide by ROUNDS. `pytest
bench/micro/test_router.py --benchmark-only`, on an otherwise idle core. Assertions are ratios within one run, and
generous limits on the CPU time of the best of several rounds.
"""

import random

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from snapshots import a_listener, a_match, a_rule, build, prefix_rule

from fastroute.ext.memory.graveyard import collect
from fastroute.ext.message.forwarded import Forwarding
from fastroute.ext.routing.balancer import Selector, WeightedChoice
from fastroute.ext.routing.tables import TableBuilder, Tables, Upstreams
from fastroute.publication import RuleSlots
from fastroute.snapshot import PathMatch, Rule, ValueMatch

ROUNDS = 100_000
MANY = 5_000
EXTRA = 0.4e-6  # seconds that 5,000 routes, all in use, may add to a request of about 20 µs: 2 %


def prefix(number: int) -> Rule:
    return prefix_rule(number, f"/team-{number % 50}/app-{number}")


def exact(number: int) -> Rule:
    route = f"team-{number}/route"
    return a_rule(route, a_match(PathMatch("Exact", f"/team-{number % 50}/app-{number}"), order=(route, 0, 0)))


def hostname(number: int) -> Rule:
    return prefix_rule(number, "", hostnames=(f"app-{number}.team-{number % 50}.example.com",))


def header(number: int) -> Rule:
    route = f"team-{number}/route"
    return a_rule(
        route, a_match(PathMatch("PathPrefix", ""), headers=(ValueMatch("x-app", str(number)),), order=(route, 0, 0))
    )


def expression(number: int) -> Rule:
    route = f"team-{number}/route"
    return a_rule(
        route,
        a_match(PathMatch("RegularExpression", f"/team-{number % 50}/app-{number}(/.*)?"), order=(route, 0, 0)),
    )


KINDS = {"prefix": prefix, "exact": exact, "hostname": hostname, "header": header, "expression": expression}


def tables_of(kind: str, count: int) -> Tables:
    return build([a_listener()], [KINDS[kind](number) for number in range(count)])


def best(tables: Tables, paths: list[str], host: str = "app-17.team-17.example.com") -> float:
    return min(tables.seconds(0, host, paths, ROUNDS, [("X-App", "17")]) for _ in range(7)) / ROUNDS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [18, MANY])
def test_match(benchmark: BenchmarkFixture, kind: str, count: int) -> None:
    """One path, repeatedly."""
    tables = tables_of(kind, count)
    benchmark(tables.seconds, 0, "app-17.team-17.example.com", ["/team-17/app-17"], ROUNDS, [("X-App", "17")])


@pytest.mark.parametrize("kind", KINDS)
def test_many_routes_cost_what_few_do(kind: str) -> None:
    few, many = tables_of(kind, 18), tables_of(kind, MANY)
    path = ["/team-17/app-17"]
    assert best(many, path) < best(few, path) + EXTRA / 4


def test_many_routes_all_in_use_cost_what_few_do() -> None:
    """Requests for 5,000 routes in random order: the difference is cache misses."""
    few, many = tables_of("prefix", 1), tables_of("prefix", MANY)
    numbers = random.Random(1).sample(range(MANY), 1000)
    paths = [f"/team-{number % 50}/app-{number}" for number in numbers]
    assert best(many, paths) < best(few, ["/team-0/app-0"]) + EXTRA


@pytest.mark.parametrize("weights", [(1,), (70, 30), (1_000_000, 999_999, 1), tuple(range(1, 17))])
def test_pick(benchmark: BenchmarkFixture, weights: tuple[int, ...]) -> None:
    benchmark(WeightedChoice(weights).picks, ROUNDS)


def test_endpoint(benchmark: BenchmarkFixture) -> None:
    """One choice among three endpoints; the call from Python is included here."""
    upstreams = Upstreams()
    upstreams.update("ns/b:80", [("10.0.0.1", port) for port in (1, 2, 3)])
    benchmark(Selector(upstreams, "ns/b:80").choose)


@pytest.mark.parametrize("peer", ["192.0.2.1", "10.0.0.1"])
def test_forwarded(benchmark: BenchmarkFixture, peer: str) -> None:
    """An untrusted client, and a trusted proxy with a chain."""
    fields = [("Host", "example.com"), ("User-Agent", "x"), ("Accept", "*/*"), ("X-Forwarded-For", "1.1.1.1, 10.0.0.2")]
    forwarding = Forwarding(("10.0.0.0/8",))
    benchmark(forwarding.seconds, peer, fields, ROUNDS)
    assert min(forwarding.seconds(peer, fields, ROUNDS) for _ in range(5)) / ROUNDS < 1e-6


def test_install_from_nothing(benchmark: BenchmarkFixture) -> None:
    """Builds tables from 5,000 decoded rules, and frees them."""
    rules = [prefix(number) for number in range(MANY)]

    def install() -> None:
        build([a_listener()], rules)
        while collect(1000):
            pass

    benchmark(install)


def test_install_of_one_edit(benchmark: BenchmarkFixture) -> None:
    """One changed rule of 5,000, all in one hostname group, in slices of 300 µs."""
    upstreams = Upstreams()
    tables = build([a_listener()], [prefix(number) for number in range(MANY)], upstreams=upstreams)
    edits = [prefix_rule(7, "/seven"), prefix_rule(7, "/sept")]

    def install() -> None:
        nonlocal tables
        builder = TableBuilder(upstreams, tables, 2)
        builder.put_rule(edits[0], RuleSlots())
        edits.reverse()
        while builder.step(300):
            pass
        tables = builder.finish()
        while collect(300):
            pass

    benchmark(install)
    assert len(tables) == MANY
