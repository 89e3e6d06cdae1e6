# HTTP/2 towards the client: one stream.

from fastroute.ext.sides.side cimport ClientSide


# Fills in the row.
cdef void http2_client(ClientSide *side) noexcept
