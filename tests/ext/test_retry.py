"""The decision about a retry and the budget of a backend, compared with simple models; the length of the backoff."""

from hypothesis import given
from hypothesis import strategies as st

from fastroute.ext.routing.budget import BUDGET_FLOOR, BUDGET_SHARE, BUDGET_WINDOW, RetryBudget
from fastroute.ext.routing.retry import FAILURES, METHODS, Retries
from fastroute.snapshot import Retry

IDEMPOTENT = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"}  # RFC 9110 section 9.2.2
CODES = st.integers(400, 599)
STEPS = st.sampled_from([0, 0, 1, 5, 300, 999, 1000, 2500, 9_999, 10_000, 60_000])  # milliseconds
retries = st.builds(
    Retry,
    attempts=st.integers(0, 5) | st.just(2**63 - 1),
    codes=st.lists(CODES, max_size=5).map(tuple),
    backoff_ms=st.integers(0, 2000) | st.just(99_999 * 3_600_000),
)


def follows(retry: Retry, made: int, failure: str, status: int, method: str) -> bool:
    """The model of the decision."""
    if made >= retry.attempts:
        return False
    match failure:
        case "not_connected":
            return True
        case "status":
            return status in retry.codes
        case _:
            return method in IDEMPOTENT


@given(
    retries,
    st.integers(0, 6),
    st.sampled_from(sorted(FAILURES)),
    CODES | st.integers(100, 999),
    st.sampled_from([*METHODS, "PURGE"]),
)
def test_it_decides_as_the_model_does(retry: Retry, made: int, failure: str, status: int, method: str) -> None:
    decided = Retries(retry).follows(made, failure, status, method)
    assert decided == follows(retry, made, failure, status, method)
    listed = next(iter(retry.codes), 500)
    assert Retries(retry).follows(made, "status", listed, method) == follows(retry, made, "status", listed, method)


@given(retries, st.integers(0, 40) | st.just(2**32 - 1), st.integers(0, 2**64 - 1))
def test_pauses_double_up_to_a_cap(retry: Retry, made: int, seed: int) -> None:
    backoff = min(retry.backoff_ms, 2**32 - 1)
    least = min(backoff << min(made, 40), 5 * backoff)
    pause = Retries(retry).pause(made, seed)
    assert max(least, 1) <= pause < max(2 * least, 2)


def test_pauses_of_a_crowd_are_spread() -> None:
    pauses = [Retries(Retry(attempts=1, backoff_ms=25)).pause(0, seed) for seed in range(2500)]
    assert set(pauses) == set(range(25, 50))
    assert all(50 < pauses.count(pause) < 160 for pause in range(25, 50))


@given(st.lists(st.tuples(STEPS, st.booleans()), max_size=200), st.integers(0, 50_000))
def test_the_budget_is_that_of_the_model(events: list[tuple[int, bool]], start: int) -> None:
    budget = RetryBudget()
    requests: list[int] = []
    retries: list[int] = []
    now = start
    for step, is_request in events:
        now += step
        second = now // 1000
        if is_request:
            budget.note(now)
            requests.append(second)
            continue
        recent = [sum(one > second - BUDGET_WINDOW for one in kind) for kind in (requests, retries)]
        floor = BUDGET_FLOOR * BUDGET_WINDOW
        allowed = recent[1] < floor or (recent[1] + 1) * 100 <= recent[0] * BUDGET_SHARE
        assert budget.take(now) is allowed
        if allowed:
            retries.append(second)
