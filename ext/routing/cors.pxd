# The CORS protocol (Fetch standard) for the CORS filter of a rule or backendRef.
#
# A preflight (OPTIONS with Origin and Access-Control-Request-Method) is answered by the gateway and reaches no backend.
# Any other request is forwarded, whatever its origin: the browser of the client withholds the response from the page. A
# response has the Access-Control-* fields of the filter only. Those of the backend are removed: they would be
# duplicates, or allow an origin that the route does not allow.

from libc.stdint cimport uint32_t

from fastroute.ext.memory.pool cimport Pool
from fastroute.ext.memory.slice cimport Arena, Slice
from fastroute.ext.message.message cimport Field, Message


cdef struct Cors                # immutable, in the pool of its chain

cdef enum:
    CORS_FIELDS = 4             # maximum number of fields in a response
    PREFLIGHT_FIELDS = 7        # maximum number of fields in a preflight response

# From a snapshot.Cors. Raises MemoryError.
cdef Cors *cors_new(Pool *pool, source) except NULL
# The Origin of the request; empty if it has none.
cdef Slice cors_origin(const Message *message) noexcept nogil
cdef bint cors_admits(const Cors *cors, Slice origin) noexcept nogil
cdef bint cors_is_preflight(const Message *message) noexcept nogil
# Whether it is one before a call of gRPC-Web: its clients send the field X-Grpc-Web.
cdef bint cors_asks_for_call(const Message *message) noexcept nogil
# Fills in the fields of a response to a request from `origin`, which must be allowed; empty: the request has no origin,
# or one that is not allowed. Returns their number. They are valid as long as the filter and `origin`.
cdef uint32_t cors_fields(const Cors *cors, Slice origin, Field *fields) noexcept nogil
# Fills in the fields of the response to the preflight `head`; `origin` as above. They are valid as long as the filter
# and the head.
cdef uint32_t cors_preflight(const Cors *cors, Slice origin, const Message *message, Field *fields) noexcept nogil
# Replaces the fields of the backend by those of the filter. Returns 0, or -1 if the arena is full.
cdef int cors_respond(const Cors *cors, Slice origin, Message *message, Arena *arena) noexcept nogil
