# Fields as bytes, between libnghttp2 and a Message: name and value of each, one after another, with their sizes. Names
# are in lower case; pseudo-header fields come first.

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from fastroute.ext.http2.nghttp2 cimport nghttp2_nv
from fastroute.ext.memory.buffer cimport Buffer
from fastroute.ext.memory.slice cimport Arena, Slice
from fastroute.ext.message.message cimport RECEIVED_SECRET, Field
from fastroute.ext.message.octet cimport eight


cdef enum:
    SIZES = 8                   # bytes before the name: its size and that of the value
    SECRET = 31                 # the bit of the first size that stands for RECEIVED_SECRET

cdef struct FieldList:          # fields where they are, for libnghttp2: it reads them within the same call
    nghttp2_nv *fields
    uint32_t count
    uint32_t room
    uint32_t size               # bytes of all fields, as a block
    nghttp2_nv *single          # X-Request-Id, if the sender allows that it is in the table of the peer; otherwise NULL
    char *text                  # memory for names and values that must be written
    uint32_t text_used
    uint32_t text_room

cdef inline void copy_text(char *out, const char *data, uint32_t size) noexcept nogil:
    """Like memcpy, without a call for the sizes that most names and values have."""
    cdef uint64_t first, last
    if 8 <= size <= 16:
        first = eight(data)
        last = eight(data + size - 8)
        memcpy(out, &first, 8)
        memcpy(out + size - 8, &last, 8)
    elif size:
        memcpy(out, data, size)

# Writes a field at `out`, which has room for it. The name is in lower case.
cdef inline void put_plain(char *out, Slice name, Slice value, bint secret) noexcept nogil:
    cdef uint32_t[2] sizes
    sizes[0] = name.size | <uint32_t> secret << SECRET
    sizes[1] = value.size
    memcpy(out, sizes, SIZES)
    copy_text(out + SIZES, name.data, name.size)
    copy_text(out + SIZES + name.size, value.data, value.size)

# An empty list of at most `count` fields in the arena; `text` has `room` bytes. False: the arena is full.
cdef bint list_begin(FieldList *list, uint32_t count, Arena *arena, char *text, uint32_t room) noexcept nogil
# Adds a field whose name is in lower case. False: there is no room.
cdef bint list_plain(FieldList *list, Slice name, Slice value) noexcept nogil
# Adds a field of a Message. Its name is written if it is not in lower case. False: there is no room.
cdef bint list_field(FieldList *list, const Field *field) noexcept nogil
# `size` bytes of the text. NULL: there is no room.
cdef char *list_text(FieldList *list, uint32_t size) noexcept nogil
# Appends the fields as a block. Returns 0, or -1 if out of memory.
cdef int list_keep(const FieldList *list, Buffer *buffer) noexcept nogil

# The fields of a block for libnghttp2, in the arena; they refer to the block. `single`: as in FieldList. NULL if the arena
# is full.
cdef nghttp2_nv *list_fields(const char *block, uint32_t size, size_t *count, nghttp2_nv **single,
                             Arena *arena) noexcept nogil

cdef inline bint next_field(const char **at, const char *end, Slice *name, Slice *value, uint8_t *received) noexcept nogil:
    """Reads the field at `at`, and moves `at` to the next one; `received`: Received, or NULL. False: there is none."""
    cdef uint32_t[2] sizes
    if at[0] == end:
        return False
    memcpy(sizes, at[0], SIZES)
    if received is not NULL:
        received[0] = <int> RECEIVED_SECRET if sizes[0] >> SECRET else 0
    sizes[0] &= (<uint32_t> 1 << SECRET) - 1
    name[0] = Slice(at[0] + SIZES, sizes[0])
    value[0] = Slice(at[0] + SIZES + sizes[0], sizes[1])
    at[0] += SIZES + sizes[0] + sizes[1]
    return True
