"""Failures of endpoints in the main process: what is kept, what is forgotten, which series there are."""

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.publication import FailedEndpoint
from fastroute.snapshot import Endpoint
from fastroute.supervisor import failures
from fastroute.supervisor.failures import Failures

ONE, TWO = Endpoint("10.0.0.1", 80), Endpoint("10.0.0.2", 80)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def serving(*ids: str, series: int = 10) -> tuple[Failures, Clock]:
    clock = Clock()
    one = Failures(series, clock)
    one.serve(frozenset(ids))
    return one, clock


def failed(backend: str, endpoint: Endpoint | None = ONE, **reasons: int) -> FailedEndpoint:
    return FailedEndpoint(backend, endpoint, reasons or {"status": 1})


def series(one: Failures) -> dict[tuple[str, str], float]:
    return {(sample.labels["backend"], sample.labels["reason"]): sample.value for sample in one.family().samples}


def test_failures_are_added_by_endpoint_and_by_backend() -> None:
    one, _ = serving("a/x:80", "a/x:80/@infra/edge", "a/x:53/udp")
    one.note(
        [failed("a/x:80", status=2), failed("a/x:80", TWO, upstream_closed=1), failed("a/x:53/udp", connect_failed=1)]
    )
    one.note([failed("a/x:80/@infra/edge", status=1)])
    found = one.seen()
    assert {key: (each.total, dict(each.reasons)) for key, each in found.items()} == {
        ("a/x:80", ONE): (3, {"status": 3}),
        ("a/x:80", TWO): (1, {"upstream_closed": 1}),
        ("a/x:53/udp", ONE): (1, {"connect_failed": 1}),
    }
    assert series(one) == {
        ("a/x:80", "status"): 3,
        ("a/x:80", "upstream_closed"): 1,
        ("a/x:53", "connect_failed"): 1,
    }


def test_the_last_minute() -> None:
    one, clock = serving("a/x:80")
    recent = []
    for _ in range(4):
        one.note([failed("a/x:80", status=10)])
        recent.append(one.seen()["a/x:80", ONE].recent)
        clock.now += 30
    assert recent == [10, 20, 20, 20]
    seen = one.seen()["a/x:80", ONE]
    assert (seen.recent, seen.total) == (10, 40)
    clock.now += 1000
    assert one.seen()["a/x:80", ONE].recent == 0
    one.note([failed("a/x:80", status=1)])
    assert one.seen()["a/x:80", ONE].recent == 1


def test_workers_may_write_anything() -> None:
    one, _ = serving("a/x:80")
    one.note([failed("other/y:80"), failed("a/x:80", no_such_reason=7), FailedEndpoint("a/x:80", ONE, {})])
    assert (one.seen(), series(one)) == ({}, {})


def test_a_backend_that_is_gone_is_forgotten() -> None:
    one, _ = serving("a/x:80", "a/y:80")
    one.note([failed("a/x:80"), failed("a/y:80")])
    assert len(series(one)) == 2
    one.serve(frozenset(("a/y:80",)))
    assert series(one) == {("a/y:80", "status"): 1}
    assert list(one.seen()) == [("a/y:80", ONE)]


@pytest.mark.parametrize("after", ["a/x:80/@infra/new", "a/x:80", "a/x:80/h2/@infra/old", "a/x:80/h2"])
def test_a_backend_that_is_served_in_another_way_keeps_its_counter(after: str) -> None:
    one, _ = serving("a/x:80/@infra/old")
    one.note([failed("a/x:80/@infra/old", status=3)])
    one.serve({after})
    assert series(one) == {("a/x:80", "status"): 3}
    one.note([failed(after)])
    assert series(one) == {("a/x:80", "status"): 4}


@pytest.mark.parametrize("after", ["a/x:80/@infra/new", "a/x:80"])
def test_an_endpoint_keeps_its_failures_when_the_certificate_changes(after: str) -> None:
    """Also those that a worker reports late."""
    one, _ = serving("a/x:80/@infra/old")
    one.note([failed("a/x:80/@infra/old", status=3)])
    one.serve({after})
    assert series(one) == {("a/x:80", "status"): 3}
    one.note([failed("a/x:80/@infra/old"), failed(after)])
    assert {key: each.total for key, each in one.seen().items()} == {("a/x:80", ONE): 5}


def test_it_is_forgotten_also_if_nobody_reads_the_metrics() -> None:
    one, clock = serving("a/x:80", "a/y:80")
    one.note([failed("a/x:80")])
    one.serve(frozenset(("a/y:80",)))
    clock.now += 61
    one.note([failed("a/y:80")])
    assert list(one.seen()) == [("a/y:80", ONE)]


def test_only_the_endpoints_that_failed_last_are_kept(monkeypatch) -> None:
    monkeypatch.setattr(failures, "MOST", 2)
    one, _ = serving("a/x:80")
    three = Endpoint("10.0.0.3", 80)
    for endpoint in (ONE, TWO, ONE, three):
        one.note([failed("a/x:80", endpoint)])
    assert [endpoint for _, endpoint in one.seen()] == [ONE, three]
    assert series(one) == {("a/x:80", "status"): 4}


def test_a_namespace_with_very_many_failed_endpoints_leaves_shares_for_the_others(monkeypatch) -> None:
    monkeypatch.setattr(failures, "MOST", 10)
    one, _ = serving("a/x:80", "b/x:80", "c/x:80")
    one.note([failed("b/x:80", ONE), failed("c/x:80", ONE)])
    one.note([failed("a/x:80", Endpoint("10.0.1.1", port)) for port in range(1, 100)])
    found = {(backend, endpoint.port) for backend, endpoint in one.seen()}
    assert found == {("b/x:80", 80), ("c/x:80", 80)} | {("a/x:80", port) for port in range(92, 100)}
    one.note([failed("b/x:80", Endpoint("10.0.1.1", port)) for port in range(1, 100)])
    assert sorted(Counter(backend for backend, _ in one.seen()).values()) == [1, 4, 5]


def test_series_are_limited_and_other_never_decreases() -> None:
    one, _ = serving("a/x:80", "a/y:80", "a/z:80", series=2)
    one.note([failed("a/x:80"), failed("a/y:80"), failed("a/z:80", status=3), failed("", None, status=5)])
    assert series(one) == {("a/x:80", "status"): 1, ("a/y:80", "status"): 1, ("other", "status"): 8}
    one.serve(frozenset(("a/x:80",)))
    assert series(one) == {("a/x:80", "status"): 1, ("other", "status"): 8}
    one.serve(frozenset(("a/x:80", "a/z:80")))
    one.note([failed("a/z:80")])
    assert series(one) == {("a/x:80", "status"): 1, ("a/z:80", "status"): 1, ("other", "status"): 8}


def test_a_series_that_gets_a_place_later_starts_at_zero() -> None:
    one, _ = serving("a/x:80", "a/y:80", series=1)
    one.note([failed("a/x:80"), failed("a/y:80", status=3)])
    assert series(one) == {("a/x:80", "status"): 1, ("other", "status"): 3}
    one.serve(frozenset(("a/y:80",)))
    assert series(one) == {("a/y:80", "status"): 0, ("other", "status"): 3}
    one.note([failed("a/y:80", status=2)])
    assert series(one) == {("a/y:80", "status"): 2, ("other", "status"): 3}


BACKENDS = ("a/x:80", "a/y:80", "b/x:80", "c/x:80")
SERVED = st.sets(st.sampled_from(BACKENDS), min_size=1).map(frozenset)
REPORT = st.tuples(st.sampled_from((*BACKENDS, "")), st.sampled_from(("status", "upstream_closed")), st.integers(1, 5))
STEPS = st.lists(REPORT | SERVED | st.none(), min_size=5, max_size=40)


@settings(max_examples=300)
@given(st.integers(1, 3), STEPS)
def test_no_series_ever_decreases_and_none_misses_a_failure(bound: int, steps: list[Any]) -> None:
    """`steps`: a report, the backends that are served from now on, or a scrape (None)."""
    one, _ = serving(*BACKENDS, series=bound)
    seen: dict[tuple[str, str], float] = {}
    noted, ended = 0, False
    for step in (*steps, None):
        if step is None:
            now = series(one)
            assert {cell: now[cell] for cell in seen if now.get(cell, math.inf) < seen[cell]} == {}
            assert {cell for cell in seen if cell[0] == "other"} <= now.keys()
            assert ended or sum(now.values()) == noted
            seen = now
        elif isinstance(step, frozenset):
            one.serve(step)
            ended = ended or step != set(BACKENDS)
            seen = {cell: count for cell, count in seen.items() if cell[0] in {*step, "other"}}
        else:
            backend, reason, count = step
            one.note([failed(backend, ONE if backend else None, **{reason: count})])
            noted += count
