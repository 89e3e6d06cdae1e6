# How many connections each client address has: a hash table that counts them.
#
# An IPv6 client usually has a whole /64 (RFC 4291 section 2.5.4), so these addresses count together. An entry exists
# only while its address has a connection, so the table is bounded by the number of connections.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t


cdef struct Client:
    uint64_t key                # the IPv4 address, or the first 8 bytes of the IPv6 address
    uint32_t connections        # 0: the entry is free
    uint16_t family

cdef struct Clients:
    Client *entries             # open addressing, at most half full; NULL: no entry so far
    uint32_t mask               # number of entries minus 1; a power of two minus 1
    uint32_t used
    uint64_t seed               # unpredictable, so that clients cannot choose addresses that collide

cdef enum Entry:
    ENTRY_COUNTED = 0
    ENTRY_REFUSED               # the address has `most` connections already
    ENTRY_FAILED                # out of memory

# Makes room in an empty table for so many addresses, so that it never grows: all entries would move at once. False: out
# of memory.
cdef bint clients_reserve(Clients *clients, uint32_t most) noexcept nogil
# Counts a connection of an address (AF_INET or AF_INET6, network order).
cdef Entry clients_enter(Clients *clients, uint16_t family, const uint8_t *address, uint32_t most) noexcept nogil
# Removes a connection that was counted.
cdef void clients_leave(Clients *clients, uint16_t family, const uint8_t *address) noexcept nogil
# The number of connections of an address that has one.
cdef uint32_t clients_count(const Clients *clients, uint16_t family, const uint8_t *address) noexcept nogil
cdef void clients_free(Clients *clients) noexcept nogil
