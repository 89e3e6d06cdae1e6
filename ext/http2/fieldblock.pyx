"""Fields as bytes; see fieldblock.pxd."""

from libc.stdint cimport uint8_t

from fastroute.ext.http2.nghttp2 cimport (
    NGHTTP2_NV_FLAG_NO_COPY_NAME, NGHTTP2_NV_FLAG_NO_COPY_VALUE, NGHTTP2_NV_FLAG_NO_INDEX,
)
from fastroute.ext.memory.buffer cimport buffer_reserve
from fastroute.ext.memory.slice cimport arena_take
from fastroute.ext.message.message cimport RECEIVED_SECRET
from fastroute.ext.message.octet cimport is_lower, is_text, put_lower


cdef bint list_begin(FieldList *list, uint32_t count, Arena *arena, char *text, uint32_t room) noexcept nogil:
    list.fields = <nghttp2_nv *> arena_take(arena, count * <uint32_t> sizeof(nghttp2_nv))
    list.count = list.size = 0
    list.single = NULL
    list.room = count
    list.text = text
    list.text_used = 0
    list.text_room = room
    return list.fields is not NULL


cdef char *list_text(FieldList *list, uint32_t size) noexcept nogil:
    cdef char *text = list.text + list.text_used
    if list.text_room - list.text_used < size:
        return NULL
    list.text_used += size
    return text


cdef bint list_plain(FieldList *list, Slice name, Slice value) noexcept nogil:
    if list.count == list.room:
        return False
    fill_field(list.fields + list.count, name, value)
    list.size += SIZES + name.size + value.size
    list.count += 1
    return True


cdef bint list_field(FieldList *list, const Field *field) noexcept nogil:
    cdef Slice name = field.name
    cdef char *text
    if not is_lower(name.data, name.size):
        text = list_text(list, name.size)
        if text is NULL:
            return False
        put_lower(text, name.data, name.size)
        name.data = text
    if not list_plain(list, name, field.value):
        return False
    if field.received & RECEIVED_SECRET:
        list.fields[list.count - 1].flags |= NGHTTP2_NV_FLAG_NO_INDEX
    elif is_single(name):
        list.single = list.fields + list.count - 1
    return True


cdef int list_keep(const FieldList *list, Buffer *buffer) noexcept nogil:
    cdef const nghttp2_nv *field
    cdef uint32_t i, size
    for i in range(list.count):
        field = list.fields + i
        size = <uint32_t> (SIZES + field.namelen + field.valuelen)
        if buffer_reserve(buffer, size) < 0:
            return -1
        put_plain(buffer.data + buffer.end, Slice(<const char *> field.name, <uint32_t> field.namelen),
                  Slice(<const char *> field.value, <uint32_t> field.valuelen),
                  field.flags & NGHTTP2_NV_FLAG_NO_INDEX != 0 and field != list.single)
        buffer.end += size
    return 0


cdef inline bint is_single(Slice name) noexcept nogil:
    """Whether each message has another value in this field: it would displace others from the table."""
    return name.size == 12 and is_text(name.data, 12, b"x-request-id", 12)


cdef inline bint is_credential(Slice name) noexcept nogil:
    """Whether the field identifies a client, also one of HTTP/1 (RFC 7541 section 7.1.3): clients share the table of a
    backend's connection. libnghttp2 itself keeps Authorization, Set-Cookie and Cookie of less than 20 bytes out of it."""
    return name.size == 6 and is_text(name.data, 6, b"cookie", 6)


cdef inline void fill_field(nghttp2_nv *field, Slice name, Slice value) noexcept nogil:
    field.name = <uint8_t *> name.data
    field.value = <uint8_t *> (value.data if value.size else name.data)     # not NULL
    field.namelen = name.size
    field.valuelen = value.size
    field.flags = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE
    if is_single(name) or is_credential(name):
        field.flags |= NGHTTP2_NV_FLAG_NO_INDEX


cdef nghttp2_nv *list_fields(const char *block, uint32_t size, size_t *count, nghttp2_nv **single,
                             Arena *arena) noexcept nogil:
    cdef const char *at = block
    cdef nghttp2_nv *fields = <nghttp2_nv *> arena_take(arena, 0)
    cdef nghttp2_nv *field = fields
    cdef Slice name, value
    cdef uint8_t received
    single[0] = NULL
    if fields is NULL:
        return NULL
    while next_field(&at, block + size, &name, &value, &received):
        if arena_take(arena, sizeof(nghttp2_nv)) is NULL:
            return NULL
        fill_field(field, name, value)
        if received & RECEIVED_SECRET:
            field.flags |= NGHTTP2_NV_FLAG_NO_INDEX
        elif is_single(name):
            single[0] = field
        field += 1
    count[0] = field - fields
    return fields
