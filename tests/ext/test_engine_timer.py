"""The timer wheel, compared with a dictionary: no deadline early, none late by more than a tick, none lost."""

from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.ext.reactor.timer import Deadlines

TICK = 4  # milliseconds
ROUND = 4096 * TICK

steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("set"), st.integers(0, 7), st.sampled_from([1, 3, 5, 100, ROUND - 1, ROUND, ROUND + 5, 75_000])
        ),
        st.tuples(st.just("clear"), st.integers(0, 7), st.just(0)),
        st.tuples(st.just("remove"), st.integers(0, 7), st.just(0)),
        st.tuples(st.just("pass"), st.just(0), st.sampled_from([0, 1, 4, 7, 99, 5_000, ROUND, 3 * ROUND + 1])),
    ),
    max_size=60,
)


@given(steps, st.integers(1_000, 10**12))
@settings(max_examples=300, deadline=None)
def test_the_wheel_is_a_dictionary(moves: list[tuple[str, int, int]], now: int) -> None:
    wheel = Deadlines(now)
    indexes = [wheel.add() for _ in range(8)]
    deadlines: dict[int, int] = {}
    for kind, chosen, value in moves:
        index = indexes[chosen]
        if kind == "set":
            deadlines[index] = now + value
            wheel.set(index, now + value)
        elif kind == "clear":
            deadlines.pop(index, None)
            wheel.set(index, 0)
        elif kind == "remove":
            deadlines.pop(index, None)
            wheel.set(index, 0)
            wheel.remove(index)
        else:
            now += value
            expired = wheel.expired(now)
            assert len(set(expired)) == len(expired)
            assert all(deadlines.pop(one) <= now for one in expired)
            assert all(deadline > now - TICK for deadline in deadlines.values())
        if deadlines:
            assert 0 < wheel.next() < max(now, min(deadlines.values())) + TICK


def test_many_in_one_slot_and_a_long_sleep() -> None:
    """In a process that was stopped for minutes, all deadlines in this time expire at once, and the others remain."""
    wheel = Deadlines(1_000)
    indexes = [wheel.add() for _ in range(1_000)]
    for i, index in enumerate(indexes):
        wheel.set(index, 1_000 + (5_000 if i % 2 else 100_000))
    assert wheel.expired(4_000) == []
    assert sorted(wheel.expired(90_000)) == indexes[1::2]
    assert sorted(wheel.expired(101_004)) == indexes[0::2]
    assert wheel.next() == 0
