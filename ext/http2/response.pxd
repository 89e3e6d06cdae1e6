# Answers of HTTP/2: from a Message to a list of fields.

from libc.stdint cimport uint32_t

from fastroute.ext.http2.fieldblock cimport FieldList
from fastroute.ext.memory.slice cimport Arena
from fastroute.ext.message.message cimport Message


# Lists the head of an answer. The list is in the arena, and refers to the Message and to `text`, which has `room` bytes.
# False: there is no room.
cdef bint list_response(FieldList *list, const Message *message, Arena *arena, char *text, uint32_t room) noexcept nogil
# Adds the fields of a message that go on. False: there is no room.
cdef bint list_message(FieldList *list, const Message *message) noexcept nogil
# Adds Content-Length if the message declares it. False: there is no room.
cdef bint list_length(FieldList *list, const Message *message) noexcept nogil
