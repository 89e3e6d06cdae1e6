# HTTP/2 as the protocol of a parent (reactor/parent).

from fastroute.ext.reactor.parent cimport StreamProtocol


# Fill in the rows: of connections of clients, and to backends.
cdef void http2_parent(StreamProtocol *protocol) noexcept
cdef void http2_backend_parent(StreamProtocol *protocol) noexcept
