# Bytes that a connection must keep between two events: a head that came in part, an answer its client is slow to take.
#
# A Buffer owns its memory only while it holds bytes: an idle connection has none. Who appends bounds it.

from libc.stdint cimport uint32_t


cdef struct Buffer:
    char *data              # NULL while empty
    uint32_t start          # first byte held
    uint32_t end            # one after the last
    uint32_t room           # bytes of memory at `data`

cdef inline uint32_t buffer_size(const Buffer *buffer) noexcept nogil:
    """Bytes held."""
    return buffer.end - buffer.start

cdef inline char *buffer_bytes(const Buffer *buffer) noexcept nogil:
    """The first byte held; valid until the buffer changes."""
    return buffer.data + buffer.start

# Room for at least `size` more bytes after the last; moves what is held. Returns 0, or -1 without memory.
cdef int buffer_reserve(Buffer *buffer, uint32_t size) noexcept nogil
# Copies `size` bytes behind those held. Returns 0, or -1 without memory.
cdef int buffer_append(Buffer *buffer, const char *data, uint32_t size) noexcept nogil
# Forgets the first `size` bytes held; gives the memory back when that was all.
cdef void buffer_consume(Buffer *buffer, uint32_t size) noexcept nogil
cdef void buffer_free(Buffer *buffer) noexcept nogil
