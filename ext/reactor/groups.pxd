# Connections in numbered groups, each a list, oldest first: the mirrors of the namespaces (shares.pxd), the waiting
# handshakes of the listeners (waiting.pxd). Only groups with connections are visited. A connection is in one group at
# most, because it is linked through its own fields.

from libc.stdint cimport uint16_t, uint32_t

from fastroute.ext.memory.list cimport List
from fastroute.ext.memory.ranking cimport Ranking
from fastroute.ext.reactor.connection cimport Connection, Slab


cdef struct Group:
    List connections
    uint32_t count

cdef struct Groups:
    Group *groups
    Ranking sizes               # the number of connections of each
    uint32_t count              # connections in total

cdef int groups_open(Groups *groups, uint32_t size) except -1       # groups from 0 to `size` - 1; raises MemoryError
cdef void groups_close(Groups *groups) noexcept nogil
# Adds a connection that is in no group, as the youngest, or removes it from its group.
cdef void groups_add(Groups *groups, Slab *slab, Connection *c, uint16_t number) noexcept nogil
cdef void groups_remove(Groups *groups, Slab *slab, Connection *c) noexcept nogil
# The group with the most connections; NULL if there is none.
cdef Group *groups_largest(const Groups *groups) noexcept nogil
