# Answers of HTTP/2: from a Message to a block of fields.

from libc.stdint cimport uint32_t

from fastroute.ext.http2.nghttp2 cimport nghttp2_nv
from fastroute.ext.memory.slice cimport Arena
from fastroute.ext.message.message cimport Message


# Writes the head of an answer. Returns its bytes, or 0 if `room` is too small.
cdef uint32_t write_response(char *out, uint32_t room, const Message *message) noexcept nogil
# Appends the fields of the message that go on at `used`. Returns the bytes in use then, or 0 if `room` is too small.
cdef uint32_t put_fields(char *out, uint32_t used, uint32_t room, const Message *message) noexcept nogil
# Writes trailers. Returns their bytes; 0 if no field is forwarded (has_fields) or `room` is too small.
cdef uint32_t write_trailers(char *out, uint32_t room, const Message *trailers) noexcept nogil
# Whether any field of the message is forwarded.
cdef bint has_fields(const Message *message) noexcept nogil
# The fields of a block for libnghttp2, in the arena; they refer to the block. NULL if the arena is full.
cdef nghttp2_nv *list_fields(const char *block, uint32_t size, size_t *count, Arena *arena) noexcept nogil
