# The beginning and the end of the exchange of a client's connection.

from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.reactor.reactor cimport Reactor


# Begins an exchange of the connection: STATE_EXCHANGE. `lean`: it keeps little (reactor/exchange.pxd). NULL: out of memory.
cdef Exchange *exchange_open(Reactor r, Connection *c, bint lean) noexcept nogil
# Frees it. The caller has counted and logged it, and says what happens to the connection.
cdef void exchange_close(Reactor r, Connection *c) noexcept nogil
