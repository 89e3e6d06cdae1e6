# Bytes that a connection must keep between two events: a partial head, or output that its peer has not read yet.
#
# A Buffer owns memory only while it holds bytes: an idle connection has none. Its memory is at most twice its content,
# or 8 KiB. The code that appends limits its size.

from libc.stdint cimport int64_t, uint32_t, uint64_t


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
# Removes the first `size` bytes; frees the memory that is not needed any more, all of it if the buffer is then empty.
# May move the content.
cdef void buffer_consume(Buffer *buffer, uint32_t size) noexcept nogil
# Frees the memory of a buffer that has some.
cdef void buffer_release(Buffer *buffer) noexcept nogil

cdef inline void buffer_free(Buffer *buffer) noexcept nogil:
    if buffer.data is not NULL:
        buffer_release(buffer)

# The memory of all buffers of this process in bytes, with what was noted. A worker is a process with one engine.
cdef uint64_t buffers_total() noexcept nogil
# Adds memory for bytes of a peer that is not in a Buffer; negative if it was freed.
cdef void buffers_note(int64_t size) noexcept nogil
