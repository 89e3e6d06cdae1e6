"""Tables built from tables: increments equal a rebuild, unchanged parts are shared, nothing leaks or blocks."""

import gc
import os
import resource
from collections.abc import Iterator
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig import loopback
from snapshots import (
    a_listener,
    a_match,
    a_rule,
    build,
    look_up,
    prefix_rule,
    requests,
    snapshots,
)

from fastroute.explain.request import Request
from fastroute.ext.memory.graveyard import buried, collect
from fastroute.ext.routing.tables import REASONS, TableBuilder, Tables, Upstreams
from fastroute.place import Transport
from fastroute.publication import RuleSlots
from fastroute.snapshot import (
    HeaderModifier,
    HeaderValue,
    Mode,
    PathMatch,
    Rewrite,
    Rule,
    Snapshot,
    ValueMatch,
    WeightedBackend,
)

# AddressSanitizer keeps freed memory for a while, and enlarges every object.
measures_memory = pytest.mark.skipif(
    "asan" in os.environ.get("LD_PRELOAD", ""), reason="the sanitizer changes the memory use"
)


@pytest.fixture(autouse=True)
def _empty_graveyard() -> Iterator[None]:
    """Every test must free all tables."""
    yield
    gc.collect()
    while collect(10_000):
        pass
    assert buried() == 0


def step_to(before: Snapshot, after: Snapshot, tables: Tables, upstreams: Upstreams, slice_: int) -> Tables:
    """Applies the difference between two snapshots to the tables of the first, in slices."""
    builder = TableBuilder(upstreams, tables, 2)
    for id in before.rules.keys() - after.rules.keys():
        builder.remove_rule(id)
    for id in before.listeners.keys() - after.listeners.keys():
        builder.remove_listener(id)
    for id, listener in after.listeners.items():
        if before.listeners.get(id) != listener:
            builder.put_listener(listener)
    for id, rule in after.rules.items():
        if before.rules.get(id) != rule or rule.listener not in before.listeners:
            builder.put_rule(rule, RuleSlots())
    while builder.step(slice_):
        pass
    return builder.finish()


@pytest.mark.timeout(900)  # with sanitizers; hypothesis reports a time-out as "Inconsistent data generation"
@settings(max_examples=50, deadline=None)
@given(st.lists(snapshots(), min_size=2, max_size=5), st.lists(requests(), min_size=1, max_size=6), st.integers(0, 50))
def test_increments_equal_a_rebuild(steps: list[Snapshot], asked: list[Request], slice_: int) -> None:
    upstreams = Upstreams()
    tables = build(steps[0].listeners.values(), steps[0].rules.values(), upstreams=upstreams)
    for before, after in pairwise(steps):
        tables = step_to(before, after, tables, upstreams, slice_)
        rebuilt = build(after.listeners.values(), after.rules.values())
        assert len(tables) == len(rebuilt) == len(after.rules)
        for request in asked:
            for listener in after.listeners.values():
                assert look_up(tables, request, listener) == look_up(rebuilt, request, listener)


def taker(tables: Tables, path: str = "/") -> str:
    request = Request(method="GET", scheme="http", authority="h", path=path)
    return (look_up(tables, request, a_listener())[0] or "||").split("|")[2]


def edited(tables: Tables, *rules: Rule, gone: tuple[str, ...] = ()) -> Tables:
    builder = TableBuilder(Upstreams(), tables, 2)
    for id in gone:
        builder.remove_rule(id)
    for rule in rules:
        builder.put_rule(rule, RuleSlots())
    return builder.finish()


def test_old_tables_stay_as_they_were() -> None:
    one, two = prefix_rule(1, "/a"), prefix_rule(2, "/b")
    old = build([a_listener()], [one])
    new = edited(old, two, gone=(one.id,))
    assert (taker(old, "/a"), taker(old, "/b")) == ("team-1/route", "")
    assert (taker(new, "/a"), taker(new, "/b")) == ("", "team-2/route")


def test_a_rule_put_twice_counts_as_put_last() -> None:
    old = build([a_listener()], [prefix_rule(1, "/a")])
    new = edited(old, prefix_rule(1, "/b"), prefix_rule(1, "/c"))
    assert [taker(new, path) for path in ("/a", "/b", "/c")] == ["", "", "team-1/route"]


def test_a_rule_that_moves_to_another_hostname_leaves_the_old_one() -> None:
    old = build([a_listener()], [prefix_rule(1, "/a")])
    new = edited(old, prefix_rule(1, "/a", hostnames=("x.org",)))
    assert taker(new, "/a") == ""


def test_a_listener_that_leaves_takes_its_rules_with_it() -> None:
    old = build([a_listener()], [prefix_rule(1, "/a"), prefix_rule(2, "/b")])
    builder = TableBuilder(Upstreams(), old, 2)
    builder.remove_listener(a_listener().id)
    gone = builder.finish()
    assert len(gone) == 0
    assert gone.socket_index(loopback(8080)) == -1
    again = build([a_listener()], [prefix_rule(2, "/b")], previous=gone)
    assert [taker(again, path) for path in ("/a", "/b")] == ["", "team-2/route"]


def test_a_listener_removed_and_put_again_has_only_the_rules_put_again() -> None:
    rules = [prefix_rule(1, "/a"), prefix_rule(2, "/b")]
    old = build([a_listener()], rules)
    builder = TableBuilder(Upstreams(), old, 2)
    builder.remove_listener(a_listener().id)
    builder.put_listener(a_listener())
    builder.put_rule(rules[1], RuleSlots())
    new = builder.finish()
    assert [taker(new, path) for path in ("/a", "/b")] == ["", "team-2/route"]


def test_tcp_and_udp_on_one_port_are_two_places() -> None:
    dns = msgspec.structs.replace(a_listener("dns"), place=loopback(8080, Transport.UDP), mode=Mode.DATAGRAMS)
    tables = build([a_listener(), dns], [prefix_rule(1, "/a")])
    tcp, udp = (tables.socket_index(loopback(8080, transport)) for transport in Transport)
    assert sorted((tcp, udp)) == [0, 1]
    assert tables.find(tcp, "GET", "/a", "h")[0] is not None


def test_a_listener_that_changes_keeps_its_rules() -> None:
    old = build([a_listener()], [prefix_rule(1, "/a")])
    moved = msgspec.structs.replace(a_listener(), place=loopback(9090), spec_port=90)
    new = build([moved], [], previous=old)
    assert new.socket_index(loopback(8080)) == -1
    assert new.find(new.socket_index(loopback(9090)), "GET", "/a", "h")[1:] == (0, 2, 90, "none")


def test_a_builder_makes_tables_once() -> None:
    builder = TableBuilder(Upstreams(), None, 1)
    assert len(builder.finish()) == 0
    with pytest.raises(RuntimeError, match="once"):
        builder.finish()
    broken = TableBuilder(Upstreams(), None, 1)
    broken.put_rule(prefix_rule(1, "/a"), RuleSlots())
    for _ in range(2):
        with pytest.raises((ValueError, RuntimeError)):
            broken.finish()


def test_an_abandoned_builder_leaves_no_trace() -> None:
    old = build([a_listener()], [prefix_rule(number, f"/{number}") for number in range(500)])
    builder = TableBuilder(Upstreams(), old, 2)
    builder.remove_rule(prefix_rule(7, "/7").id)
    builder.put_rule(prefix_rule(8, "/eight"), RuleSlots())
    builder.step(0)
    del builder
    assert taker(old, "/7") == "team-7/route"
    assert taker(edited(old, prefix_rule(501, "/501")), "/8") == "team-8/route"


def picks(tables: Tables, count: int) -> list[int]:
    return [tables.pick(a_rule().id) for _ in range(count)]


def weighted(*weights: int, path: str = "") -> Rule:
    backends = tuple(WeightedBackend(weight=weight, backend=f"ns/b{i}:80") for i, weight in enumerate(weights))
    return a_rule("apples/fruits", a_match(PathMatch("PathPrefix", path)), backends=backends)


def test_weights_go_on_where_they_were() -> None:
    """An install after every pick: each window of the period is still exact."""
    upstreams = Upstreams()
    tables = build([a_listener()], [weighted(7, 2, 1)], upstreams=upstreams)
    picked: list[int] = []
    for number in range(40):
        picked += picks(tables, 1)
        changed = [prefix_rule(number, f"/{number}"), weighted(7, 2, 1, path=f"/{number}")]
        tables = build([], changed, previous=tables, upstreams=upstreams)
    assert picked[:10] == picked[10:20] == picked[20:30] == picked[30:]
    assert sorted(picked[3:13]) == [0] * 7 + [1] * 2 + [2]


def test_weights_that_mean_the_same_go_on_too() -> None:
    tables = build([a_listener()], [weighted(1, 1)])
    first = picks(tables, 1)
    assert picks(edited(tables, weighted(50, 50)), 1) != first


def test_listeners_of_a_route_share_its_weights() -> None:
    one, two = a_listener("one", port=8080), a_listener("two", port=8081)
    rules = [
        msgspec.structs.replace(weighted(1, 1), id=f"{at.id}|HTTPRoute|apples/fruits|0", listener=at.id)
        for at in (one, two)
    ]
    tables = build([one, two], rules)
    for _ in range(3):
        assert sorted(tables.pick(rule.id) for rule in rules) == [0, 1]


def test_nothing_to_pick_from() -> None:
    tables = build([a_listener()], [weighted(0, 0)])
    assert picks(tables, 3) == [-1, -1, -1]
    assert picks(edited(tables, weighted()), 3) == [-1, -1, -1]


def test_work_is_done_in_small_pieces() -> None:
    """With 5,000 rules, a slice without remaining time ends after a few of them, when building and when freeing."""
    upstreams = Upstreams()
    tables = build([a_listener()], [prefix_rule(number, f"/{number}") for number in range(5000)], upstreams=upstreams)
    builder = TableBuilder(upstreams, tables, 2)
    builder.put_rule(prefix_rule(7, "/seven"), RuleSlots())
    slices = 1
    while builder.step(0):  # no time remains from the start: each slice does one piece of work
        slices += 1
    assert slices > 5000 / 10
    tables = builder.finish()
    del tables, builder
    gc.collect()
    assert buried() > 0
    count = 0
    while collect(1):
        count += 1
    assert count > 3


@measures_memory
def test_installs_leak_nothing() -> None:
    """1,000 installs with changes of rules, listeners, patterns, filters and backends: memory use does not grow."""
    upstreams = Upstreams()
    tables = build([a_listener()], [prefix_rule(number, f"/{number}") for number in range(300)], upstreams=upstreams)
    middle = 0
    for number in range(1000):
        builder = TableBuilder(upstreams, tables, number)
        match = a_match(
            PathMatch("RegularExpression", f"/{number % 7}[a-z]*"),
            headers=(ValueMatch("x", f"{number % 5}.*", "RegularExpression"),),
        )
        filters = (
            HeaderModifier(direction="request", set=(HeaderValue("X", str(number)),), remove=("Y",)),
            Rewrite(hostname=f"h{number}.org", prefix=f"/{number}"),
        )
        backend = WeightedBackend(weight=number, backend=f"ns/b{number}:80", filters=filters)
        rule = a_rule(
            f"churn/{number % 3}",
            match,
            backends=(backend, backend),
            filters=filters,
            hostnames=(f"*.h{number % 9}.org", f"h{number % 5}.org"),
        )
        builder.put_rule(rule, RuleSlots())
        builder.put_listener(a_listener("other", f"h{number % 4}.org"))
        builder.put_rule(a_rule(f"churn/{number}", listener=a_listener("other").id), RuleSlots())
        builder.remove_rule(a_rule(f"churn/{number - 1}", listener=a_listener("other").id).id)
        upstreams.update(backend.backend, [("10.0.0.1", number % 60_000 + 1)])
        upstreams.remove(f"ns/b{number - 1}:80")
        tables = builder.finish()
        list(builder.discard())
        while collect(10_000):
            pass
        if number == 500:
            middle = resident()
    assert resident() - middle < 2 * 1024 * 1024
    assert len(upstreams.statistics()) < 200


def resident() -> int:
    """Resident memory of this process in bytes."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


@measures_memory
def test_five_thousand_rules_take_little_memory() -> None:
    gc.collect()
    rules = [prefix_rule(number, f"/team-{number % 50}/application-{number}") for number in range(5000)]
    before = resident()
    tables = build([a_listener()], rules)
    assert resident() - before < 10 * 1024 * 1024
    assert len(tables) == 5000


def test_reasons_are_named_once() -> None:
    assert REASONS[:3] == ("none", "no_listener", "no_rule")
    assert "host_missing" in REASONS
    own = [reason for reason in REASONS[:64] if reason]
    assert len(set(own)) == len(own)


def test_large_tables_grow_in_steps_and_lose_nothing() -> None:
    """Maps of more than 8,192 cells move to larger ones in steps before they are used, and are freed in pieces."""
    kinds = ("PathPrefix", "Exact")

    def wide(number: int, version: int) -> Rule:
        paths = [f"/{version}/{number}/{i}/x" for i in range(40)]
        matches = [a_match(PathMatch(kinds[i % 2], path)) for i, path in enumerate(paths)]
        conditions = (ValueMatch("n", f"{number}"), ValueMatch(f"k{number}", "v"))
        return a_rule(f"apps/r{number}", *matches, a_match(PathMatch("PathPrefix", "/c"), headers=conditions))

    def grown(before: Tables | None, version: int, upstreams: Upstreams) -> tuple[Tables, TableBuilder, int]:
        builder = TableBuilder(upstreams, before, version)
        builder.put_listener(a_listener())
        for number in range(600):
            builder.put_rule(wide(number, version), RuleSlots())
        steps = 0
        while builder.step(1):
            steps += 1
        return builder.finish(), builder, steps

    upstreams = Upstreams()
    tables: Tables | None = None
    for version in range(2):
        before = tables
        tables, builder, steps = grown(before, version, upstreams)
        assert steps > 600
        for number in (0, 1, 299, 598, 599):
            for i in (0, 1, 38, 39):
                found, match, *_ = tables.find(0, "GET", f"/{version}/{number}/{i}/x", "a.org")
                assert (found, match) == (wide(number, version).id, i)
            headers = [("n", f"{number}"), (f"k{number}", "v")]
            assert tables.find(0, "GET", "/c", "a.org", headers)[:2] == (wide(number, version).id, 40)
        assert tables.find(0, "GET", f"/{1 - version}/0/0/x", "a.org")[0] is None
        list(builder.discard())
        if before is not None:
            list(before.discard())
            del before
        while collect(1):
            pass
    assert buried() == 0
