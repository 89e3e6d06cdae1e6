"""The timer wheel; see timer.pxd."""

from libc.stdint cimport UINT32_MAX, uint32_t, uint64_t

from fastroute.ext.memory.list cimport Link
from fastroute.ext.reactor.connection cimport NO_SLOT, slab_at, slab_free, slab_take
from fastroute.ext.reactor.linked cimport list_append, list_remove

cdef extern from *:
    """
    #define fastroute_lowest(word) __builtin_ctzll(word)
    #define fastroute_turned(word, by) ((word) >> ((by) & 63) | (word) << (-(by) & 63))
    """
    uint32_t lowest "fastroute_lowest"(uint64_t word) noexcept nogil                # the index of the lowest bit; not of 0
    uint64_t turned "fastroute_turned"(uint64_t word, uint32_t by) noexcept nogil   # rotated right


cdef inline Link *timer_link(Connection *c) noexcept nogil:
    return &c.timer_link


cdef void insert(Wheel *wheel, Slab *slab, Connection *connection) noexcept nogil:
    cdef uint64_t tick = (connection.deadline + TICK - 1) // TICK
    cdef uint32_t slot
    if tick < wheel.tick:
        tick = wheel.tick
    if tick > wheel.tick + SLOTS - 1:
        tick = wheel.tick + SLOTS - 1
    slot = tick % SLOTS
    connection.timer_slot = slot
    list_append(slab, &wheel.slots[slot], connection, timer_link)
    wheel.filled[slot // 64] |= <uint64_t> 1 << (slot % 64)
    wheel.words |= <uint64_t> 1 << (slot // 64)
    wheel.count += 1


cdef void empty(Wheel *wheel, uint32_t slot) noexcept nogil:
    cdef uint32_t word = slot // 64
    wheel.filled[word] &= ~(<uint64_t> 1 << (slot % 64))
    if wheel.filled[word] == 0:
        wheel.words &= ~(<uint64_t> 1 << word)


cdef void timer_remove(Wheel *wheel, Slab *slab, Connection *connection) noexcept nogil:
    cdef uint32_t slot = connection.timer_slot
    if slot == NO_SLOT:
        return
    list_remove(slab, &wheel.slots[slot], connection, timer_link)
    if wheel.slots[slot].first == 0:
        empty(wheel, slot)
    connection.timer_slot = NO_SLOT
    wheel.count -= 1


cdef uint64_t next_tick(const Wheel *wheel, uint32_t slot) noexcept nogil:
    """The tick at which `slot` is reached next."""
    return wheel.tick + (slot - wheel.tick % SLOTS) % SLOTS


cdef void timer_set(Wheel *wheel, Slab *slab, Connection *connection, uint64_t deadline) noexcept nogil:
    connection.deadline = deadline
    if deadline == 0:
        return
    if connection.timer_slot != NO_SLOT:
        if next_tick(wheel, connection.timer_slot) * TICK <= deadline + TICK - 1:
            return
        timer_remove(wheel, slab, connection)
    insert(wheel, slab, connection)


cdef Connection *timer_expired(Wheel *wheel, Slab *slab, uint64_t now, uint32_t *steps) noexcept nogil:
    cdef uint64_t next
    cdef uint32_t index
    cdef Connection *connection
    while steps[0] != 0:
        next = timer_next(wheel)
        if next == 0 or next > now:
            # The slots up to now are empty and can be skipped.
            if now // TICK > wheel.tick:
                wheel.tick = now // TICK
            return NULL
        wheel.tick = next // TICK
        index = wheel.slots[wheel.tick % SLOTS].first
        connection = slab_at(slab, index)
        timer_remove(wheel, slab, connection)
        steps[0] -= 1
        if connection.deadline == 0:
            continue
        if connection.deadline <= now:
            return connection
        insert(wheel, slab, connection)
    return NULL


cdef uint64_t timer_next(const Wheel *wheel) noexcept nogil:
    """Finds the first slot with a connection, for one round from the current slot."""
    cdef uint32_t start = wheel.tick % SLOTS
    cdef uint32_t word = start // 64
    cdef uint64_t bits
    if wheel.count == 0:
        return 0
    bits = wheel.filled[word] & (~<uint64_t> 0 << (start % 64))
    if bits == 0:
        word += 1 + lowest(turned(wheel.words, word + 1))
        word %= SLOTS // 64
        bits = wheel.filled[word]
    return next_tick(wheel, word * 64 + lowest(bits)) * TICK


cdef class Deadlines:
    """A timer wheel over connections without sockets, for tests in Python."""

    cdef Wheel wheel
    cdef Slab slab

    def __cinit__(self, uint64_t now):
        self.wheel.tick = now // TICK

    def __dealloc__(self):
        slab_free(&self.slab)

    def add(self):
        """Adds a connection without a deadline; returns its index."""
        cdef Connection *connection = slab_take(&self.slab)
        if connection is NULL:
            raise MemoryError
        return connection.index

    def set(self, uint32_t index, uint64_t deadline):
        timer_set(&self.wheel, &self.slab, slab_at(&self.slab, index), deadline)

    def remove(self, uint32_t index):
        timer_remove(&self.wheel, &self.slab, slab_at(&self.slab, index))

    def expired(self, uint64_t now, uint32_t steps=UINT32_MAX):
        """The indexes of the connections whose deadline has passed: of all, or of those found with so many steps."""
        found = []
        cdef Connection *connection = timer_expired(&self.wheel, &self.slab, now, &steps)
        while connection is not NULL:
            found.append(connection.index)
            connection = timer_expired(&self.wheel, &self.slab, now, &steps)
        return found

    def next(self):
        """When to call `expired` again; 0: never."""
        return timer_next(&self.wheel)
