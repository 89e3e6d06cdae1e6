"""Fields as bytes; see fieldblock.pxd."""

from fastroute.ext.message.octet cimport put_lower


cdef uint32_t put_field(char *out, uint32_t used, uint32_t room, Slice name, Slice value) noexcept nogil:
    cdef char *at = put_name(out, used, room, name, value.size)
    if at is NULL:
        return 0
    if value.size:
        memcpy(at, value.data, value.size)
    return used + SIZES + name.size + value.size


cdef inline char *put_name(char *out, uint32_t used, uint32_t room, Slice name, uint32_t value) noexcept nogil:
    """Writes the sizes and the name. Returns where the `value` bytes of the value belong; NULL if there is no room."""
    cdef uint32_t[2] sizes
    cdef char *at = out + used
    if room - used < SIZES or room - used - SIZES < name.size or room - used - SIZES - name.size < value:
        return NULL
    sizes[0] = name.size
    sizes[1] = value
    memcpy(at, sizes, SIZES)
    at += SIZES
    put_lower(at, name.data, name.size)
    return at + name.size


cdef uint32_t put_joined(char *out, uint32_t used, uint32_t room, Slice name, const Slice *parts, int count) noexcept nogil:
    cdef uint32_t size = 0
    cdef char *at
    cdef int i
    for i in range(count):
        size += parts[i].size
    at = put_name(out, used, room, name, size)
    if at is NULL:
        return 0
    for i in range(count):
        if parts[i].size:
            memcpy(at, parts[i].data, parts[i].size)
            at += parts[i].size
    return used + SIZES + name.size + size
