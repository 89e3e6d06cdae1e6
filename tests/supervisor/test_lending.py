"""Which worker serves the sockets of a slot without a serving worker."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.supervisor.lending import lend


@pytest.mark.parametrize(
    ("slots", "serving", "lent", "expected"),
    [
        pytest.param(3, {0, 1, 2}, {}, {}, id="all serve"),
        pytest.param(3, set(), {}, {}, id="none serves"),
        pytest.param(3, {0, 2}, {}, {1: 0}, id="one is gone"),
        pytest.param(3, {0, 2}, {1: 2}, {1: 2}, id="an existing assignment stays"),
        pytest.param(3, {0, 1, 2}, {1: 2}, {}, id="it is back"),
        pytest.param(3, {0}, {1: 2}, {1: 0, 2: 0}, id="the assigned worker is gone too"),
        pytest.param(4, {0, 1}, {}, {2: 0, 3: 1}, id="evenly distributed"),
        pytest.param(1, set(), {}, {}, id="the only one is gone"),
    ],
)
def test_lend(slots, serving, lent, expected):
    assert lend(slots, serving, lent) == expected


@given(st.integers(1, 6), st.lists(st.sets(st.integers(0, 5)), max_size=10))
def test_every_slot_is_looked_after_by_one_that_serves(slots, sequence):
    lent = {}
    for step in sequence:
        serving = {slot for slot in step if slot < slots}
        lent = lend(slots, serving, lent)
        assert set(lent.values()) <= serving
        assert lent.keys() == (set(range(slots)) - serving if serving else set())
