"""The retry budget of a backend; see budget.pxd and docs/reference/retries.md."""

from libc.stdint cimport uint64_t
from libc.string cimport memset


cdef void budget_advance(Budget *budget, uint64_t second) noexcept nogil:
    cdef Second *oldest
    if second - budget.second >= <uint64_t> WINDOW:
        memset(budget, 0, sizeof(Budget))
        budget.second = second
        return
    while budget.second != second:
        budget.second += 1
        budget.slot = budget.slot + 1 if budget.slot + 1 < <unsigned> WINDOW else 0
        oldest = &budget.seconds[budget.slot]
        budget.requests -= oldest.requests
        budget.retries -= oldest.retries
        oldest.requests = oldest.retries = 0


cdef bint budget_take(Budget *budget, uint64_t now) noexcept nogil:
    if now // 1000 != budget.second:
        budget_advance(budget, now // 1000)
    if (budget.retries >= <unsigned> (FLOOR * WINDOW)
            and (<uint64_t> budget.retries + 1) * 100 > <uint64_t> budget.requests * SHARE):
        return False
    budget.seconds[budget.slot].retries += 1
    budget.retries += 1
    return True


# --- for Python


BUDGET_WINDOW = WINDOW          # for tests/test_docs.py
BUDGET_SHARE = SHARE
BUDGET_FLOOR = FLOOR


cdef class RetryBudget:
    """The budget of one backend; times in milliseconds that never decrease."""

    cdef Budget _budget

    def note(self, uint64_t now) -> None:
        """Counts a request."""
        budget_note(&self._budget, now)

    def take(self, uint64_t now) -> bool:
        """Whether there may be a retry, which is then counted."""
        return budget_take(&self._budget, now)
