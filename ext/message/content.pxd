# How much of a body has arrived, whatever the protocol by which it arrives.

from libc.stdint cimport uint8_t, uint64_t

from fastroute.ext.message.message cimport BODY_LENGTH, BODY_NONE, Message


cdef struct Content:
    uint8_t declared            # Declared; BODY_NONE if no content may follow
    uint8_t complete            # all of it has arrived, with its trailers
    uint64_t left               # with BODY_LENGTH: bytes that have not arrived
    uint64_t size               # bytes that have arrived

cdef inline void content_begin(Content *content, const Message *message) noexcept nogil:
    """The head `message` has arrived."""
    content.declared = message.declared if message.has_body else BODY_NONE
    content.complete = not message.has_body
    content.left = message.content_length if content.declared == BODY_LENGTH else 0
    content.size = 0

cdef inline void content_omit(Content *content) noexcept nogil:
    """There is no body, or it is not read."""
    content.declared = BODY_NONE
    content.complete = True
    content.left = content.size = 0

cdef inline void content_add(Content *content, uint64_t size, bint end) noexcept nogil:
    """A piece with `size` bytes has arrived; `end`: it is the last one."""
    content.size += size
    if content.declared == BODY_LENGTH:
        content.left -= size
    content.complete = end

cdef inline bint content_is_whole(const Content *content) noexcept nogil:
    """Whether all declared bytes have arrived, although the end may not have arrived yet."""
    return content.declared == BODY_LENGTH and content.left == 0

cdef inline uint64_t content_total(const Content *content) noexcept nogil:
    """Bytes of the body: as declared, otherwise those that have arrived so far."""
    return content.size + content.left
