# Copies of a request for its mirrors: what RequestMirror filters leave behind in the pass over its head.
#
# A Copy is the head as the filters listed before it left it, written out. Copies have an arena of their own, so that
# they never take room from the request itself; one that finds none is lost, and counted.

from libc.stdint cimport uint32_t, uint64_t

from fastroute.ext.backends cimport Backend
from fastroute.ext.head cimport Head
from fastroute.ext.slice cimport Arena


cdef struct Copy:               # valid until the next request is begun
    Copy *next
    Backend *backend            # of the rule
    const char *head
    uint32_t size

cdef struct Copies:
    Arena arena
    uint64_t *random            # state of random.pxd
    Copy *first                 # in the filters' order
    Copy *last
    uint32_t count
    uint32_t lost               # without room

cdef enum:
    COPIES_SIZE = 1 << 20       # bytes of the arena; untouched pages cost nothing

# Forgets all copies.
cdef inline void copies_reset(Copies *copies) noexcept nogil:
    copies.arena.used = 0
    copies.first = copies.last = NULL
    copies.count = copies.lost = 0

# Copies `head` for `backend`, in `numerator` of `denominator` cases.
cdef void copies_add(Copies *copies, Backend *backend, uint32_t numerator, uint32_t denominator,
                     const Head *head) noexcept nogil
