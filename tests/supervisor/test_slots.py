"""Which slot each series uses, as rules are added, changed and removed."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from supervisor.published import Clock, listener, rule

from fastroute.ext.reactor.counters import FIRST_HISTOGRAM, FIRST_REQUESTS, OTHER_SLOT
from fastroute.supervisor.slots import REST, DurationSeries, RequestSeries, Shelf, SlotBook


def book(requests=100, histograms=100):
    return SlotBook(requests, histograms, *(lambda slot: None,) * 3)


def series(route, backend):
    return RequestSeries("a/gw", "http", route, "HTTPRoute", "0", backend)


def test_every_backend_of_a_rule_has_a_slot_of_its_own():
    pages = book()
    slots = pages.assign(rule("a/one", "a/x:80", "a/y:80"))
    assert len({*slots.targets, slots.local, OTHER_SLOT}) == 4
    assert slots.duration >= FIRST_HISTOGRAM
    owners = pages.requests.owners
    assert [owners[slot] for slot in (slots.local, *slots.targets)] == [
        series("a/one", ""),
        series("a/one", "a/x:80"),
        series("a/one", "a/y:80"),
    ]
    assert pages.durations.owners[slots.duration] == DurationSeries("a/gw", "a/one", "HTTPRoute")


def test_a_rule_on_two_addresses_is_one_series():
    pages = book()
    assert pages.assign(rule("a/one", "a/x:80")) == pages.assign(rule("a/one", "a/x:80", listener="a/gw/http@::1"))


def test_a_backend_named_twice_in_a_rule_counts_once():
    slots = book().assign(rule("a/one", "a/x:80", "a/x:80"))
    assert slots.targets[0] == slots.targets[1]


def test_a_rule_that_changes_keeps_what_it_still_has():
    pages = book()
    before = pages.assign(rule("a/one", "a/x:80", "a/y:80"))
    after = pages.assign(rule("a/one", "a/y:80", "a/z:80"))
    assert after.local == before.local
    assert after.targets[0] == before.targets[1]
    assert after.targets[1] not in before.targets
    assert pages.slots(rule("a/one")) == after


def test_a_rule_that_comes_back_counts_on():
    pages = book()
    before = pages.assign(rule("a/one", "a/x:80"))
    pages.release(rule("a/one").id)
    pages.assign(rule("a/two", "a/x:80"))
    assert pages.assign(rule("a/one", "a/x:80")) == before


def test_releasing_what_is_not_there_is_nothing():
    book().release("nobody")


def test_without_a_slot_left_a_series_is_other():
    pages = book(requests=FIRST_REQUESTS + 2, histograms=FIRST_HISTOGRAM + 1)
    assert OTHER_SLOT not in pages.assign(rule("a/one", "a/x:80")).targets
    slots = pages.assign(rule("a/two", "a/x:80", "a/y:80"))
    assert (slots.local, slots.targets, slots.duration) == (OTHER_SLOT, (OTHER_SLOT, OTHER_SLOT), OTHER_SLOT)
    pages.release(rule("a/two").id)
    pages.release(rule("a/one").id)


def test_a_slot_is_given_to_another_only_after_its_rest_and_the_oldest_first():
    clock, reused = Clock(), []
    shelf = Shelf(1, 3, reused.append, clock)
    first, second = shelf.take("a"), shelf.take("b")
    shelf.give_back("b")
    clock.now = 1.0
    shelf.give_back("a")
    assert shelf.take("c") == OTHER_SLOT
    clock.now = REST
    assert shelf.take("c") == second
    assert shelf.take("d") == OTHER_SLOT
    clock.now = REST + 1.0
    assert shelf.take("d") == first
    assert reused == [second, first]
    assert shelf.owners == {first: "d", second: "c"}


def test_a_slot_that_is_used_again_does_not_rest():
    clock = Clock()
    shelf = Shelf(1, 2, pytest.fail, clock)
    slot = shelf.take("a")
    shelf.give_back("a")
    assert shelf.take("a") == slot
    clock.now = 2 * REST
    assert shelf.take("b") == OTHER_SLOT


def test_a_namespace_with_very_many_series_leaves_slots_for_the_others():
    pages = book(requests=FIRST_REQUESTS + 100, histograms=2 * (FIRST_HISTOGRAM + 100))
    of_one = [pages.assign(rule(f"a-team/r{number}", "a/x:80")) for number in range(200)]
    assert sum(slots.duration != OTHER_SLOT for slots in of_one) == 75
    slots = pages.assign(rule("z-team/r", "a/x:80"))
    assert OTHER_SLOT not in (slots.local, *slots.targets, slots.duration)
    for number in range(200):
        pages.release(rule(f"a-team/r{number}").id)
    of_another = [pages.assign(rule(f"b-team/r{number}", "a/x:80")) for number in range(200)]
    assert sum(slots.duration != OTHER_SLOT for slots in of_another) == 24, "what is free, until the others have rested"


def test_a_listener_has_a_slot_apart_from_those_of_its_rules():
    pages = book()
    slot = pages.assign_listener(listener("a/gw", "http"))
    slots = pages.assign(rule("a/one", "a/x:80"))
    assert slot not in (OTHER_SLOT, slots.local, *slots.targets)
    assert pages.requests.owners[slot] == RequestSeries("a/gw", "http", "", "", "", "")
    assert pages.listener_slot(listener("a/gw", "http")) == slot


def test_a_listener_on_two_addresses_is_one_series_as_long_as_one_is_there():
    clock, pages = Clock(), book(requests=FIRST_REQUESTS + 1)
    pages.requests._clock = clock
    slot = pages.assign_listener(listener("a/gw", "http"))
    assert pages.assign_listener(listener("a/gw", "http", "::1")) == slot
    pages.release_listener(listener("a/gw", "http").id)
    clock.now = REST
    assert pages.assign_listener(listener("b/gw", "http")) == OTHER_SLOT
    pages.release_listener(listener("b/gw", "http").id)
    pages.release_listener(listener("a/gw", "http", "::1").id)
    clock.now = 2 * REST
    assert pages.assign_listener(listener("b/gw", "http")) == slot


def test_a_listener_that_changes_or_comes_back_counts_on():
    pages = book()
    slot = pages.assign_listener(listener("a/gw", "http"))
    assert pages.assign_listener(listener("a/gw", "http")) == slot
    pages.release_listener(listener("a/gw", "http").id)
    pages.release_listener(listener("a/gw", "http").id)
    assert pages.assign_listener(listener("b/gw", "http")) != slot
    assert pages.assign_listener(listener("a/gw", "http")) == slot


names = st.sampled_from("abcdefgh")
steps = st.lists(
    st.one_of(
        st.tuples(st.just("assign"), names, st.lists(names, max_size=3)),
        st.tuples(st.just("release"), names, st.just([])),
        st.tuples(st.just("wait"), st.just(""), st.just([])),
    ),
    max_size=60,
)


@given(steps)
def test_no_two_series_ever_share_a_slot_and_none_is_lost(sequence):
    """Compares with a simple model: for each series, the sum of what its rules counted in their slots."""
    clock, held, written, baseline, expected = Clock(), {}, Counter(), Counter(), Counter()

    def reused(slot):
        expected[pages.requests.owners[slot]] = 0
        baseline[slot] = written[slot]

    pages = SlotBook(8, 12, reused, *(lambda slot: None,) * 2)
    for shelf in (pages.requests, pages.durations):
        shelf._clock = clock
    for step, route, backends in sequence:
        clock.now += 2 * REST if step == "wait" else 1.0
        if step == "assign":
            one = rule(f"a/{route}", *backends)
            held[route] = (one, pages.assign(one))
        elif step == "release":
            pages.release(rule(f"a/{route}").id)
            held.pop(route, None)
        for one, slots in held.values():
            assert pages.slots(one) == slots
            for backend, slot in zip(one.backends, slots.targets, strict=True):
                if slot != OTHER_SLOT:
                    written[slot] += 1
                    expected[series(one.route, backend.backend)] += 1
    assert {owner: written[slot] - baseline[slot] for slot, owner in pages.requests.owners.items()} == {
        owner: expected[owner] for owner in pages.requests.owners.values()
    }
