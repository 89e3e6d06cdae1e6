"""The mirrors in progress by namespace; see shares.pxd."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from fastroute.ext.memory.buffer cimport buffer_size
from fastroute.ext.memory.list cimport Link, Member
from fastroute.ext.memory.owner cimport OWNERS
from fastroute.ext.memory.ranking cimport ranking_close, ranking_open, ranking_set
from fastroute.ext.reactor.connection cimport slab_at
from fastroute.ext.reactor.groups cimport (
    Group, groups_add, groups_close, groups_largest, groups_open, groups_remove,
)
from fastroute.ext.reactor.linked cimport list_append, list_remove
from fastroute.ext.routing.mirror cimport Mirror

cdef extern from *:
    int __builtin_clz(unsigned int value) nogil


cdef inline Link *heap_link(Connection *u) noexcept nogil:
    return &u.mirror.link


cdef inline Member *owner_member(Connection *u) noexcept nogil:
    return &u.mirror.member


cdef inline Link *owner_link(Connection *u) noexcept nogil:
    return &u.mirror.member.link


cdef int shares_open(Shares *shares) except -1:
    groups_open(&shares.owners, OWNERS, owner_member, owner_link)
    ranking_open(&shares.queued, OWNERS)
    shares.heaps = <Heap *> calloc(OWNERS, sizeof(Heap))
    if shares.heaps is NULL:
        raise MemoryError
    return 0


cdef void shares_close(Shares *shares) noexcept nogil:
    groups_close(&shares.owners)
    ranking_close(&shares.queued)
    free(shares.heaps)


cdef inline uint8_t weight_of(uint32_t size) noexcept nogil:
    return min(32 - __builtin_clz(size), WEIGHTS - 1) if size else 0


cdef void weigh(Shares *shares, Slab *slab, Connection *u, uint32_t size) noexcept nogil:
    """Notes the bytes that are queued for the mirror, as its own and as those of its namespace."""
    cdef Mirror *mirror = u.mirror
    cdef Heap *heap = &shares.heaps[mirror.owner]
    cdef uint64_t change = <uint64_t> size - mirror.behind      # may wrap, like the sums
    cdef uint8_t weight = weight_of(size)
    shares.behind += change
    ranking_set(&shares.queued, mirror.owner, shares.queued.weights[mirror.owner] + change)
    mirror.behind = size
    if weight == mirror.weight:
        return
    if mirror.weight:
        list_remove(slab, &heap.mirrors[mirror.weight], u, heap_link)
        if heap.mirrors[mirror.weight].first == 0:
            heap.present &= ~(<uint32_t> 1 << mirror.weight)
    if weight:
        list_append(slab, &heap.mirrors[weight], u, heap_link)
        heap.present |= <uint32_t> 1 << weight
    mirror.weight = weight


cdef void shares_add(Shares *shares, Slab *slab, Connection *u) noexcept nogil:
    groups_add(&shares.owners, slab, u, u.mirror.owner)
    shares_note(shares, slab, u)


cdef void shares_remove(Shares *shares, Slab *slab, Connection *u) noexcept nogil:
    groups_remove(&shares.owners, slab, u)
    weigh(shares, slab, u, 0)


cdef void shares_note(Shares *shares, Slab *slab, Connection *u) noexcept nogil:
    weigh(shares, slab, u, buffer_size(&u.output))


cdef Connection *shares_crowd(const Shares *shares, Slab *slab, uint16_t owner) noexcept nogil:
    cdef const Group *most = groups_largest(&shares.owners)
    if most is NULL or most.count <= shares.owners.groups[owner].count + 1:
        return NULL
    return slab_at(slab, most.connections.first)


cdef Connection *shares_heap(const Shares *shares, Slab *slab, uint16_t owner, uint32_t size) noexcept nogil:
    cdef const Heap *heap
    cdef uint16_t most
    if shares.queued.count == 0:
        return NULL
    most = shares.queued.order[0]
    if shares.queued.weights[most] <= shares.queued.weights[owner] + size:
        return NULL
    heap = &shares.heaps[most]
    return slab_at(slab, heap.mirrors[31 - __builtin_clz(heap.present)].first)
