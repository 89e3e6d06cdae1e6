# Numbers by weight, so that the heaviest one is known at once: a binary heap. Each change costs at most as many steps as
# the number of entries has binary digits, twice.

from libc.stdint cimport uint16_t, uint32_t, uint64_t


cdef struct Ranking:
    uint64_t *weights           # by number
    uint16_t *places            # by number: its index in `order`, if its weight is not 0
    uint16_t *order             # numbers whose weight is not 0; each is at least as heavy as those at 2i + 1 and 2i + 2
    uint32_t count
    uint64_t steps              # comparisons so far

cdef int ranking_open(Ranking *ranking, uint32_t size) except -1    # numbers from 0 to `size` - 1; raises MemoryError
cdef void ranking_close(Ranking *ranking) noexcept nogil
cdef void ranking_set(Ranking *ranking, uint16_t number, uint64_t weight) noexcept nogil
