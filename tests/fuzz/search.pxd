# The rule for a request by plain search through all rules: what the tables must find.

from libc.stdint cimport uint32_t

from fastroute.ext.routing.rule cimport Match

from fuzz.world cimport World

# NULL: none. `listener`: its index, or `listeners_count`.
cdef const Match *search(const World *world, uint32_t *listener) noexcept nogil
