# A Message in one block of memory, so that it outlives the pass in which it was received: for retries and mirrors.

from libc.stdint cimport uint32_t

from fastroute.ext.message.message cimport Message


# Bytes that the block of this message needs. Every protocol writes the message in at most BLOCK_MORE bytes more.
cdef uint32_t block_size(const Message *message) noexcept nogil
# Copies the message to `kept`, whose slices and fields lie in the `block_size` bytes at `room` (8-aligned), without the
# fields that are dropped. `mark` is not copied: it belongs to the engine.
cdef void block_keep(Message *kept, const Message *message, char *room) noexcept nogil

cdef enum:
    BLOCK_MORE = 512
