# Connections that have work to do without an event, and the order of their visits.
#
# A connection that uses at most one part in LIGHT of the time is light, and goes before others: its client has asked for
# little, and should not wait until each of many connections that always have work had a visit. While both sorts have work,
# each gets half of the time of visits. The time that a connection waits for its visit does not count as rest. Otherwise a
# connection that always has work would become light by waiting.
#
# Each sort has lanes: the connections whose last request was for a route of the same namespace share one, however many
# they are (namespaces with the same remainder of their numbers share one too). The lane that was served least is next.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from fastroute.ext.memory.list cimport List
from fastroute.ext.reactor.connection cimport Connection, Slab


cdef enum:
    LANES = 32                  # of each sort

cdef struct Order:
    List lanes[64]              # LANES for connections that are not light, then LANES for those that are
    uint64_t served[64]         # microseconds of visits of each lane. A lane that was empty begins like the one before it
    uint64_t floors[2]          # of each sort: `served` of the lane that was chosen last
    uint64_t occupied           # a bit for each lane that is not empty
    uint32_t count              # connections in all lanes
    int64_t lead                # microseconds of visits that light ones had more than others, while both sorts had work

cdef struct Visit:              # what order_charge needs to know of a visit
    Connection *c
    uint32_t generation
    uint32_t lane
    uint64_t begun              # microseconds
    uint64_t light_at
    bint both                   # both sorts had work

# Adds a connection that is in no list. `now`: microseconds.
cdef void order_add(Order *order, const Slab *slab, Connection *c, uint64_t now) noexcept nogil
# Removes a connection that is in a lane.
cdef void order_remove(Order *order, const Slab *slab, Connection *c) noexcept nogil
# Removes the connection that is next. There must be one.
cdef Visit order_next(Order *order, const Slab *slab, uint64_t now) noexcept nogil
# The visit is over; the connection may have ended, or may have been added again.
cdef void order_charge(Order *order, const Slab *slab, const Visit *visit, uint64_t now) noexcept nogil
