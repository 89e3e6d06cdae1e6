"""Counters that the engine writes and the main process reads, over one memfd."""

import os
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.ext.reactor.counters import (
    BOUNDS,
    CONNECT_SLOT,
    FIRST_HISTOGRAM,
    FIRST_REQUESTS,
    GAUGES,
    LOCAL_RESPONSES_COUNT,
    OVERFLOW_CODE,
    CounterMap,
    map_size,
)

REQUESTS, HISTOGRAMS = 5, FIRST_HISTOGRAM


@pytest.fixture
def memory():
    fd = os.memfd_create("counters")
    os.ftruncate(fd, map_size(REQUESTS, HISTOGRAMS))
    yield fd
    os.close(fd)


@pytest.fixture
def counters(memory):
    return CounterMap(memory, requests=REQUESTS, histograms=HISTOGRAMS)


def test_starts_at_nothing(counters):
    assert set(counters.fixed().values()) == {0}
    assert counters.local_responses() == (0,) * LOCAL_RESPONSES_COUNT
    assert [counters.request_counts(i) for i in range(REQUESTS)] == [{}] * REQUESTS
    assert not any(counters.histogram(CONNECT_SLOT))


def test_requests_are_counted_by_series_and_status(counters):
    for series, status in [(1, 200), (1, 200), (1, 404), (2, 0), (2, 0), (4, 599)]:
        counters.count_request(series, status)
    assert counters.request_counts(1) == {200: 2, 404: 1}
    assert counters.request_counts(2) == {0: 2}
    assert counters.request_counts(4) == {599: 1}


def test_a_seventeenth_status_code_counts_as_overflow(counters):
    for status in range(200, 220):
        counters.count_request(1, status)
    counts = counters.request_counts(1)
    assert {counts[status] for status in range(200, 215)} == {1}
    assert counts[OVERFLOW_CODE] == 5
    assert sum(counts.values()) == 20


def test_calls_are_counted_beside_requests_and_histograms(counters):
    """Their series are behind those."""
    counters.observe(HISTOGRAMS - 1, 1)
    for series, status in [(0, 2), (REQUESTS - 1, 0), (REQUESTS - 1, 0), (REQUESTS, 14)]:
        counters.count_call(series, status)
    assert counters.used_calls() == [(0, 2, 1), (0, 14, 1), (REQUESTS - 1, 0, 2)]
    assert counters.used_requests() == []
    assert counters.histogram(HISTOGRAMS - 1)[:2] == (1, 1)


def test_traffic_is_counted_beside_calls(counters):
    """Its series are the last part of the memory."""
    counters.count_call(REQUESTS - 1, 0)
    for series, what, by in [(0, 2, 5), (REQUESTS - 1, 1, 1), (REQUESTS - 1, 1, 1), (REQUESTS, 3, 2**53)]:
        counters.count_traffic(series, what, by)
    assert counters.used_traffic() == [(0, 2, 5), (0, 3, 2**53), (REQUESTS - 1, 1, 2)]
    assert counters.used_calls() == [(REQUESTS - 1, 0, 1)]


def test_what_has_no_slot_counts_as_other(counters):
    counters.count_request(REQUESTS, 200)
    counters.observe(HISTOGRAMS, 1)
    assert counters.request_counts(0) == {200: 1}
    assert counters.histogram(0)[:2] == (1, 1)


@given(st.integers(0, 2**40))
def test_a_measurement_falls_into_the_first_bucket_that_holds_it(microseconds):
    fd = os.memfd_create("counters")
    os.ftruncate(fd, map_size(FIRST_REQUESTS, FIRST_HISTOGRAM))
    counters = CounterMap(fd, requests=FIRST_REQUESTS, histograms=FIRST_HISTOGRAM)
    os.close(fd)
    counters.observe(CONNECT_SLOT, microseconds)
    total, *buckets = counters.histogram(CONNECT_SLOT)
    assert total == microseconds
    assert buckets.index(1) == bisect_left([round(bound * 1e6) for bound in BOUNDS], microseconds)
    assert sum(buckets) == 1


def test_bounds_take_the_value_that_equals_them(counters):
    for i, bound in enumerate(BOUNDS):
        counters.observe(3, round(bound * 1e6))
        assert counters.histogram(3)[1 + i] == 1


def test_two_maps_see_the_same_words(memory, counters):
    reader = CounterMap(memory, requests=REQUESTS, histograms=HISTOGRAMS)
    counters.count("turns", 3)
    counters.count_request(REQUESTS - 1, 200)
    counters.observe(HISTOGRAMS - 1, 50)
    del counters
    assert reader.fixed()["turns"] == 3
    assert reader.request_counts(REQUESTS - 1) == {200: 1}
    assert reader.histogram(HISTOGRAMS - 1)[:2] == (50, 1)


def test_only_gauges_are_zeroed(counters):
    for name in counters.fixed():
        counters.count(name, 7)
    counters.zero_gauges()
    assert {name for name, value in counters.fixed().items() if value == 0} == GAUGES


def test_memory_that_is_too_small_is_refused(memory):
    with pytest.raises(ValueError, match="the counters need"):
        CounterMap(memory, requests=10_000, histograms=HISTOGRAMS)
    with pytest.raises(ValueError, match="no room for `other`"):
        CounterMap(memory, requests=FIRST_REQUESTS - 1, histograms=HISTOGRAMS)


@pytest.mark.parametrize("slot", [-1, REQUESTS])
def test_slots_that_do_not_exist_cannot_be_read(counters, slot):
    with pytest.raises(IndexError):
        counters.request_counts(slot)
    with pytest.raises(IndexError):
        counters.histogram(slot)


def test_a_worst_value_only_rises(counters):
    for value in (3, 9, 5):
        counters.raise_to("worst_install_step", value)
    assert counters.fixed()["worst_install_step"] == 9
    counters.zero_gauges()
    assert counters.fixed()["worst_install_step"] == 0
