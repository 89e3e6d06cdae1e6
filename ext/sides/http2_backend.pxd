# HTTP/2 towards a backend: one stream.

from fastroute.ext.sides.side cimport BackendSide


# Fills in the row.
cdef void http2_backend(BackendSide *side) noexcept
