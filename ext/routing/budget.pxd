# The number of retries of a backend in WINDOW seconds: SHARE percent of its requests in this time, and at least FLOOR
# for each second of it.
#
# Without a budget, the load of a backend that fails would be multiplied by the number of attempts of its routes.

from libc.stdint cimport uint32_t, uint64_t


cdef enum:
    WINDOW = 10                 # seconds
    SHARE = 20                  # percent
    FLOOR = 3                   # retries that are always allowed, for each second of the window

cdef struct Second:
    uint32_t requests
    uint32_t retries

cdef struct Budget:             # all zero: no requests so far
    uint64_t second             # of the newest slot, in seconds of the engine's clock
    uint32_t slot               # index of the newest slot
    uint32_t requests           # sums of all slots
    uint32_t retries
    Second seconds[WINDOW]

# Makes `second` the newest slot, and drops the slots that are older than the window.
cdef void budget_advance(Budget *budget, uint64_t second) noexcept nogil
# Whether there may be another retry now; if so, counts it. `now` in engine milliseconds.
cdef bint budget_take(Budget *budget, uint64_t now) noexcept nogil

cdef inline void budget_note(Budget *budget, uint64_t now) noexcept nogil:
    """Counts a request, without its retries."""
    cdef uint64_t second = now // 1000
    if second != budget.second:
        budget_advance(budget, second)
    budget.seconds[budget.slot].requests += 1
    budget.requests += 1
