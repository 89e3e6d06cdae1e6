# An answer of the gateway itself, as a Message.

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from fastroute.ext.memory.slice cimport Arena, Slice
from fastroute.ext.message.message cimport Field, Message


cdef enum:
    LOCAL_FIELDS = 5            # fields that are added to those of a LocalAnswer

cdef struct LocalAnswer:
    uint16_t status
    uint8_t method              # MethodName of the request
    uint32_t size               # bytes of its text; a 204 has none
    Slice location              # for redirects; empty: none
    const Field *fields         # additional fields; those with `dropped` set are left out
    uint32_t fields_count
    Slice date                  # 29 bytes (date.pxd); empty: no Date
    Slice grpc_status           # the answer to a call is fields only, with this status; empty: an answer of HTTP
    Slice grpc_message
    Slice grpc_type             # its Content-Type

# Makes `message` this answer. Its fields are in `room`, which has `fields_room` of them, or in the arena if that is too
# small. Returns 0, or -1 if the arena is full.
cdef int local_compose(Message *message, const LocalAnswer *local, Field *room, uint32_t fields_room,
                       Arena *arena) noexcept nogil
# Makes `message` the trailers that end an answer with the status of gRPC of `local`. Returns like local_compose.
cdef int local_trailers(Message *message, const LocalAnswer *local, Field *room, uint32_t fields_room,
                        Arena *arena) noexcept nogil
