# The beginning of a drain: idle connections are told to close, some in each turn, because there may be thousands.

from fastroute.ext.reactor.reactor cimport Reactor


# Begins the drain. The connections are examined by drain_on.
cdef void drain_begin(Reactor r) noexcept nogil
# Examines further connections, for 0.3 ms at most. Call it while `Reactor.undrained` is not 0. No Connection pointer may
# be on the stack.
cdef void drain_on(Reactor r) noexcept nogil
