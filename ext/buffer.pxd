# Bytes that a connection must keep between two events: a partial head, or output that its peer has not read yet.
#
# A Buffer owns memory only while it holds bytes: an idle connection has none. The code that appends limits its size.

from libc.stdint cimport uint32_t


cdef struct Buffer:
    char *data              # NULL while empty
    uint32_t start          # offset of the first byte
    uint32_t end            # offset after the last byte
    uint32_t room           # size of the memory at `data`

cdef inline uint32_t buffer_size(const Buffer *buffer) noexcept nogil:
    """The number of bytes."""
    return buffer.end - buffer.start

cdef inline char *buffer_bytes(const Buffer *buffer) noexcept nogil:
    """The first byte; valid until the buffer changes."""
    return buffer.data + buffer.start

# Makes room for at least `size` more bytes at the end; may move the content. Returns 0, or -1 if out of memory.
cdef int buffer_reserve(Buffer *buffer, uint32_t size) noexcept nogil
# Appends a copy of `size` bytes. Returns 0, or -1 if out of memory.
cdef int buffer_append(Buffer *buffer, const char *data, uint32_t size) noexcept nogil
# Removes the first `size` bytes; frees the memory if the buffer is then empty.
cdef void buffer_consume(Buffer *buffer, uint32_t size) noexcept nogil
cdef void buffer_free(Buffer *buffer) noexcept nogil
