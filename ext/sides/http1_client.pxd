# HTTP/1 towards the client.
#
# Only this module knows how a body of unknown length is written (Coding), and what the end of the connection means for an
# answer.

from fastroute.ext.sides.side cimport ClientSide


# Fills in the row.
cdef void http1_client(ClientSide *side) noexcept
