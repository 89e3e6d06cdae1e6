"""Readings of the counters, and what traffic they show."""

import pytest
import trio
from supervisor.published import Clock, rule

from fastroute.ext.reactor.counters import TRAFFIC
from fastroute.supervisor.history import KEPT, PERIOD, History
from fastroute.supervisor.memory import counter_memory
from fastroute.supervisor.slots import SlotBook
from fastroute.view.traffic import NO_TRAFFIC


@pytest.fixture
def maps():
    memories = [counter_memory(10) for _ in range(2)]
    yield [memory.counters for memory in memories]
    for memory in memories:
        memory.close()


def history_of(maps):
    clock, book = Clock(), SlotBook(maps[0].requests, maps[0].histograms, *(lambda slot: None,) * 3)
    return History(maps, book, clock), book, clock


def test_workers_are_summed_since_the_oldest_reading(maps):
    history, book, clock = history_of(maps)
    slots = book.assign(rule("a/one", "a/x:80"))
    assert history.traffic() == NO_TRAFFIC
    maps[0].count_request(slots.targets[0], 200)
    history.note(clock.now)
    assert history.traffic() == NO_TRAFFIC  # no time has passed
    for one in maps:
        one.count_request(slots.targets[0], 200)
        one.count_request(slots.targets[0], 503)
        one.count_call(slots.targets[0], 14)
        one.observe(slots.duration, 1500)
        one.count_traffic(slots.targets[0], TRAFFIC["connections"], 3)
        one.count_traffic(slots.targets[0], TRAFFIC["sent"], 999)
    clock.now = PERIOD - 0.1
    assert history.traffic() == NO_TRAFFIC  # a rate of so short a time would be far off
    clock.now = PERIOD
    traffic = history.traffic()
    flow = traffic.routes["HTTPRoute", "a/one"]
    assert (traffic.seconds, flow.total, flow.failed, sum(flow.buckets)) == (PERIOD, 10, 4, 2)
    assert traffic.shares["HTTPRoute", "a/one", "0"] == {"a/x:80": 10}


def test_the_oldest_of_the_last_readings_counts(maps):
    history, _, clock = history_of(maps)
    for number in range(10):
        clock.now = number * PERIOD
        history.note(clock.now)
        assert history.traffic().seconds == min(number, KEPT - 1) * PERIOD


async def test_it_reads_again_and_again(maps, autojump_clock, monkeypatch):
    history, _, _ = history_of(maps)
    noted = []

    async def here(note, now):
        """The clock jumps while a thread runs."""
        noted.append(trio.current_time())
        return note(now)

    monkeypatch.setattr(trio.to_thread, "run_sync", here)
    with trio.move_on_after(10.5 * PERIOD):
        await history.run()
    assert len(history._readings) == KEPT
    assert len(noted) == 11
    assert noted == [noted[0] + number * PERIOD for number in range(11)]
