"""Requests of HTTP/2; see request.pxd.

libnghttp2 has checked what RFC 9113 section 8 demands of every request: names in lower case, octets of names and values
(the same ones that HTTP/1 accepts, and no empty name), pseudo-header fields (complete, not repeated, before all others), no connection-specific fields, TE with `trailers` only,
one Content-Length, which agrees with the content. Here the same limits and rules apply as for HTTP/1.

Host and :authority must agree without regard to case (section 8.3.1). The crumbs of Cookie are joined (section 8.2.3), and
are one field for the limit.
"""

from libc.stdint cimport uint8_t
from libc.string cimport memcpy, memset

from fastroute.ext.http2.fieldblock cimport next_field
from fastroute.ext.memory.slice cimport arena_take
from fastroute.ext.message.authority cimport check_authority, take_host
from fastroute.ext.message.fieldlist cimport append_field
from fastroute.ext.message.fieldname cimport field_name
from fastroute.ext.message.fieldname import HOP_FIELDS
from fastroute.ext.message.limits cimport FIELDS_SPARE, METHOD_MOST
from fastroute.ext.message.message cimport (
    BODY_LENGTH, BODY_NONE, BODY_UNKNOWN, DROPPED_HERE, FIELD_CONTENT_LENGTH, FIELD_COUNT, FIELD_EXPECT, FIELD_HOST,
    FIELD_LOOP, FIELD_MAX_FORWARDS, FIELD_TE, METHOD_CONNECT, METHOD_OPTIONS, METHOD_TRACE, Field,
)
from fastroute.ext.message.method cimport method_of
from fastroute.ext.message.number cimport count_bytes, take_max_forwards
from fastroute.ext.message.octet cimport is_text, is_token, lower, run_over_visible
from fastroute.ext.message.path cimport take_path
from fastroute.ext.message.refusal cimport (
    REFUSAL_ARENA_FULL, REFUSAL_CONNECT_UNSUPPORTED, REFUSAL_FIELDS_TOO_MANY, REFUSAL_HOST_AMBIGUOUS,
    REFUSAL_HOST_MISSING, REFUSAL_HOST_REPEATED, REFUSAL_LENGTH_REPEATED, REFUSAL_METHOD_INVALID,
    REFUSAL_TARGET_ASTERISK, REFUSAL_TARGET_INVALID, REFUSAL_TARGET_SCHEME, REFUSAL_TARGET_TOO_LONG,
)

cdef struct Seen:               # what the fields say
    uint32_t hosts
    uint32_t lengths
    uint32_t forwards
    Field *cookie               # the first crumb
    uint32_t crumbs
    uint32_t cookie_bytes       # of all of them, joined
    Slice host                  # the last one
    Slice length
    Slice forward               # Max-Forwards
    Slice path
    Slice protocol              # of extended CONNECT (RFC 8441 section 4)

cdef uint8_t dropped[FIELD_COUNT]


def _lay_out():
    for known in HOP_FIELDS:
        dropped[known] = DROPPED_HERE


_lay_out()


cdef int take_pseudo(Message *message, Seen *seen, Slice name, Slice value) noexcept nogil:
    """Returns 0, or -Refusal."""
    cdef char first = name.data[1]      # libnghttp2 accepts no other names, and no name without a second octet
    if first == c'm':           # :method
        if value.size > METHOD_MOST or not is_token(value.data, value.size):
            return -REFUSAL_METHOD_INVALID
        message.method = value
        message.method_name = method_of(value)
    elif first == c'a':         # :authority
        message.authority = value
    elif first == c's':         # :scheme
        if not is_text(value.data, value.size, b"http", 4) and not is_text(value.data, value.size, b"https", 5):
            return -REFUSAL_TARGET_SCHEME
    elif name.size == 5:        # :path
        seen.path = value
    else:                       # :protocol
        seen.protocol = value
    return 0


cdef void note(Message *message, Seen *seen, const Field *field) noexcept nogil:
    """Notes the meaning of a known field."""
    if field.known == FIELD_HOST:
        seen.hosts += 1
        seen.host = field.value
    elif field.known == FIELD_CONTENT_LENGTH:
        seen.lengths += 1
        seen.length = field.value
    elif field.known == FIELD_TE:
        message.te_trailers = True      # the only value that is allowed
    elif field.known == FIELD_MAX_FORWARDS:
        seen.forwards += 1
        seen.forward = field.value
    elif field.known == FIELD_LOOP:
        message.has_loop = True
    elif field.known == FIELD_EXPECT and is_text(field.value.data, field.value.size, b"100-continue", 12):
        message.expect_continue = True


cdef inline bint is_further_crumb(Seen *seen, Field *next, Slice name, Slice value, uint8_t received) noexcept nogil:
    """Whether it is a crumb of Cookie, but not the first one: that has the Field `next`. One secret crumb makes the whole
    field secret."""
    if name.size != 6 or not is_text(name.data, name.size, b"cookie", 6):
        return False
    if seen.crumbs == 0:
        seen.cookie = next
    seen.crumbs += 1
    seen.cookie_bytes += value.size + 2
    if seen.crumbs == 1:
        return False
    seen.cookie.received |= received
    return True


cdef int take_fields(Message *message, Seen *seen, Slice block, const HeadLimits *limits) noexcept nogil:
    """Returns 0, or -Refusal."""
    cdef const char *at = block.data
    cdef const char *end = block.data + block.size
    cdef Field *field = message.fields
    cdef Slice name, value
    cdef uint8_t received
    cdef int outcome
    while next_field(&at, end, &name, &value, &received):
        if name.data[0] == c':':
            outcome = take_pseudo(message, seen, name, value)
            if outcome:
                return outcome
            continue
        if is_further_crumb(seen, field, name, value, received):
            continue
        if message.fields_count == limits.fields:
            return -REFUSAL_FIELDS_TOO_MANY
        memset(field, 0, sizeof(Field))
        field.name = name
        field.value = value
        field.received = received
        field.known = field_name(name.data, name.size)
        field.dropped = dropped[field.known]
        if field.known:
            note(message, seen, field)
        message.fields_count += 1
        field += 1
    return 0


cdef int join_crumbs(const Seen *seen, Slice block, Arena *arena) noexcept nogil:
    """Returns 0, or -Refusal."""
    cdef char *out = <char *> arena_take(arena, seen.cookie_bytes)
    cdef const char *at = block.data
    cdef uint32_t used = 0
    cdef Slice name, value
    if out is NULL:
        return -REFUSAL_ARENA_FULL
    while next_field(&at, block.data + block.size, &name, &value, NULL):
        if not is_text(name.data, name.size, b"cookie", 6):
            continue
        if used:
            memcpy(out + used, b"; ", 2)
            used += 2
        if value.size:
            memcpy(out + used, value.data, value.size)
            used += value.size
    seen.cookie.value = Slice(out, used)
    return 0


cdef bint same_host(Slice one, Slice other) noexcept nogil:
    cdef uint32_t i
    if one.size != other.size:
        return False
    for i in range(one.size):
        if lower(one.data[i]) != lower(other.data[i]):
            return False
    return True


cdef int settle_host(Message *message, const Seen *seen, Arena *arena) noexcept nogil:
    """Returns 0, or -Refusal."""
    cdef Field *field
    cdef int refusal
    if seen.hosts > 1:
        return -REFUSAL_HOST_REPEATED
    if message.authority.data is NULL:
        if seen.hosts == 0:
            return -REFUSAL_HOST_MISSING
        message.authority = seen.host
        return take_host(message, arena)
    if seen.hosts:
        refusal = check_authority(seen.host)
        if refusal:
            return refusal
        if not same_host(seen.host, message.authority):
            return -REFUSAL_HOST_AMBIGUOUS
        return take_host(message, arena)
    field = append_field(message, arena, Slice(b"host", 4), message.authority)      # for rules that match on Host
    if field is NULL:
        return -REFUSAL_ARENA_FULL
    field.known = FIELD_HOST
    field.dropped = DROPPED_HERE
    return take_host(message, arena)


cdef int settle_target(Message *message, const Seen *seen, const HeadLimits *limits, Arena *arena) noexcept nogil:
    """Returns 0, or -Refusal."""
    cdef Slice path = seen.path
    cdef const char *end = path.data + path.size
    if message.method_name == METHOD_CONNECT:
        message.upgrade = is_text(seen.protocol.data, seen.protocol.size, b"websocket", 9)
        if not message.upgrade:
            return -REFUSAL_CONNECT_UNSUPPORTED
    if path.size > limits.target:
        return -REFUSAL_TARGET_TOO_LONG
    if path.size == 0 or run_over_visible(path.data, end) != end:
        return -REFUSAL_TARGET_INVALID
    if path.data[0] == c'/':
        return take_path(message, path.data, end, limits, arena)
    if path.size != 1 or path.data[0] != c'*':
        return -REFUSAL_TARGET_INVALID
    message.path = path
    message.asterisk = 1
    return 0 if message.method_name == METHOD_OPTIONS else -REFUSAL_TARGET_ASTERISK


cdef int settle_body(Message *message, const Seen *seen, bint ends) noexcept nogil:
    """Returns 0, or -Refusal."""
    cdef int refusal
    message.declared = BODY_NONE if ends else BODY_UNKNOWN
    if seen.lengths > 1:
        return -REFUSAL_LENGTH_REPEATED
    if seen.lengths:
        message.declared = BODY_LENGTH
        refusal = count_bytes(seen.length, &message.content_length)
        if refusal:
            return refusal
    message.has_body = not ends and (message.declared == BODY_UNKNOWN or message.content_length > 0)
    return 0


cdef int read_request(Message *message, Slice block, bint ends, const HeadLimits *limits, Arena *arena) noexcept nogil:
    cdef Seen seen
    cdef int refusal
    memset(message, 0, sizeof(Message))
    memset(&seen, 0, sizeof(Seen))
    message.keep_alive = True
    message.fields_room = limits.fields + FIELDS_SPARE
    message.fields = <Field *> arena_take(arena, message.fields_room * <uint32_t> sizeof(Field))
    if message.fields is NULL:
        return -REFUSAL_ARENA_FULL
    refusal = take_fields(message, &seen, block, limits)
    if refusal == 0:
        refusal = settle_target(message, &seen, limits, arena)
    if refusal == 0:
        refusal = settle_host(message, &seen, arena)
    if refusal == 0:
        refusal = settle_body(message, &seen, ends)
    if refusal == 0 and seen.crumbs > 1:
        refusal = join_crumbs(&seen, block, arena)
    if refusal == 0 and seen.forwards and (message.method_name == METHOD_OPTIONS or message.method_name == METHOD_TRACE):
        refusal = take_max_forwards(message, seen.forward, seen.forwards)
    return refusal


cdef int read_trailers(Message *trailers, Slice block, uint32_t count, Arena *arena) noexcept nogil:
    cdef const char *at = block.data
    cdef const char *end = block.data + block.size
    cdef Field *field
    cdef Slice name, value
    cdef uint8_t received
    memset(trailers, 0, sizeof(Message))
    trailers.fields = <Field *> arena_take(arena, count * <uint32_t> sizeof(Field))
    if trailers.fields is NULL:
        return -1
    trailers.fields_room = count
    while trailers.fields_count < count and next_field(&at, end, &name, &value, &received):
        field = &trailers.fields[trailers.fields_count]
        memset(field, 0, sizeof(Field))
        field.name = name
        field.value = value
        field.received = received
        field.known = field_name(name.data, name.size)
        trailers.fields_count += 1
    return 0
