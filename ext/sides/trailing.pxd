# The trailers of both bodies of an exchange: which of them go on.

from fastroute.ext.message.message cimport Message
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.reactor.reactor cimport Reactor


# Drops those that must not go on. `response`: they are of the answer; `nominated`: the sender has nominated fields of its
# hop, so no trailer goes on.
cdef void trailers_filter(Reactor r, const Exchange *x, bint response, bint nominated, Message *trailers) noexcept nogil
