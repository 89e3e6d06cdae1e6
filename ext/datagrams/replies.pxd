# Datagrams of endpoints: each goes to the client of its flow. And the other work on flows: idle ones, and changes.
#
# The sockets of all flows are watched by an epoll descriptor of their own, the reader, which the engine watches as one
# connection. So all flows together have one share of a turn, and cost the other connections nothing.

from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.reactor cimport Reactor


cdef int reader_open(Reactor r) noexcept nogil          # 0, or -1 with errno
cdef void reader_close(Reactor r, Connection *reader) noexcept nogil    # ends all flows
# Passes on some of the replies that wait, and compares some flows with what has changed.
cdef void reader_advance(Reactor r, Connection *reader) noexcept nogil
# Ends flows that were idle for too long, and in a drain all.
cdef void reader_expired(Reactor r, Connection *reader) noexcept nogil
# The reader has something to do without an event.
cdef void reader_work(Reactor r) noexcept nogil
# The engine drains: flows end after a short time, and no new ones begin.
cdef void reader_drain(Reactor r, Connection *reader) noexcept nogil
