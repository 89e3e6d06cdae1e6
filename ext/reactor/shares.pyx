"""The mirrors in progress by namespace; see shares.pxd.

The searches for the namespace that has the most are needed only if there is no room. They visit at most as many places
as there are mirrors.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from fastroute.ext.memory.buffer cimport buffer_size
from fastroute.ext.memory.owner cimport OWNERS
from fastroute.ext.reactor.connection cimport slab_at
from fastroute.ext.routing.mirror cimport MIRRORS_MOST, Mirror


cdef int shares_open(Shares *shares) except -1:
    shares.owners = <Share *> calloc(OWNERS, sizeof(Share))
    shares.active = <uint16_t *> calloc(MIRRORS_MOST, sizeof(uint16_t))
    if shares.owners is NULL or shares.active is NULL:
        raise MemoryError
    return 0


cdef void shares_close(Shares *shares) noexcept nogil:
    free(shares.owners)
    free(shares.active)


cdef void shares_add(Shares *shares, Slab *slab, Connection *u) noexcept nogil:
    cdef Mirror *mirror = u.mirror
    cdef Share *share = &shares.owners[mirror.owner]
    if share.count == 0:
        share.position = shares.active_count
        shares.active[shares.active_count] = mirror.owner
        shares.active_count += 1
    mirror.before = share.last
    mirror.after = 0
    if share.last:
        slab_at(slab, share.last).mirror.after = u.index
    else:
        share.first = u.index
    share.last = u.index
    share.count += 1
    shares.count += 1
    shares_note(shares, u)


cdef void shares_remove(Shares *shares, Slab *slab, Connection *u) noexcept nogil:
    cdef Mirror *mirror = u.mirror
    cdef Share *share = &shares.owners[mirror.owner]
    if mirror.before:
        slab_at(slab, mirror.before).mirror.after = mirror.after
    else:
        share.first = mirror.after
    if mirror.after:
        slab_at(slab, mirror.after).mirror.before = mirror.before
    else:
        share.last = mirror.before
    share.behind -= mirror.behind
    shares.behind -= mirror.behind
    share.count -= 1
    shares.count -= 1
    if share.count == 0:
        shares.active_count -= 1
        shares.active[share.position] = shares.active[shares.active_count]
        shares.owners[shares.active[share.position]].position = share.position


cdef void shares_note(Shares *shares, Connection *u) noexcept nogil:
    cdef Mirror *mirror = u.mirror
    cdef uint64_t change = <uint64_t> buffer_size(&u.output) - mirror.behind    # may wrap, like the sums
    shares.owners[mirror.owner].behind += change
    shares.behind += change
    mirror.behind = buffer_size(&u.output)


cdef Connection *shares_crowd(const Shares *shares, Slab *slab, uint16_t owner) noexcept nogil:
    cdef const Share *most = &shares.owners[owner]
    cdef const Share *share
    cdef uint32_t i
    for i in range(shares.active_count):
        share = &shares.owners[shares.active[i]]
        if share.count > most.count:
            most = share
    return slab_at(slab, most.first) if most.count > shares.owners[owner].count + 1 else NULL


cdef Connection *shares_heap(const Shares *shares, Slab *slab, uint16_t owner, uint32_t size) noexcept nogil:
    cdef const Share *most = &shares.owners[owner]
    cdef const Share *share
    cdef Connection *heaviest
    cdef Connection *u
    cdef uint32_t i
    for i in range(shares.active_count):
        share = &shares.owners[shares.active[i]]
        if share.behind > most.behind:
            most = share
    if most.behind <= shares.owners[owner].behind + size:
        return NULL
    heaviest = u = slab_at(slab, most.first)
    while u.mirror.after:
        u = slab_at(slab, u.mirror.after)
        if u.mirror.behind > heaviest.mirror.behind:
            heaviest = u
    return heaviest
