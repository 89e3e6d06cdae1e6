# Answers of HTTP/2: from a Message to a block of fields.

from libc.stdint cimport uint32_t

from fastroute.ext.http2.fieldblock cimport FieldList
from fastroute.ext.message.message cimport Message


# Writes the head of an answer. Returns its bytes, or 0 if `room` is too small.
cdef uint32_t write_response(char *out, uint32_t room, const Message *message) noexcept nogil
# Adds the fields of a message that go on. False: there is no room.
cdef bint list_message(FieldList *list, const Message *message) noexcept nogil
