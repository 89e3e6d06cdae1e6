# Reading and changing the fields of a Head: by name without regard to case, and appending.

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy

from fastroute.ext.memory.slice cimport Arena, Slice, arena_take
from fastroute.ext.message.message cimport (
    FIELD_CONNECTION, FIELD_CONTENT_LENGTH, FIELD_HOST, FIELD_KEEP_ALIVE, FIELD_OTHER, FIELD_PROXY_CONNECTION, FIELD_TE,
    FIELD_TRANSFER_ENCODING, FIELD_UPGRADE, Field, Message,
)


cdef enum:
    FIELDS_MORE = 8             # fields added per allocation


cdef inline bint is_copied(uint8_t known) noexcept nogil:
    """Whether a field with this FieldName goes to the next hop as it is. The others are valid for one hop only (RFC 9110
    section 7.6.1), or are written from the members of the Message, so that a client or a filter cannot change them."""
    return not ((1 << FIELD_HOST | 1 << FIELD_CONTENT_LENGTH | 1 << FIELD_TRANSFER_ENCODING | 1 << FIELD_CONNECTION
                 | 1 << FIELD_KEEP_ALIVE | 1 << FIELD_PROXY_CONNECTION | 1 << FIELD_TE | 1 << FIELD_UPGRADE) >> known) & 1


cdef inline bint same_name(const Slice *lower, const Slice *name) noexcept nogil:
    """Whether `name` equals `lower` (a field name in lower case) without regard to case."""
    cdef uint32_t i
    cdef unsigned char byte
    if lower.size != name.size:
        return False
    for i in range(name.size):
        byte = name.data[i]
        if c'A' <= byte <= c'Z':
            byte |= 0x20
        if byte != <unsigned char> lower.data[i]:
            return False
    return True


cdef inline Field *append_field(Message *message, Arena *arena, Slice name, Slice value) noexcept nogil:
    """The new last field; NULL if the arena is full. Pointers to earlier fields are invalid afterwards."""
    cdef Field *fields
    if message.fields_count == message.fields_room:
        fields = <Field *> arena_take(arena, (message.fields_count + FIELDS_MORE) * <uint32_t> sizeof(Field))
        if fields == NULL:
            return NULL
        if message.fields_count:
            memcpy(fields, message.fields, message.fields_count * sizeof(Field))
        message.fields = fields
        message.fields_room = message.fields_count + FIELDS_MORE
    fields = &message.fields[message.fields_count]
    message.fields_count += 1
    fields.name = name
    fields.value = value
    fields.known = FIELD_OTHER
    fields.dropped = 0
    fields.received = 0
    return fields


cdef inline int join_slices(Slice *joined, Arena *arena, const Slice *parts, uint32_t count) noexcept nogil:
    """The concatenation of the parts, in the arena; -1 if it is full."""
    cdef uint32_t i, size = 0
    cdef char *out
    for i in range(count):
        size += parts[i].size
    out = <char *> arena_take(arena, size)
    if out == NULL:
        return -1
    joined.data = out
    joined.size = size
    for i in range(count):
        if parts[i].size:
            memcpy(out, parts[i].data, parts[i].size)
            out += parts[i].size
    return 0
