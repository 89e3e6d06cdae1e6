# The CORS protocol (Fetch standard) as a filter of a rule or backendRef asks for it.
#
# A preflight (OPTIONS with Origin and Access-Control-Request-Method) is answered by us and reaches no backend. Any other
# request goes on, whatever its origin: it is the client's browser that keeps the response from a page. A response has
# our Access-Control-* fields and no others: what the backend says of its own accord would stand beside them twice, or
# admit whom the route does not.

from libc.stdint cimport uint32_t

from fastroute.ext.head cimport Field, Head
from fastroute.ext.pool cimport Pool
from fastroute.ext.slice cimport Arena, Slice


cdef struct Cors                # immutable, in the pool of its chain

cdef enum:
    CORS_FIELDS = 4             # fields of a response at most
    PREFLIGHT_FIELDS = 7        # fields of a preflight's answer at most

# From a snapshot.Cors. Raises MemoryError.
cdef Cors *cors_new(Pool *pool, source) except NULL
# The request's Origin; empty when it has none.
cdef Slice cors_origin(const Head *head) noexcept nogil
cdef bint cors_admits(const Cors *cors, Slice origin) noexcept nogil
cdef bint cors_is_preflight(const Head *head) noexcept nogil
# The fields of a response to a request from `origin`, which is admitted; empty: from none, or one that is not.
# Returns their number. The fields last as long as the filter and `origin`.
cdef uint32_t cors_fields(const Cors *cors, Slice origin, Field *fields) noexcept nogil
# The fields of the answer to the preflight `head`; `origin` as above. They last as long as the filter and the head.
cdef uint32_t cors_preflight(const Cors *cors, Slice origin, const Head *head, Field *fields) noexcept nogil
# Puts our fields in place of the backend's. Returns 0, or -1 when the arena is full.
cdef int cors_respond(const Cors *cors, Slice origin, Head *head, Arena *arena) noexcept nogil
