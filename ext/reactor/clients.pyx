"""Connections by client address; see clients.pxd."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from fastroute.ext.memory.address cimport AF_INET, AF_INET6, inet_pton
from fastroute.ext.memory.random cimport random_next

cdef enum:
    LEAST = 64                  # entries of the smallest table


cdef uint64_t key_of(uint16_t family, const uint8_t *address) noexcept nogil:
    cdef uint64_t key = 0
    memcpy(&key, address, 4 if family == AF_INET else 8)
    return key


cdef uint32_t find(const Clients *clients, uint16_t family, uint64_t key) noexcept nogil:
    """The index of the entry of this address, or of the free entry in which it would be stored."""
    cdef uint32_t index = home(clients, family, key)
    cdef const Client *entry = &clients.entries[index]
    while entry.connections and (entry.key != key or entry.family != family):
        index = (index + 1) & clients.mask
        entry = &clients.entries[index]
    return index


cdef uint32_t home(const Clients *clients, uint16_t family, uint64_t key) noexcept nogil:
    """The index where the search for an address begins."""
    cdef uint64_t state = key ^ clients.seed ^ (<uint64_t> family << 48)
    return <uint32_t> random_next(&state) & clients.mask


cdef bint grow(Clients *clients) noexcept nogil:
    """Makes room for one more entry. False: out of memory."""
    cdef Client *old = clients.entries
    cdef uint32_t size = clients.mask + 1 if old is not NULL else 0
    cdef uint32_t i
    if 2 * (clients.used + 1) <= size:
        return True
    clients.entries = <Client *> calloc(2 * size if size else LEAST, sizeof(Client))
    if clients.entries is NULL:
        clients.entries = old
        return False
    clients.mask = (2 * size if size else <uint32_t> LEAST) - 1
    for i in range(size):
        if old[i].connections:
            clients.entries[find(clients, old[i].family, old[i].key)] = old[i]
    free(old)
    return True


cdef bint clients_reserve(Clients *clients, uint32_t most) noexcept nogil:
    cdef uint32_t size = LEAST
    while size // 2 < most:
        size *= 2
    clients_free(clients)
    clients.entries = <Client *> calloc(size, sizeof(Client))
    if clients.entries is NULL:
        return False
    clients.mask = size - 1
    return True


cdef Entry clients_enter(Clients *clients, uint16_t family, const uint8_t *address, uint32_t most) noexcept nogil:
    cdef uint64_t key = key_of(family, address)
    cdef Client *entry
    if not grow(clients):
        return ENTRY_FAILED
    entry = &clients.entries[find(clients, family, key)]
    if entry.connections >= most:
        return ENTRY_REFUSED
    if entry.connections == 0:
        entry.key = key
        entry.family = family
        clients.used += 1
    entry.connections += 1
    return ENTRY_COUNTED


cdef void clients_leave(Clients *clients, uint16_t family, const uint8_t *address) noexcept nogil:
    cdef uint32_t index = find(clients, family, key_of(family, address))
    clients.entries[index].connections -= 1
    if clients.entries[index].connections == 0:
        clients.used -= 1
        close_gap(clients, index)


cdef uint32_t clients_count(const Clients *clients, uint16_t family, const uint8_t *address) noexcept nogil:
    return clients.entries[find(clients, family, key_of(family, address))].connections


cdef void close_gap(Clients *clients, uint32_t gap) noexcept nogil:
    """Moves later entries into the free entry at `gap`, so that a search from their homes still finds them."""
    cdef uint32_t index = gap
    cdef uint32_t begins
    while True:
        index = (index + 1) & clients.mask
        if clients.entries[index].connections == 0:
            return
        begins = home(clients, clients.entries[index].family, clients.entries[index].key)
        if ((index - begins) & clients.mask) >= ((index - gap) & clients.mask):
            clients.entries[gap] = clients.entries[index]
            clients.entries[index].connections = 0
            gap = index


cdef void clients_free(Clients *clients) noexcept nogil:
    free(clients.entries)
    clients.entries = NULL
    clients.mask = clients.used = 0


# --- for Python


cdef class ClientTable:
    """The table of one worker, for tests."""

    cdef Clients _clients

    def __cinit__(self, uint64_t seed, uint32_t room=0):
        self._clients.seed = seed
        if room and not clients_reserve(&self._clients, room):
            raise MemoryError

    def __dealloc__(self):
        clients_free(&self._clients)

    def enter(self, str address not None, uint32_t most) -> bool:
        """Whether a connection of this address was counted. Raises MemoryError."""
        cdef uint8_t raw[16]
        cdef uint16_t family = parse(address, raw)
        cdef Entry entry = clients_enter(&self._clients, family, raw, most)
        if entry == ENTRY_FAILED:
            raise MemoryError
        return entry == ENTRY_COUNTED

    def leave(self, str address not None) -> None:
        """Removes a connection that was counted."""
        cdef uint8_t raw[16]
        cdef uint16_t family = parse(address, raw)
        clients_leave(&self._clients, family, raw)

    @property
    def size(self) -> int:
        """The number of entries, free ones too."""
        return self._clients.mask + 1 if self._clients.entries is not NULL else 0

    @property
    def used(self) -> int:
        """The number of addresses with a connection."""
        return self._clients.used


cdef uint16_t parse(str address, uint8_t *raw) except 0:
    cdef bytes encoded = address.encode()
    cdef uint16_t family = AF_INET6 if ":" in address else AF_INET
    if inet_pton(family, encoded, raw) != 1:
        raise ValueError(address)
    return family
