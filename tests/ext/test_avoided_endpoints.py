"""A choice examines a limited number of endpoints, even if a backend has many, and finds the usable ones."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.ext.routing.balancer import Selector
from fastroute.ext.routing.tables import Upstreams

MANY = 1500
FEW = 64  # endpoints that are all examined
STEPS = 4 + 3 * FEW + 2 * FEW  # endpoints that are set apart, pairs, endpoints set apart, those of them; any endpoint


def label(port: int) -> str:
    return f"10.0.0.1:{port}"


def listed(count: int, upstreams: Upstreams, backend: str = "ns/b:80") -> Selector:
    upstreams.update(backend, [("10.0.0.1", port) for port in range(1, count + 1)])
    return Selector(upstreams, backend, 5)


def failed(count: int, good: int = 0) -> Selector:
    """All but the first `good` endpoints have failed at 0."""
    selector = listed(count, Upstreams())
    for port in range(good + 1, count + 1):
        selector.fail(label(port), 0)
    return selector


def steps(selector: Selector, now: int, usable: bool = False) -> int:
    before = selector.examined
    selector.choose(now=now, usable=usable)
    return selector.examined - before


@pytest.mark.parametrize("good", [0, 1, 2, 500])
@pytest.mark.parametrize("usable", [False, True])
def test_a_choice_has_a_limited_number_of_steps(good: int, usable: bool) -> None:
    """Includes the first choices, which set avoided endpoints apart, and choices when none is avoided any more."""
    selector = failed(MANY, good)
    assert max(steps(selector, now, usable) for now in (10, 5000) for _ in range(300)) <= STEPS


def test_choices_have_few_steps_once_the_avoided_ones_are_known() -> None:
    selector = failed(MANY, 10)
    for _ in range(100):
        selector.choose(now=10)
    assert max(steps(selector, 10) for _ in range(300)) <= 16


def test_what_failed_in_another_backend_has_the_same_limit() -> None:
    upstreams = Upstreams()
    selector, other = listed(MANY, upstreams, "ns/a:80"), listed(MANY, upstreams, "ns/b:80")
    for port in range(1, MANY + 1):
        selector.fail(label(port), 0)
    assert max(steps(other, 10) for _ in range(100)) <= STEPS
    selector.succeed(label(700))
    assert label(700) in {other.choose(now=10) for _ in range(300)}


def test_the_few_usable_ones_of_many_share_evenly() -> None:
    selector = failed(MANY, 4)
    for _ in range(MANY // FEW * 2):
        selector.choose(now=10)
    counted = Counter(selector.choose(now=10) for _ in range(4000))
    assert len(counted) == 4
    assert all(850 < count < 1150 for count in counted.values())


def test_those_whose_time_is_over_are_chosen_again() -> None:
    selector = failed(MANY)
    assert {selector.choose(now=10, usable=True) for _ in range(100)} == {None}
    assert len({selector.choose(now=10) for _ in range(100)}) > 50, "any of them if all are avoided"
    chosen = [selector.choose(now=2000, usable=True) for _ in range(1000)]
    assert None not in chosen
    assert len(set(chosen)) > 500


def test_the_only_usable_one_of_many_is_found_and_kept() -> None:
    selector = failed(MANY)
    for _ in range(100):
        selector.choose(now=10)
    selector.succeed(label(1000))
    while selector.choose(now=10, usable=True) is None:
        pass
    assert {selector.choose(now=10) for _ in range(100)} == {label(1000)}


def test_an_endpoint_that_a_request_tests_is_used_at_once_if_the_test_succeeds() -> None:
    selector = failed(MANY)
    for _ in range(100):
        selector.choose(now=10)
    selector.succeed(label(1000))
    selector.fail(label(1000), 10)
    while (tested := selector.choose(now=2000, usable=True)) is None:
        pass
    for _ in range(100):
        selector.choose(now=2001)
    selector.succeed(tested)
    assert tested in {selector.choose(now=2001, usable=True) for _ in range(MANY)}


def test_an_update_keeps_the_avoided_ones_apart() -> None:
    upstreams = Upstreams()
    selector = listed(MANY, upstreams)
    for port in range(2, MANY + 1):
        selector.fail(label(port), 0)
    listed(MANY + 1, upstreams)
    assert {selector.choose(now=10) for _ in range(100)} == {label(1), label(MANY + 1)}


ENDPOINTS = st.integers(1, 66)
EVENTS = st.lists(st.tuples(st.sampled_from(("fail", "succeed", "choose", "usable", "wait")), ENDPOINTS), max_size=150)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, FEW), EVENTS, st.lists(ENDPOINTS, max_size=3, unique=True))
def test_a_usable_one_of_few_is_always_found(count: int, events: list[tuple[str, int]], tried: list[int]) -> None:
    """Compared with a plain dictionary of the times until which the endpoints are avoided."""
    selector = listed(count, Upstreams())
    names = [label(port) for port in range(1, count + 1)]
    skipped = [label(port) for port in tried if port <= count]
    until = dict.fromkeys(names, 0)
    failing: set[str] = set()
    now = 1
    for event, number in events:
        name = names[number % count]
        left = {other for other in names if until[other] <= now and other not in skipped}
        match event:
            case "fail":
                until[name] = selector.fail(name, now)
                failing.add(name)
            case "succeed":
                selector.succeed(name)
                until[name] = 0
                failing.discard(name)
            case "wait":
                now += 20 * number
            case _:
                chosen = selector.choose(skipped, now, usable=event == "usable")
                if left:
                    assert chosen in left
                    if chosen in failing:
                        until[chosen] = now + 1000  # the request tests it
                else:
                    assert (chosen is None) == (event == "usable" or len(skipped) == count)
