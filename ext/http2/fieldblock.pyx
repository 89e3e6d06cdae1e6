"""Fields as bytes; see fieldblock.pxd."""

from fastroute.ext.message.octet cimport lower


cdef uint32_t put_field(char *out, uint32_t used, uint32_t room, Slice name, Slice value) noexcept nogil:
    cdef uint32_t[2] sizes
    cdef char *at = out + used
    cdef uint32_t i
    if room - used < SIZES or room - used - SIZES < name.size or room - used - SIZES - name.size < value.size:
        return 0
    sizes[0] = name.size
    sizes[1] = value.size
    memcpy(at, sizes, SIZES)
    at += SIZES
    for i in range(name.size):
        at[i] = lower(name.data[i])
    if value.size:
        memcpy(at + name.size, value.data, value.size)
    return used + SIZES + name.size + value.size
