# HTTP/2 as the protocol of a parent (reactor/parent).

from fastroute.ext.reactor.parent cimport StreamProtocol


# Fills in the row. Raises MemoryError.
cdef int http2_parent(StreamProtocol *protocol) except -1
