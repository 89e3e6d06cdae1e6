# The trailers of both bodies of an exchange: which of them go on.

from libc.stdint cimport uint8_t

from fastroute.ext.http1.body cimport Body
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.reactor.reactor cimport Reactor


# Adds the trailers that go on to `passed`, which is what is sent. `section`: the trailer section of `body`, as
# body_pass gives it; with an empty section, nothing is done. Returns 0, or -1 if the arena is full.
cdef int trailers_pass(Reactor r, const Exchange *x, const Body *body, Slice *passed, Slice section) noexcept nogil
