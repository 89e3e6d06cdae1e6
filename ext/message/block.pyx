"""Messages in blocks; see block.pxd.

The block begins with the array of fields. The text of the fields follows as lines, each as name, ": ", value, CRLF
(is_line), so that an HTTP/1 writer copies all of them at once.
"""

from libc.stdint cimport uint32_t
from libc.string cimport memcpy

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.message cimport RECEIVED_LINE, Field, Message, is_line

cdef enum:
    LINE_MORE = 4               # bytes of a line besides name and value


cdef uint32_t block_size(const Message *message) noexcept nogil:
    cdef const Field *field = message.fields
    cdef const Field *end = message.fields + message.fields_count
    cdef uint32_t size = (message.method.size + message.path.size + message.query.size + message.authority.size
                          + message.host.size + message.reason.size + message.protocols.size)
    size += message.fields_count * (<uint32_t> sizeof(Field) + LINE_MORE)
    while field < end:
        if not field.dropped:
            size += field.name.size + field.value.size
        field += 1
    return size


cdef inline char *keep(Slice *kept, char *into) noexcept nogil:
    """Copies the text of a slice to `into`, where the slice then points. Returns the end of the copy."""
    if kept.size:
        memcpy(into, kept.data, kept.size)
    kept.data = into
    return into + kept.size


cdef inline void copy(char *end, const char *lines, uint32_t size) noexcept nogil:
    """Copies lines to the bytes before `end`."""
    if size:
        memcpy(end - size, lines, size)


cdef void write_line(const Field *field, char *into) noexcept nogil:
    cdef uint32_t name = field.name.size
    cdef uint32_t value = field.value.size
    memcpy(into, field.name.data, name)
    memcpy(into + name, b": ", 2)
    if value:
        memcpy(into + name + 2, field.value.data, value)
    memcpy(into + name + 2 + value, b"\r\n", 2)


cdef char *keep_fields(Message *kept, const Message *message, char *into) noexcept nogil:
    """Writes the lines of the fields to `into`. Lines that follow one another in the message are copied together."""
    cdef const Field *field = message.fields
    cdef const Field *end = message.fields + message.fields_count
    cdef Field *next = kept.fields
    cdef const char *lines = NULL       # lines to be copied to the bytes before `into`
    cdef uint32_t size = 0              # bytes of them
    while field < end:
        if field.dropped:
            field += 1
            continue
        if not is_line(field):
            copy(into, lines, size)
            size = 0
            write_line(field, into)
        else:
            if field.name.data != lines + size:
                copy(into, lines, size)
                lines = field.name.data
                size = 0
            size += field.name.size + field.value.size + LINE_MORE
        next.name = Slice(into, field.name.size)
        next.value = Slice(into + field.name.size + 2, field.value.size)
        next.known = field.known
        next.dropped = 0
        next.received = field.received | RECEIVED_LINE
        into += field.name.size + field.value.size + LINE_MORE
        next += 1
        field += 1
    copy(into, lines, size)
    kept.fields_count = kept.fields_room = <uint32_t> (next - kept.fields)
    return into


cdef void block_keep(Message *kept, const Message *message, char *room) noexcept nogil:
    cdef char *into
    kept[0] = message[0]
    kept.fields = <Field *> room
    into = keep_fields(kept, message, <char *> (kept.fields + message.fields_count))
    into = keep(&kept.method, into)
    into = keep(&kept.path, into)
    into = keep(&kept.query, into)
    into = keep(&kept.authority, into)
    into = keep(&kept.host, into)
    into = keep(&kept.reason, into)
    keep(&kept.protocols, into)
