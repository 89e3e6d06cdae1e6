# The limit of the memory for all buffers and for TLS: what a worker holds for clients and backends that do not read or
# that send too much, and for clients with TLS.

from libc.stdint cimport uint64_t

from fastroute.ext.reactor.reactor cimport Reactor


# Allocates what a relief needs. Raises MemoryError.
cdef int relief_open(Reactor r) except -1
# Called while the buffers have more memory than `Reactor.max_buffered`: ends the connections that hold the most, until
# an eighth of the limit is free. False: 2 ms have passed since `start`, when the turn began, and 0.3 ms here. No
# Connection pointer may be on the stack.
cdef bint relieve(Reactor r, uint64_t start) noexcept nogil
