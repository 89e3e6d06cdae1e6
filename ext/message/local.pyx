"""Answers of the gateway itself; see local.pxd."""

from libc.stdint cimport uint32_t
from libc.string cimport memset, strlen

from fastroute.ext.message.fieldlist cimport append_field
from fastroute.ext.message.message cimport BODY_LENGTH, METHOD_HEAD
from fastroute.ext.message.status cimport status_phrase

cdef enum:
    TYPE_SIZE = 25

cdef const char *TYPE = b"text/plain; charset=utf-8"


cdef inline int state(Message *message, Arena *arena, Slice name, Slice value) noexcept nogil:
    """Adds a field unless its value is empty. Returns 0, or -1 if the arena is full."""
    return 0 if value.size == 0 or append_field(message, arena, name, value) is not NULL else -1


cdef int add_status(Message *message, const LocalAnswer *local, Arena *arena) noexcept nogil:
    """Adds what tells the client how its call ended. Returns 0, or -1 if the arena is full."""
    if state(message, arena, Slice(b"grpc-status", 11), local.grpc_status) < 0:
        return -1
    return state(message, arena, Slice(b"grpc-message", 12), local.grpc_message)


cdef int local_trailers(Message *message, const LocalAnswer *local, Field *room, uint32_t fields_room,
                        Arena *arena) noexcept nogil:
    memset(message, 0, sizeof(Message))
    message.fields = room
    message.fields_room = fields_room
    return add_status(message, local, arena)


cdef int compose_trailers_only(Message *message, const LocalAnswer *local, Arena *arena) noexcept nogil:
    """Returns 0, or -1 if the arena is full (PROTOCOL-HTTP2.md, Trailers-Only)."""
    if state(message, arena, Slice(b"Content-Type", 12), local.grpc_type) < 0:
        return -1
    return add_status(message, local, arena)


cdef int local_compose(Message *message, const LocalAnswer *local, Field *room, uint32_t fields_room,
                       Arena *arena) noexcept nogil:
    cdef const char *phrase = status_phrase(local.status)
    cdef const Field *field = local.fields
    cdef const Field *end = local.fields + local.fields_count
    memset(message, 0, sizeof(Message))
    message.status = local.status
    message.reason = Slice(phrase, <uint32_t> strlen(phrase))
    message.fields = room
    message.fields_room = fields_room
    if state(message, arena, Slice(b"Date", 4), local.date) < 0 \
            or state(message, arena, Slice(b"Location", 8), local.location) < 0:
        return -1
    while field < end:
        if not field.dropped and append_field(message, arena, field.name, field.value) is NULL:
            return -1
        field += 1
    if local.grpc_status.size:
        return compose_trailers_only(message, local, arena)
    if local.status == 204:
        return 0
    message.declared = BODY_LENGTH
    message.content_length = local.size
    message.has_body = local.method != METHOD_HEAD
    return state(message, arena, Slice(b"Content-Type", 12), Slice(TYPE, TYPE_SIZE))
