# Bytes from one socket to another one without a copy: through a pipe, which all connections of the process share, because it
# is empty between two calls. What the receiver does not take at once is copied into its output.

from libc.stdint cimport uint32_t

from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.reactor cimport Reactor


cdef enum:
    SPLICE_LOST = -3

# Whether bytes can be spliced from `sender` to `receiver`: both are plain sockets, and there is a pipe.
cdef bint can_splice(const Connection *sender, const Connection *receiver) noexcept nogil
# Moves at most `room` bytes from the sender to the receiver, whose output must be empty. Returns their number (> 0); 0: none
# now, or it has ended, which a read shows then; -2: the sender is broken; or SPLICE_LOST if the receiver is broken.
cdef long splice_between(Reactor r, Connection *sender, Connection *receiver, uint32_t room) noexcept nogil
