# Requests that come back: loops through one or more proxies.
#
# Each request to a backend, and each copy for a mirror, has a line `Fastroute-Loop` with the identity of this
# installation, after the lines of this name that were received. A request with our own identity has passed this
# installation before, and is answered with 508. Filters cannot change the field, and Connection cannot nominate it.
# (Via is not used, because common servers do not compress responses to requests with Via.)

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.message cimport Message


cdef enum:
    MARK_MOST = 64              # bytes of the identity of an installation

cdef struct Mark:
    char text[MARK_MOST]
    Slice id                    # in `text`; empty: requests are not marked

# `installation`: a token, or "": requests are not marked. Raises ValueError. The mark must not be moved afterwards.
cdef int mark_set(Mark *mark, str installation) except -1
# Whether a Fastroute-Loop field of the request lists our identity.
cdef bint is_marked(const Mark *mark, const Message *message) noexcept nogil
