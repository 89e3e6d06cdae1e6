"""Who holds a Lease, decided by the local clock alone."""

import pytest

from fastroute.writing.lease import (
    DEADLINE,
    DURATION,
    LeaseObject,
    LeaseSpec,
    given_back,
    may_take,
    see,
    taken,
)


def lease(holder="them", version="1", duration=DURATION, **more):
    return LeaseObject(
        {"name": "fastroute", "namespace": "infra", "resourceVersion": version},
        LeaseSpec(holder_identity=holder, lease_duration_seconds=duration, **more),
    )


@pytest.mark.parametrize(
    ("held", "after", "may"),
    [
        (lease(), 0, False),
        (lease(), DURATION - 0.1, False),
        (lease(), DURATION, True),
        (lease(duration=60), DURATION, False),  # the holder set a longer duration
        (lease(duration=None), DURATION, True),
        (lease("us"), 0, True),
        (lease(""), 0, True),
        (lease(None), 0, True),
        (lease(renew_time="1999-01-01T00:00:00Z"), 0, False),  # the holder's clock does not matter
        (lease(renew_time="2999-01-01T00:00:00Z"), DURATION, True),
    ],
)
def test_who_may_take_it(held, after, may):
    assert may_take(see(None, held, 100.0), "us", 100.0 + after) is may


def test_every_renewal_that_is_seen_counts_anew():
    seen = see(None, lease(version="1"), 0.0)
    seen = see(seen, lease(version="1"), 8.0)
    assert may_take(seen, "us", DURATION)
    assert not may_take(see(seen, lease(version="2"), 9.0), "us", DURATION)


def test_a_holder_stops_before_another_begins():
    assert DEADLINE < DURATION


def test_what_is_written_keeps_what_is_not_ours():
    held = lease("them", lease_transitions=3, acquire_time="a", renew_time="b")
    mine = taken(held, "us", "now")
    assert mine.metadata == held.metadata
    assert mine.spec == LeaseSpec("us", DURATION, "now", "now", 4)
    assert taken(mine, "us", "later").spec == LeaseSpec("us", DURATION, "now", "later", 4)
    assert may_take(see(None, given_back(mine, "end"), 0.0), "them", 0.0)
