# Copies of a request for its mirrors: created by RequestMirror filters while they process its head.
#
# A Copy is the message after the filters that are listed before the mirror. Copies have their own arena, so
# that they never take space from the request itself; a copy that does not fit is dropped and counted.

from libc.stdint cimport uint32_t, uint64_t

from fastroute.ext.memory.slice cimport Arena
from fastroute.ext.message.message cimport Message
from fastroute.ext.routing.backends cimport Backend


cdef struct Copy:               # valid until the next request begins
    Copy *next
    Backend *backend            # of the rule
    Message message

cdef struct Copies:
    Arena arena
    uint64_t *random            # state of random.pxd
    Copy *first                 # in the order of the filters
    Copy *last
    uint32_t count
    uint32_t lost               # copies dropped for lack of space

cdef enum:
    COPIES_SIZE = 1 << 20       # bytes of the arena; untouched pages cost nothing

# Removes all copies.
cdef inline void copies_reset(Copies *copies) noexcept nogil:
    copies.arena.used = 0
    copies.first = copies.last = NULL
    copies.count = copies.lost = 0

# Adds a copy of `message` for `backend`, with probability `numerator` / `denominator`.
cdef void copies_add(Copies *copies, Backend *backend, uint32_t numerator, uint32_t denominator,
                     const Message *message) noexcept nogil
