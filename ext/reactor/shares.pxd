# How the namespaces of the routes share the mirrors of a worker, so that none of them can use all.
#
# The mirrors in progress of a namespace are a group. If there is no room for another mirror, or for more bytes, a mirror
# of the namespace that has the most is closed for a namespace that has less. No search visits all mirrors or namespaces.

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from fastroute.ext.memory.list cimport List
from fastroute.ext.memory.ranking cimport Ranking
from fastroute.ext.reactor.connection cimport Connection, Slab
from fastroute.ext.reactor.groups cimport Groups

cdef enum:
    WEIGHTS = 22                # classes of mirrors: the number of binary digits of the bytes queued, at most 21

cdef struct Heap:               # the mirrors of a namespace that have bytes queued
    List[WEIGHTS] mirrors       # by class
    uint32_t present            # bits of the classes that have mirrors

cdef struct Shares:
    Groups owners               # mirrors by namespace: OWNERS (owner.pxd)
    Heap *heaps                 # of each namespace
    Ranking queued              # bytes queued for the mirrors of each namespace
    uint64_t behind             # bytes queued for all of them

cdef int shares_open(Shares *shares) except -1          # raises MemoryError
cdef void shares_close(Shares *shares) noexcept nogil
# Adds a mirror for `u.mirror.owner`, or removes it with its bytes.
cdef void shares_add(Shares *shares, Slab *slab, Connection *u) noexcept nogil
cdef void shares_remove(Shares *shares, Slab *slab, Connection *u) noexcept nogil
# Notes how many bytes are queued for a mirror now.
cdef void shares_note(Shares *shares, Slab *slab, Connection *u) noexcept nogil
# The oldest mirror of the namespace with the most mirrors; NULL if `owner` would have more than it afterwards.
cdef Connection *shares_crowd(const Shares *shares, Slab *slab, uint16_t owner) noexcept nogil
# A mirror of the namespace with the most bytes: none of its mirrors has twice as many bytes. NULL if `owner` had at least
# as many with `size` more.
cdef Connection *shares_heap(const Shares *shares, Slab *slab, uint16_t owner, uint32_t size) noexcept nogil
