"""Trailer sections; see trailer.pxd."""

from libc.stdint cimport uint32_t
from libc.string cimport memchr, memmove, memset

from fastroute.ext.memory.slice cimport arena_take
from fastroute.ext.message.fieldname cimport field_name
from fastroute.ext.message.message cimport Field
from fastroute.ext.message.octet cimport is_space


cdef const char *take_line(Field *field, const char *at, const char *end) noexcept nogil:
    """Reads the line at `at`. Returns its end."""
    cdef const char *colon = <const char *> memchr(at, c':', end - at)
    cdef const char *start = colon + 1
    cdef const char *stop = <const char *> memchr(start, c'\r', end - start)
    cdef const char *next_ = stop + 2
    field.name = Slice(at, <uint32_t> (colon - at))
    while start < stop and is_space(start[0]):
        start += 1
    while stop > start and is_space((stop - 1)[0]):
        stop -= 1
    field.value = Slice(start, <uint32_t> (stop - start))
    field.known = field_name(at, field.name.size)
    field.dropped = field.received = 0
    return next_


cdef int trailers_read(Message *trailers, Slice section, uint32_t count, Arena *arena) noexcept nogil:
    cdef const char *at = section.data
    cdef const char *end = at + section.size
    cdef uint32_t i
    memset(trailers, 0, sizeof(Message))
    trailers.fields = <Field *> arena_take(arena, count * <uint32_t> sizeof(Field))
    if trailers.fields is NULL:
        return -1
    for i in range(count):
        at = take_line(&trailers.fields[i], at, end)
    trailers.fields_count = trailers.fields_room = count
    return 0


cdef void trailers_join(const Message *trailers, Slice *section) noexcept nogil:
    cdef char *into = <char *> section.data
    cdef const char *last = section.data + section.size - 2
    cdef const char *start
    cdef const char *stop
    cdef uint32_t i
    for i in range(trailers.fields_count):
        start = trailers.fields[i].name.data
        stop = trailers.fields[i + 1].name.data if i + 1 < trailers.fields_count else last
        if not trailers.fields[i].dropped:
            memmove(into, start, stop - start)
            into += stop - start
    memmove(into, last, 2)
    section.size = <uint32_t> (into + 2 - section.data)
