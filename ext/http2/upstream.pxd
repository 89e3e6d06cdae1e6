# Messages to and from backends over HTTP/2: a request to a list of fields, and the block of an answer to a Message (RFC 9113
# section 8.3).

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.http2.fieldblock cimport FieldList
from fastroute.ext.memory.slice cimport Arena, Slice
from fastroute.ext.message.limits cimport HeadLimits
from fastroute.ext.message.message cimport Message


# Lists the head of a request. `secure`: to a backend with TLS; servers compare the scheme with their connection (RFC 9110
# section 7.4), so it is not that of the client. The list is in the arena, and refers to the Message and to `text`, which has
# `room` bytes. False: there is no room.
cdef bint list_request(FieldList *list, const Message *message, bint secure, Arena *arena, char *text,
                       uint32_t room) noexcept nogil
# Reads the head of an answer that libnghttp2 has accepted, to a request of `method` (MethodName). `ends`: no content follows.
# The Message points into the block and the arena. Returns 0, or -Refusal.
cdef int read_answer(Message *message, Slice block, bint ends, uint8_t method, const HeadLimits *limits,
                     Arena *arena) noexcept nogil
# The status with which a block begins; 0: it begins with none, so it is no head.
cdef uint32_t status_of(const char *block, uint32_t size) noexcept nogil
# The bytes of the first head in `blocks`, which are heads one after another.
cdef uint32_t first_head(const char *blocks, uint32_t size) noexcept nogil
