# HTTP/1 towards a backend.

from fastroute.ext.sides.side cimport BackendSide


# Fills in the row.
cdef void http1_backend(BackendSide *side) noexcept
