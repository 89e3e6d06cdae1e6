"""Connections to backends that carry no request; see resting.pxd."""

from fastroute.ext.reactor.connection cimport slab_at
from fastroute.ext.reactor.counters cimport FIXED_UPSTREAM_ACTIVE, FIXED_UPSTREAM_IDLE, gauge_add


cdef void resting_add(Reactor r, Connection *u) noexcept nogil:
    u.older = r.idle_newest
    u.newer = 0
    if u.older != 0:
        slab_at(&r.slab, u.older).newer = u.index
    else:
        r.idle_oldest = u.index
    r.idle_newest = u.index
    r.pooled += 1
    gauge_add(r.counters, FIXED_UPSTREAM_ACTIVE, -1)
    gauge_add(r.counters, FIXED_UPSTREAM_IDLE, 1)


cdef void resting_remove(Reactor r, Connection *u) noexcept nogil:
    if u.older != 0:
        slab_at(&r.slab, u.older).newer = u.newer
    else:
        r.idle_oldest = u.newer
    if u.newer != 0:
        slab_at(&r.slab, u.newer).older = u.older
    else:
        r.idle_newest = u.older
    u.older = u.newer = 0
    r.pooled -= 1
    gauge_add(r.counters, FIXED_UPSTREAM_IDLE, -1)
    gauge_add(r.counters, FIXED_UPSTREAM_ACTIVE, 1)


cdef Connection *resting_oldest(Reactor r) noexcept nogil:
    return slab_at(&r.slab, r.idle_oldest) if r.idle_oldest != 0 else NULL
