"""Fair shares between owners: the order of a queue, and what is dropped and forgotten first."""

import time
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from fastroute.fairness import FairMemory, FairQueue, fair_part, interleaved


def owner(item: str) -> str:
    return item[0]


items = st.lists(st.builds(lambda owner, number: f"{owner}{number}", st.sampled_from("abc"), st.integers(0, 50)))


@given(items, st.integers(0, 20))
def test_a_part_is_fair(given_: list[str], most: int) -> None:
    part = fair_part(given_, most, owner)
    assert len(part) == min(most, len(given_))
    got, wanted = Counter(map(owner, part)), Counter(map(owner, given_))
    for one in wanted:
        for other in wanted:  # nobody has two more than one who wants more
            assert got[one] == wanted[one] or got[other] <= got[one] + 1
    rest = iter(given_)
    assert all(item in rest for item in part), "the order is kept"
    assert Counter(interleaved(given_, owner)) == Counter(given_)


def test_owners_take_turns_in_a_queue() -> None:
    queue = FairQueue[str, str](owner)
    for number, item in enumerate(("a1", "a2", "a3", "b1", "a1", "c1")):
        queue.add(item, number)
    assert (len(queue), queue.oldest(), "a2" in queue, "b2" in queue) == (5, 0, True, False)
    assert queue.take() == "a1"
    assert queue.take(lambda item: item != "b1") == "c1"
    queue.add("b2")
    assert [queue.take() for _ in range(5)] == ["b1", "a2", "b2", "a3", None]
    assert queue.oldest() is None


def test_it_costs_the_same_to_take_an_item_however_many_were_taken_before() -> None:
    """In a dict, each look for the first item skips the places of all that were removed."""

    def seconds_to_take_all(count: int) -> float:
        turns = FairQueue[str, str](owner)
        for number in range(count):
            turns.add(f"a{number}")
        begin = time.thread_time()
        while turns.take() is not None:
            pass
        return (time.thread_time() - begin) / count

    assert seconds_to_take_all(60_000) < 8 * seconds_to_take_all(600)


def test_an_owner_that_comes_again_and_again_gets_only_its_turns() -> None:
    queue = FairQueue[str, str](owner)
    for number in range(10):
        queue.add(f"b{number}")
    taken = []
    for number in range(10):
        queue.add(f"a{number}")
        taken += [queue.take(), queue.take()]
    assert Counter(item[0] for item in taken if item) == {"a": 10, "b": 10}


def test_what_is_dropped_is_the_newest_of_the_owner_with_the_most() -> None:
    queue = FairQueue[str, str](owner)
    for item in ("a1", "a2", "b1"):
        queue.add(item)
    assert queue.drop() == "a2"
    assert queue.discard("a1")
    assert not queue.discard("a1")
    queue.clear()
    assert queue.take() is None


def test_what_is_forgotten_is_the_oldest_of_the_owner_with_the_most() -> None:
    memory = FairMemory[str, int](3, owner)
    memory.put("b1", 0)
    for number in range(10):
        memory.put(f"a{number}", number)
    assert len(memory) == 3
    assert memory.pop("b1") == 0
    assert [memory.pop(f"a{number}") for number in range(10)] == [None] * 8 + [8, 9]
