"""Weights, compared with a model of twenty lines; the shares of endpoints; avoidance of failed endpoints over time."""

import time
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from ipaddress import IPv6Address
from math import ceil, gcd

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.ext.routing.backends import Listing
from fastroute.ext.routing.balancer import Selector, WeightedChoice
from fastroute.ext.routing.tables import Upstreams
from fastroute.snapshot import Endpoint

WEIGHTS = st.lists(st.integers(0, 12) | st.sampled_from((0, 1, 100, 1_000_000)), min_size=1, max_size=6)
RANDOM = st.integers(0, 2**64 - 1)


class PlainChoice:
    """The k-th pick of backend i has the position (2k + 1) / (2 * w_i); the lowest position left is picked next."""

    def __init__(self, weights: Sequence[int], theta: Fraction) -> None:
        divisor = gcd(*weights) or 1
        self.weights = [weight // divisor for weight in weights]
        self.taken = [0] * len(weights)
        while (best := self.best()) >= 0 and self.position(best) < theta:
            self.taken[best] += 1

    def position(self, i: int) -> Fraction:
        return Fraction(2 * self.taken[i] + 1, 2 * self.weights[i])

    def best(self) -> int:
        left = [i for i, weight in enumerate(self.weights) if self.taken[i] < weight]
        return min(left, key=self.position, default=-1)

    def pick(self) -> int:
        if self.best() < 0:
            self.taken = [0] * len(self.weights)
        best = self.best()
        if best >= 0:
            self.taken[best] += 1
        return best


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 12) | st.just(40), min_size=1, max_size=5), RANDOM)
def test_picks_are_the_plain_ones_from_any_phase(weights: list[int], random: int) -> None:
    plain = PlainChoice(weights, Fraction(random >> 32, 2**32))
    choice = WeightedChoice(weights, random)
    assert choice.picks(2 * sum(weights) + 3) == [plain.pick() for _ in range(2 * sum(weights) + 3)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 1_000_000), min_size=1, max_size=16), st.integers(1, 300))
def test_large_weights_are_picked_as_plainly(weights: list[int], count: int) -> None:
    plain = PlainChoice(weights, Fraction(0))
    assert WeightedChoice(weights).picks(count) == [plain.pick() for _ in range(count)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 1_000_000), min_size=1, max_size=8), RANDOM)
def test_a_large_choice_begins_at_its_cut(weights: list[int], random: int) -> None:
    """Positions below theta count as picked: (2k + 1) / (2w) < theta for k < w * theta - 1/2."""
    theta = Fraction(random >> 32, 2**32)
    divisor = gcd(*weights) or 1
    before = [max(0, ceil(weight // divisor * theta - Fraction(1, 2))) for weight in weights]
    assert WeightedChoice(weights, random).taken == tuple(before)


@settings(max_examples=200, deadline=None)
@given(WEIGHTS.filter(lambda weights: 0 < sum(weights) // (gcd(*weights) or 1) < 5000), RANDOM, st.integers(0, 50))
def test_every_window_of_a_period_is_exact(weights: list[int], random: int, start: int) -> None:
    """This holds wherever the window begins, because the picks repeat with the period."""
    divisor = gcd(*weights)
    shares = [weight // divisor for weight in weights]
    period = sum(shares)
    choice = WeightedChoice(weights, random)
    picked = choice.picks(start + period)[start:]
    counted = Counter(picked)
    assert [counted[i] for i in range(len(weights))] == shares


def test_small_weights_are_spread_evenly() -> None:
    assert WeightedChoice([7, 3]).picks(10) == [0, 1, 0, 0, 0, 1, 0, 0, 1, 0]
    assert [i for i, pick in enumerate(WeightedChoice([9, 1]).picks(40)) if pick == 1] == [5, 15, 25, 35]


def test_a_single_backend_and_none() -> None:
    assert WeightedChoice([5], 2**63).picks(3) == [0, 0, 0]
    assert WeightedChoice([]).pick() == -1
    assert WeightedChoice([0, 0], 2**64 - 1).picks(2) == [-1, -1]


def test_a_backend_of_weight_zero_gets_nothing() -> None:
    assert 1 not in WeightedChoice([3, 0, 1], 2**62).picks(100)


def test_phases_differ() -> None:
    phases = {tuple(WeightedChoice([7, 3], number << 58).picks(10)) for number in range(64)}
    assert len(phases) == 9  # two of the 10 positions are equal


# --- endpoints

ADDRESSES = ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4")


def a_selector(count: int = 4, seed: int = 7) -> Selector:
    upstreams = Upstreams()
    upstreams.update("ns/b:80", [(address, 80) for address in ADDRESSES[:count]])
    return Selector(upstreams, "ns/b:80", seed)


def labels(count: int = 4) -> list[str]:
    return [f"{address}:80" for address in ADDRESSES[:count]]


def test_all_endpoints_get_their_part() -> None:
    selector = a_selector()
    counted = Counter(selector.choose() for _ in range(4000))
    assert sorted(counted) == labels()
    assert all(850 < count < 1150 for count in counted.values())


def test_the_less_busy_of_two_wins() -> None:
    selector = a_selector()
    selector.occupy("10.0.0.1:80", 1)
    counted = Counter(selector.choose() for _ in range(2000))
    assert "10.0.0.1:80" not in counted  # two different endpoints are drawn, and the other one is less busy
    selector.occupy("10.0.0.2:80", 1)
    counted = Counter(selector.choose() for _ in range(6000))
    assert 350 < counted["10.0.0.1:80"] < 650  # half of the draws that contain both busy endpoints


def test_one_endpoint_and_none() -> None:
    assert a_selector(1).choose() == "10.0.0.1:80"
    assert a_selector(0).choose() is None
    assert a_selector(1).choose(tried=["10.0.0.1:80"]) is None


@pytest.mark.parametrize("count", [2, 3, 4])
def test_what_was_tried_is_not_tried_again(count: int) -> None:
    selector = a_selector(count)
    for left in labels(count):
        tried = [label for label in labels(count) if label != left]
        assert {selector.choose(tried) for _ in range(50)} == {left}
    assert selector.choose(labels(count)) is None


def test_a_failed_endpoint_is_avoided_and_then_probed_by_one() -> None:
    selector = a_selector()
    until = selector.fail("10.0.0.1:80", 10_000)
    assert 10_750 <= until < 11_250
    assert {selector.choose(now=until - 1) for _ in range(200)} == set(labels()[1:])
    chosen = [selector.choose(now=until) for _ in range(200)]
    assert chosen.count("10.0.0.1:80") == 1
    assert "10.0.0.1:80" not in {selector.choose(now=until + 999) for _ in range(200)}
    assert [selector.choose(now=until + 1000) for _ in range(200)].count("10.0.0.1:80") == 1
    selector.succeed("10.0.0.1:80")
    assert [selector.choose(now=until + 1001) for _ in range(200)].count("10.0.0.1:80") > 20


def test_avoidance_grows_to_thirty_seconds() -> None:
    selector = a_selector(1)
    now = 1_000_000
    for expected in (1, 2, 4, 8, 16, 30, 30):
        until = selector.fail("10.0.0.1:80", now)
        assert 750 * expected <= until - now < 1250 * expected
        assert selector.choose(now=until) == "10.0.0.1:80"  # the probe
        now = until + 100
    selector.succeed("10.0.0.1:80")
    assert selector.fail("10.0.0.1:80", now) - now < 1250


def test_failures_of_requests_that_were_on_their_way_count_once() -> None:
    selector = a_selector()
    until = selector.fail("10.0.0.1:80", 10_000)
    for _ in range(50):
        assert selector.fail("10.0.0.1:80", 10_010) == until


def test_avoided_ones_are_used_when_there_is_nothing_else() -> None:
    selector = a_selector(2)
    selector.fail("10.0.0.1:80", 0)
    assert selector.choose(tried=["10.0.0.2:80"], now=10) == "10.0.0.1:80"
    selector.fail("10.0.0.2:80", 0)
    assert {selector.choose(now=10) for _ in range(100)} == {"10.0.0.1:80", "10.0.0.2:80"}


def test_few_good_among_many_bad_share_evenly() -> None:
    upstreams = Upstreams()
    upstreams.update("ns/b:80", [("10.0.0.1", port) for port in range(1, 101)])
    selector = Selector(upstreams, "ns/b:80", 3)
    for port in range(5, 101):
        selector.fail(f"10.0.0.1:{port}", 0)
    counted = Counter(selector.choose(now=10) for _ in range(4000))
    assert len(counted) == 4
    assert all(850 < count < 1150 for count in counted.values())


# --- backends and endpoints


def test_an_endpoint_is_one_for_all_backends() -> None:
    upstreams = Upstreams()
    upstreams.update("ns/a:80", [("10.0.0.1", 80), ("::1", 80)])
    upstreams.update("ns/b:80", [("0:0::1", 80)])
    Selector(upstreams, "ns/a:80").fail("[::1]:80", 0)
    assert upstreams.statistics() == {
        "ns/a:80": (("10.0.0.1:80", 0, 0), ("[::1]:80", 0, 1)),
        "ns/b:80": (("[::1]:80", 0, 1),),
    }


def test_health_outlives_an_update_that_keeps_the_endpoint() -> None:
    upstreams = Upstreams()
    upstreams.update("ns/a:80", [("10.0.0.1", 80)])
    Selector(upstreams, "ns/a:80").fail("10.0.0.1:80", 0)
    upstreams.update("ns/a:80", [("10.0.0.2", 80), ("10.0.0.1", 80), ("10.0.0.1", 80)])
    assert upstreams.statistics() == {"ns/a:80": (("10.0.0.2:80", 0, 0), ("10.0.0.1:80", 0, 1))}
    upstreams.update("ns/a:80", [])
    upstreams.update("ns/a:80", [("10.0.0.1", 80)])
    assert upstreams.statistics() == {"ns/a:80": (("10.0.0.1:80", 0, 0),)}


def test_the_old_endpoints_leave_even_if_the_steps_are_not_finished() -> None:
    """As when a worker ends during an installation."""
    upstreams = Upstreams()
    old = [(f"10.0.1.{number}", 80) for number in range(100)]
    upstreams.update("ns/a:80", old)
    for address, _ in old:
        Selector(upstreams, "ns/a:80").fail(f"{address}:80", 0)
    listing = Listing(upstreams, "ns/a:80")
    listing.add([Endpoint("10.0.0.2", 80)])
    steps = listing.replacing()
    while len(upstreams.statistics()["ns/a:80"]) > 1:
        next(steps)
    steps.close()
    upstreams.update("ns/a:80", old)
    assert {failures for _, _, failures in upstreams.statistics()["ns/a:80"]} == {0}, "they are new ones"


@pytest.mark.parametrize("wrong", [("10.0.0.256", 80), ("host", 80), ("10.0.0.1", 0), ("10.0.0.1", 65536), ("::g", 1)])
def test_what_is_no_endpoint_changes_nothing(wrong: tuple[str, int]) -> None:
    upstreams = Upstreams()
    upstreams.update("ns/a:80", [("10.0.0.1", 80)])
    with pytest.raises(ValueError, match="no endpoint"):
        upstreams.update("ns/a:80", [("10.0.0.2", 80), wrong])
    assert upstreams.statistics() == {"ns/a:80": (("10.0.0.1:80", 0, 0),)}


def test_removed_backends_are_forgotten_once_nobody_names_them() -> None:
    upstreams = Upstreams()
    upstreams.update("ns/a:80", [("10.0.0.1", 80)])
    selector = Selector(upstreams, "ns/a:80")
    upstreams.remove("ns/a:80")
    upstreams.remove("ns/never:80")
    assert selector.choose() is None
    assert upstreams.statistics() == {"ns/a:80": ()}
    del selector
    list(upstreams.sweeping())
    assert upstreams.statistics() == {}


def test_addresses_with_the_same_hash_are_installed_as_fast_as_others() -> None:
    """Anyone can compute addresses with the same identity. They are listed all the same, each once."""

    def seconds(endpoints: list[tuple[str, int]]) -> float:
        upstreams = Upstreams()
        began = time.thread_time()
        upstreams.update("ns/b:80", endpoints)
        took = time.thread_time() - began
        assert len(upstreams.statistics()["ns/b:80"]) == len(set(endpoints))
        return took

    count = 20_000
    usual = [(str(IPv6Address(bytes(range(8)) + number.to_bytes(8, "little"))), 80) for number in range(count)]
    equal = [(str(IPv6Address(colliding(number))), 80) for number in range(count)]
    assert seconds(equal + equal[:100]) < 5 * seconds(usual + usual[:100])


def colliding(number: int) -> bytes:
    """An IPv6 address with the same identity for every number: its second word cancels the hash of the first."""
    seed = 0x66617374
    secret = ((seed << 32 | seed >> 32) & MASK) | 1
    first = (number << 16 | 0x20) & MASK
    product = (first ^ seed ^ (18 * 0x9E3779B97F4A7C15 & MASK)) * secret
    second = (product >> 64 ^ product) & MASK
    return first.to_bytes(8, "little") + second.to_bytes(8, "little")


MASK = (1 << 64) - 1
