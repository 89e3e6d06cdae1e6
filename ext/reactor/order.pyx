"""The order of visits; see order.pxd."""

from libc.stdint cimport uint8_t

from fastroute.ext.reactor.connection cimport LAYER_STREAM, slab_at
from fastroute.ext.reactor.linked cimport link_of, list_append, list_remove

cdef extern from * nogil:
    int lowest_bit "__builtin_ctzll" (uint64_t bits)

cdef enum:
    LIGHT = 20              # a connection that uses one part in this many of the time, or less, is light
    REST = 4000             # microseconds that count: a connection that has rested is light for REST / LIGHT of visits
    LEAD = 1000             # microseconds of visits that light connections may have more than others that also have work
    BEHIND = 5000           # the same, that they may have less and get later


cdef inline uint64_t bit_of(uint32_t lane) noexcept nogil:
    return <uint64_t> 1 << lane


cdef inline uint64_t bits_of(bint light) noexcept nogil:
    """Of all lanes of this sort."""
    return ((<uint64_t> 1 << LANES) - 1) << (LANES if light else 0)


cdef void order_add(Order *order, const Slab *slab, Connection *c, uint64_t now) noexcept nogil:
    """A stream whose parent has ended is not light: there may be many at once."""
    cdef bint light = c.light_at <= now and c.layer != LAYER_STREAM
    cdef uint32_t lane = c.payer % <uint32_t> LANES + (<uint32_t> LANES if light else 0)
    if not order.occupied & bit_of(lane):
        order.occupied |= bit_of(lane)
        order.served[lane] = max(order.served[lane], order.floors[light])
    order.count += 1
    list_append(slab, &order.lanes[lane], c, link_of)
    c.queued = <uint8_t> (lane + 1)
    c.queued_at = now


cdef void order_remove(Order *order, const Slab *slab, Connection *c) noexcept nogil:
    cdef uint32_t lane = c.queued - 1
    list_remove(slab, &order.lanes[lane], c, link_of)
    if order.lanes[lane].first == 0:
        order.occupied &= ~bit_of(lane)
    order.count -= 1
    c.queued = 0


cdef uint32_t choose_lane(Order *order, bint light) noexcept nogil:
    """The one of this sort that was served least."""
    cdef uint64_t bits = order.occupied & bits_of(light)
    cdef uint32_t best = lowest_bit(bits)
    cdef uint32_t lane
    bits &= bits - 1
    while bits:
        lane = lowest_bit(bits)
        bits &= bits - 1
        if order.served[lane] < order.served[best]:
            best = lane
    order.floors[light] = order.served[best]
    return best


cdef Visit order_next(Order *order, const Slab *slab, uint64_t now) noexcept nogil:
    cdef bint light = order.occupied & bits_of(True) != 0
    cdef bint both = light and order.occupied & bits_of(False) != 0
    cdef Visit visit
    if both:
        light = order.lead <= LEAD
    visit.lane = choose_lane(order, light)
    visit.both = both
    visit.c = slab_at(slab, order.lanes[visit.lane].first)
    visit.generation = visit.c.generation
    visit.begun = now
    visit.light_at = visit.c.light_at + now - visit.c.queued_at     # it did not rest while it waited
    order_remove(order, slab, visit.c)
    return visit


cdef void order_charge(Order *order, const Slab *slab, const Visit *visit, uint64_t now) noexcept nogil:
    cdef uint64_t took = now - visit.begun
    cdef Connection *c = visit.c
    order.served[visit.lane] += took
    if not visit.both:
        order.lead = 0
    elif visit.lane >= LANES:
        order.lead += took
    else:
        order.lead = max(order.lead - <int64_t> took, <int64_t> -BEHIND)
    if c.generation != visit.generation:
        return
    c.light_at = max(visit.light_at, now - min(now, <uint64_t> REST)) + took * LIGHT
    if c.queued > LANES and c.light_at > now:
        order_remove(order, slab, c)
        order_add(order, slab, c, now)
