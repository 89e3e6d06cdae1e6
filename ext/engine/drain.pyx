"""The beginning of a drain; see drain.pxd.

Idle connections to backends close. Idle clients get a deadline: a second after they became idle, because they may be
sending a request just now. Parents tell their peers to open no more streams. Connections that become idle later see
`Reactor.draining`.
"""

from libc.stdint cimport uint64_t

from fastroute.ext.engine.side cimport SIDE_ROWS
from fastroute.ext.engine.visit cimport parent_drain
from fastroute.ext.reactor.connection cimport CHUNK, Connection, slab_at
from fastroute.ext.reactor.reactor cimport read_clock

cdef enum:
    TIME = 300              # microseconds of a turn
    LOOK = 16               # connections between two looks at the clock


cdef void drain_begin(Reactor r) noexcept nogil:
    r.announcing = r.draining = True
    r.undrained = 1


cdef void drain_on(Reactor r) noexcept nogil:
    cdef uint64_t until = r.now + TIME
    while r.now <= until:
        if r.undrained >= r.slab.chunks_count * CHUNK:
            r.undrained = 0
            return
        tell(r, slab_at(&r.slab, r.undrained))
        r.undrained += 1
        if r.undrained % LOOK == 0:
            read_clock(r)


cdef void tell(Reactor r, Connection *c) noexcept nogil:
    if c.parent is not NULL:
        parent_drain(r, c)
    else:
        SIDE_ROWS[c.side].drain(r, c)
