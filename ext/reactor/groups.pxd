# Connections in numbered groups, each a list, oldest first: the mirrors of the namespaces (shares.pxd), the waiting
# handshakes of the listeners and of the backends (waiting.pxd). Only groups with connections are visited. A connection is
# in at most one of some groups, because it is linked through a field of its own: its Member.

from libc.stdint cimport uint16_t, uint32_t

from fastroute.ext.memory.list cimport List, Member
from fastroute.ext.memory.ranking cimport Ranking
from fastroute.ext.reactor.connection cimport Connection, Slab
from fastroute.ext.reactor.linked cimport LinkOf

ctypedef Member *(*MemberOf)(Connection *c) noexcept nogil


cdef struct Group:
    List connections
    uint32_t count

cdef struct Groups:
    Group *groups
    Ranking sizes               # the number of connections of each
    uint32_t count              # connections in total
    MemberOf member             # of a connection in these groups,
    LinkOf link                 # and its link

# Groups from 0 to `size` - 1; raises MemoryError.
cdef int groups_open(Groups *groups, uint32_t size, MemberOf member, LinkOf link) except -1
cdef void groups_close(Groups *groups) noexcept nogil
# Adds a connection that is in no group, as the youngest, or removes it from its group.
cdef void groups_add(Groups *groups, Slab *slab, Connection *c, uint16_t number) noexcept nogil
cdef void groups_remove(Groups *groups, Slab *slab, Connection *c) noexcept nogil
# The group with the most connections; NULL if there is none.
cdef Group *groups_largest(const Groups *groups) noexcept nogil
