# The row of a backend to which bytes are passed on unread: it gets no Message, and gives none.

from fastroute.ext.sides.side cimport BackendSide


cdef void raw_backend(BackendSide *side) noexcept
