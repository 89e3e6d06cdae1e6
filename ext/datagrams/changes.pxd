# What happens to flows after a change of rules or endpoints: in steps, because there may be many.

from libc.stdint cimport uint64_t

from fastroute.ext.reactor.reactor cimport Reactor


# Compares flows with what has changed until `until` (microseconds), and ends those that may not go on. True: some are left.
cdef bint changes_apply(Reactor r, uint64_t until) noexcept nogil
