"""Messages in blocks; see block.pxd.

The block begins with the array of fields. The text of the fields follows as lines, each as name, ": ", value, CRLF
(is_line), so that an HTTP/1 writer copies all of them at once.
"""

from libc.stdint cimport uint32_t
from libc.string cimport memcpy

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.message cimport Field, Message, is_line

cdef enum:
    LINE_MORE = 4               # bytes of a line besides name and value


cdef uint32_t block_size(const Message *message) noexcept nogil:
    cdef const Field *field = message.fields
    cdef const Field *end = message.fields + message.fields_count
    cdef uint32_t size = (message.method.size + message.path.size + message.query.size + message.authority.size
                          + message.host.size + message.reason.size + message.protocols.size)
    while field < end:
        if not field.dropped:
            size += <uint32_t> sizeof(Field) + field.name.size + field.value.size + LINE_MORE
        field += 1
    return size


cdef inline char *keep(Slice *kept, char *into) noexcept nogil:
    """Copies the text of a slice to `into`, where the slice then points. Returns the end of the copy."""
    if kept.size:
        memcpy(into, kept.data, kept.size)
    kept.data = into
    return into + kept.size


cdef char *keep_line(Field *kept, const Field *field, char *into) noexcept nogil:
    cdef uint32_t name = field.name.size
    cdef uint32_t value = field.value.size
    if is_line(field):
        memcpy(into, field.name.data, name + value + LINE_MORE)
    else:
        memcpy(into, field.name.data, name)
        memcpy(into + name, b": ", 2)
        if value:
            memcpy(into + name + 2, field.value.data, value)
        memcpy(into + name + 2 + value, b"\r\n", 2)
    kept.name = Slice(into, name)
    kept.value = Slice(into + name + 2, value)
    kept.known = field.known
    kept.dropped = 0
    kept.received = 1
    return into + name + value + LINE_MORE


cdef void block_keep(Message *kept, const Message *message, char *room) noexcept nogil:
    cdef const Field *field = message.fields
    cdef const Field *end = message.fields + message.fields_count
    cdef Field *next = <Field *> room
    cdef char *into
    cdef uint32_t count = 0
    kept[0] = message[0]
    while field < end:
        count += not field.dropped
        field += 1
    kept.fields = next
    kept.fields_count = kept.fields_room = count
    into = <char *> (next + count)
    field = message.fields
    while field < end:
        if not field.dropped:
            into = keep_line(next, field, into)
            next += 1
        field += 1
    into = keep(&kept.method, into)
    into = keep(&kept.path, into)
    into = keep(&kept.query, into)
    into = keep(&kept.authority, into)
    into = keep(&kept.host, into)
    into = keep(&kept.reason, into)
    keep(&kept.protocols, into)
