# Fields as bytes, between libnghttp2 and a Message: name and value of each, one after another, with their sizes. Names
# are in lower case; pseudo-header fields come first.

from libc.stdint cimport uint32_t
from libc.string cimport memcpy

from fastroute.ext.http2.nghttp2 cimport nghttp2_nv
from fastroute.ext.memory.buffer cimport Buffer
from fastroute.ext.memory.slice cimport Arena, Slice


cdef enum:
    SIZES = 8                   # bytes before the name: its size and that of the value

cdef struct FieldList:          # fields where they are, for libnghttp2: it reads them within the same call
    nghttp2_nv *fields
    uint32_t count
    uint32_t room
    char *text                  # memory for names and values that must be written
    uint32_t text_used
    uint32_t text_room

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

# An empty list of at most `count` fields in the arena; `text` has `room` bytes. False: the arena is full.
cdef bint list_begin(FieldList *list, uint32_t count, Arena *arena, char *text, uint32_t room) noexcept nogil
# Adds a field. Its name is written if it is not in lower case. False: there is no room.
cdef bint list_field(FieldList *list, Slice name, Slice value) noexcept nogil
# `size` bytes of the text. NULL: there is no room.
cdef char *list_text(FieldList *list, uint32_t size) noexcept nogil
# Appends the fields as a block. Returns 0, or -1 if out of memory.
cdef int list_keep(const FieldList *list, Buffer *buffer) noexcept nogil

# The fields of a block for libnghttp2, in the arena; they refer to the block. NULL if the arena is full.
cdef nghttp2_nv *list_fields(const char *block, uint32_t size, size_t *count, Arena *arena) noexcept nogil

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
