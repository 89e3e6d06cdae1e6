"""The slab of connections; see connection.pxd."""

from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memset


cdef int grow(Slab *slab) noexcept nogil:
    """Adds one chunk of free slots. Slot 0 is never used: handle 0 means none. Returns 0, or -1 if out of memory."""
    cdef Connection **chunks
    cdef Connection *chunk
    cdef uint32_t i, index, room
    if slab.chunks_count == slab.chunks_room:
        room = slab.chunks_room * 2 + 16
        chunks = <Connection **> realloc(slab.chunks, room * sizeof(Connection *))
        if chunks is NULL:
            return -1
        slab.chunks = chunks
        slab.chunks_room = room
    chunk = <Connection *> calloc(CHUNK, sizeof(Connection))
    if chunk is NULL:
        return -1
    slab.chunks[slab.chunks_count] = chunk
    for i in range(CHUNK, 0, -1):
        index = slab.chunks_count * CHUNK + i - 1
        chunk[i - 1].index = index
        if index != 0:
            chunk[i - 1].link.after = slab.free
            slab.free = index
    slab.chunks_count += 1
    return 0


cdef Connection *slab_take(Slab *slab) noexcept nogil:
    cdef Connection *connection
    cdef uint32_t index, generation
    if slab.free == 0 and grow(slab) < 0:
        return NULL
    index = slab.free
    connection = slab_at(slab, index)
    slab.free = connection.link.after
    generation = connection.generation + 1
    memset(connection, 0, sizeof(Connection))
    connection.index = index
    connection.generation = generation
    connection.timer_slot = NO_SLOT
    connection.fd = -1
    slab.live += 1
    return connection


cdef void slab_bury(Slab *slab, Connection *connection) noexcept nogil:
    connection.generation += 1
    connection.side = 0
    connection.state = STATE_CLOSED
    connection.link.after = slab.graves
    if slab.graves == 0:
        slab.graves_end = connection.index
    slab.graves = connection.index
    slab.live -= 1


cdef void slab_exhume(Slab *slab) noexcept nogil:
    if slab.graves == 0:
        return
    slab_at(slab, slab.graves_end).link.after = slab.free
    slab.free = slab.graves
    slab.graves = 0


cdef void slab_free(Slab *slab) noexcept nogil:
    cdef uint32_t i
    for i in range(slab.chunks_count):
        free(slab.chunks[i])
    free(slab.chunks)
    memset(slab, 0, sizeof(Slab))
