# gRPC-Web (github.com/grpc/grpc, doc/PROTOCOL-WEB.md): calls of gRPC in messages of HTTP without trailers, for browsers. The
# trailers are a last frame of the body. In the text form, the body is in base64.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t

from fastroute.ext.memory.buffer cimport Buffer
from fastroute.ext.memory.slice cimport Arena, Slice
from fastroute.ext.message.message cimport Message


cdef struct WebText:            # the part of the text of a request that has arrived and is not decoded yet
    uint16_t bits
    uint8_t digits              # of the next four
    uint8_t padding             # of these

cdef struct WebFrames:          # the position in the frames of an answer
    uint32_t left               # octets of the frame's content that follow; within its head: the first octets of the size
    uint8_t head                # octets of the frame's head that have arrived; 0: no frame has begun, or the last is complete

# The form in which the answer to this request is wanted: WEB_BINARY or WEB_TEXT. `asks`: the CallKind of the request.
cdef uint8_t web_answers(const Message *request, uint8_t asks) noexcept nogil
# Makes the request a call of gRPC. `asks`: its CallKind. Returns 0, or -1 if the arena is full.
cdef int web_take_request(Message *request, uint8_t asks, Arena *arena) noexcept nogil
# Makes the answer, which is_grpc_answer, one of gRPC-Web. Returns 0, or -1 if the arena is full.
cdef int web_take_answer(Message *answer, uint8_t kind, Arena *arena) noexcept nogil
# Decodes base64 in place, also if it was split anywhere, and if padding ends a part before the end. Returns the number of
# bytes, or -1 if the text is invalid.
cdef int64_t web_decode(WebText *text, char *data, uint32_t size) noexcept nogil
# Whether the text ends here.
cdef inline bint web_is_whole(const WebText *text) noexcept nogil:
    return text.digits == 0
# Advances the position by these octets.
cdef void web_follow(WebFrames *frames, Slice data) noexcept nogil
# Whether a frame may begin here.
cdef inline bint web_is_between(const WebFrames *frames) noexcept nogil:
    return frames.head == 0
# Adds a piece of the body of an answer to `out`: the data and, unless they are NULL, the trailers that end it. Returns 0, or
# -1 if out of memory.
cdef int web_write(Buffer *out, uint8_t kind, Slice data, const Message *trailers) noexcept nogil
# The Content-Type of a CallKind, without a format.
cdef Slice web_type(uint8_t kind) noexcept nogil
