# What the engine does with a connection, by its side. One row for each side: a new one is a value of Side
# (reactor/connection.pxd) and its row here. Turns, drains and the end of the engine use nothing but these rows.
#
# A connection that carries streams is handled by visit.pyx, whatever its side, except that `close` ends it too.

from fastroute.ext.reactor.connection cimport SIDES, Connection
from fastroute.ext.reactor.reactor cimport Reactor


cdef struct SideRow:
    # Does everything that is possible now: after an event, or because the connection is in the ready list.
    void (*advance)(Reactor r, Connection *c) noexcept nogil
    void (*expired)(Reactor r, Connection *c) noexcept nogil    # its deadline has passed
    void (*drain)(Reactor r, Connection *c) noexcept nogil      # the engine drains; listeners have left before
    void (*close)(Reactor r, Connection *c) noexcept nogil      # ends it now; the engine is being closed

# By Side. Functions of another module are called through a pointer with comparisons, too.
cdef SideRow[<int> SIDES] SIDE_ROWS
