"""The mirrors in progress by namespace; see shares.pxd.

The searches for the namespace that has the most are needed only if there is no room. They visit at most as many groups
as there are mirrors.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from fastroute.ext.memory.buffer cimport buffer_size
from fastroute.ext.memory.owner cimport OWNERS
from fastroute.ext.reactor.connection cimport slab_at
from fastroute.ext.reactor.groups cimport (
    Group, groups_add, groups_close, groups_largest, groups_open, groups_remove,
)
from fastroute.ext.routing.mirror cimport Mirror


cdef int shares_open(Shares *shares) except -1:
    groups_open(&shares.owners, OWNERS)
    shares.queued = <uint64_t *> calloc(OWNERS, sizeof(uint64_t))
    if shares.queued is NULL:
        raise MemoryError
    return 0


cdef void shares_close(Shares *shares) noexcept nogil:
    groups_close(&shares.owners)
    free(shares.queued)


cdef void shares_add(Shares *shares, Slab *slab, Connection *u) noexcept nogil:
    groups_add(&shares.owners, slab, u, u.mirror.owner)
    shares_note(shares, u)


cdef void shares_remove(Shares *shares, Slab *slab, Connection *u) noexcept nogil:
    groups_remove(&shares.owners, slab, u)
    shares.queued[u.mirror.owner] -= u.mirror.behind
    shares.behind -= u.mirror.behind


cdef void shares_note(Shares *shares, Connection *u) noexcept nogil:
    cdef Mirror *mirror = u.mirror
    cdef uint64_t change = <uint64_t> buffer_size(&u.output) - mirror.behind    # may wrap, like the sums
    shares.queued[mirror.owner] += change
    shares.behind += change
    mirror.behind = buffer_size(&u.output)


cdef Connection *shares_crowd(const Shares *shares, Slab *slab, uint16_t owner) noexcept nogil:
    cdef const Group *most = groups_largest(&shares.owners)
    if most is NULL or most.count <= shares.owners.groups[owner].count + 1:
        return NULL
    return slab_at(slab, most.connections.first)


cdef Connection *shares_heap(const Shares *shares, Slab *slab, uint16_t owner, uint32_t size) noexcept nogil:
    cdef uint16_t most = owner
    cdef Connection *heaviest
    cdef Connection *u
    cdef uint32_t i
    for i in range(shares.owners.active_count):
        if shares.queued[shares.owners.active[i]] > shares.queued[most]:
            most = shares.owners.active[i]
    if shares.queued[most] <= shares.queued[owner] + size:
        return NULL
    heaviest = u = slab_at(slab, shares.owners.groups[most].connections.first)
    while u.group_link.after:
        u = slab_at(slab, u.group_link.after)
        if u.mirror.behind > heaviest.mirror.behind:
            heaviest = u
    return heaviest
