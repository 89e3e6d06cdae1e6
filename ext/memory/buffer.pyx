"""Bytes kept between two events; see buffer.pxd."""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memmove

from fastroute.ext.memory.spare cimport spare_give, spare_take

cdef enum:
    ROOM_LEAST = 1024       # bytes of the smallest buffer; larger ones are doubled
    ROOM_KEPT = 8192        # bytes up to which a buffer does not become smaller

cdef uint64_t _total = 0


cdef uint64_t buffers_total() noexcept nogil:
    return _total


cdef void buffers_note(int64_t size) noexcept nogil:
    global _total
    _total += <uint64_t> size


cdef int move(Buffer *buffer, uint32_t room) noexcept nogil:
    """Moves the content to `room` bytes of new memory. Returns 0, or -1 if out of memory."""
    global _total
    cdef uint32_t held = buffer.end - buffer.start
    cdef char *data = <char *> spare_take(room)
    if data is NULL:
        return -1
    if held:
        memcpy(data, buffer.data + buffer.start, held)
    spare_give(buffer.data, buffer.room)
    _total += room
    _total -= buffer.room
    buffer.data = data
    buffer.start = 0
    buffer.end = held
    buffer.room = room
    return 0


cdef int buffer_reserve(Buffer *buffer, uint32_t size) noexcept nogil:
    """Makes room for `size` more bytes: moves the content to the front, or else doubles the memory."""
    cdef uint32_t held = buffer.end - buffer.start
    cdef uint32_t room = ROOM_LEAST
    if buffer.room - buffer.end >= size:
        return 0
    if buffer.room - held >= size:
        memmove(buffer.data, buffer.data + buffer.start, held)
        buffer.start = 0
        buffer.end = held
        return 0
    while room - held < size or room < held:
        if room > (<uint32_t> 1 << 30):
            return -1
        room *= 2
    return move(buffer, room)


cdef int buffer_append(Buffer *buffer, const char *data, uint32_t size) noexcept nogil:
    if size == 0:
        return 0
    if buffer_reserve(buffer, size) < 0:
        return -1
    memcpy(buffer.data + buffer.end, data, size)
    buffer.end += size
    return 0


cdef void buffer_consume(Buffer *buffer, uint32_t size) noexcept nogil:
    cdef uint32_t room = buffer.room
    buffer.start += size
    if buffer.start >= buffer.end:
        buffer_free(buffer)
        return
    while room > ROOM_KEPT and room // 2 >= buffer.end - buffer.start:
        room //= 2
    if room < buffer.room:
        move(buffer, room)      # if there is no memory, the larger one is kept


cdef void buffer_release(Buffer *buffer) noexcept nogil:
    global _total
    _total -= buffer.room
    spare_give(buffer.data, buffer.room)
    buffer.data = NULL
    buffer.start = buffer.end = buffer.room = 0
