# What happens when a client waits and all client connections are taken: one of them ends.

from fastroute.ext.reactor.reactor cimport Reactor


# Ends a client connection so that another client can be accepted, as crowd.pyx describes. False: none of those that
# were examined may end. Nothing may refer to a downstream connection, or to the scratch memory, in the callers.
cdef bint make_room(Reactor r) noexcept nogil
