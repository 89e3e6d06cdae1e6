# Fields as bytes, between libnghttp2 and a Message: name and value of each, one after another, with their sizes. Names
# are in lower case; pseudo-header fields come first.

from libc.stdint cimport uint32_t
from libc.string cimport memcpy

from fastroute.ext.memory.slice cimport Slice


cdef enum:
    SIZES = 8                   # bytes before the name: its size and that of the value

# Appends a field at `used`, with its name in lower case. Returns the bytes in use then, or 0 if `room` is too small.
cdef uint32_t put_field(char *out, uint32_t used, uint32_t room, Slice name, Slice value) noexcept nogil

# The same at `out`, which has room for the field. The name is in lower case.
cdef inline void put_plain(char *out, Slice name, Slice value) noexcept nogil:
    cdef uint32_t[2] sizes
    sizes[0] = name.size
    sizes[1] = value.size
    memcpy(out, sizes, SIZES)
    memcpy(out + SIZES, name.data, name.size)
    memcpy(out + SIZES + name.size, value.data, value.size)

# The same as put_field; the value is the parts, one after another.
cdef uint32_t put_joined(char *out, uint32_t used, uint32_t room, Slice name, const Slice *parts, int count) noexcept nogil

cdef inline bint next_field(const char **at, const char *end, Slice *name, Slice *value) noexcept nogil:
    """Reads the field at `at`, and moves `at` to the next one. False: there is none."""
    cdef uint32_t[2] sizes
    if at[0] == end:
        return False
    memcpy(sizes, at[0], SIZES)
    name[0] = Slice(at[0] + SIZES, sizes[0])
    value[0] = Slice(at[0] + SIZES + sizes[0], sizes[1])
    at[0] += SIZES + sizes[0] + sizes[1]
    return True
