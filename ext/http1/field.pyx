"""Parses field lines (RFC 9112 section 5), and evaluates them for framing (6.3) and for the connection (9.3, 9.6).

The parser is strict: a name is a token, a colon follows immediately, a value has no control bytes except HTAB, a line
ends in CRLF, and no line is folded. Each line is judged byte by byte in order, so the result does not depend on how the
head was split.

Hop-by-hop fields are marked `dropped` (RFC 9110 section 7.6.1): those in HOP_FIELDS, and those that Connection nominates.

An Upgrade is used if it is the only such field, Connection nominates it, the message is HTTP/1.1 (RFC 9110 section
7.8), and its protocols carry no HTTP requests (protocol.pxd).

TE is not forwarded as received: it applies to this hop. But trailers are passed on, so `trailers` in TE is noted, and
the writer adds it again. Proxy-Authenticate and Proxy-Authorization apply between a client and its own proxy. A name
that differs from a known one only by '_' instead of '-' is not forwarded either: CGI and WSGI cannot distinguish them,
so they would trust `X_Forwarded_For`.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memchr

from fastroute.ext.http1.head cimport FRAMING_CHUNKED, FRAMING_LENGTH, FRAMING_NONE, Head
from fastroute.ext.http1.protocol cimport may_switch
from fastroute.ext.memory.slice cimport Arena, Slice, arena_take
from fastroute.ext.message.fieldname cimport field_name
from fastroute.ext.message.fieldname import HOP_FIELDS
from fastroute.ext.message.items cimport lists, next_item
from fastroute.ext.message.limits cimport FIELDS_SPARE, HeadLimits
from fastroute.ext.message.message cimport (
    DROPPED_HERE, FIELD_CONNECTION, FIELD_CONTENT_LENGTH, FIELD_COUNT, FIELD_EXPECT, FIELD_HOST, FIELD_LOOP,
    FIELD_MAX_FORWARDS, FIELD_TE, FIELD_TRANSFER_ENCODING, FIELD_UPGRADE, Field, Message,
)
from fastroute.ext.message.number cimport count_bytes
from fastroute.ext.message.octet cimport is_space, is_text, lower, run_over_field, run_over_token
from fastroute.ext.message.refusal cimport (
    REFUSAL_ARENA_FULL, REFUSAL_BARE_CR, REFUSAL_BARE_LF, REFUSAL_CODING_IN_HTTP10, REFUSAL_CODING_UNSUPPORTED,
    REFUSAL_CONNECTION_TOO_LONG, REFUSAL_CONTROL_BYTE, REFUSAL_FIELDS_TOO_MANY, REFUSAL_FIELD_FOLDED,
    REFUSAL_FIELD_NAME_INVALID, REFUSAL_FIELD_SPACE_BEFORE_COLON, REFUSAL_FIELD_WITHOUT_COLON,
    REFUSAL_FRAMING_AMBIGUOUS, REFUSAL_LENGTH_REPEATED, REFUSAL_NUL,
)

cdef uint8_t dropped[FIELD_COUNT]


def _lay_out():
    for known in HOP_FIELDS:
        dropped[known] = DROPPED_HERE


_lay_out()


# ------------------------------------------------------------------------------------------------------------ lines

cdef int refuse_byte(const char *at, const char *end, int otherwise) noexcept nogil:
    """-Refusal, or 0 if more bytes are needed to decide; `otherwise` is the refusal for bytes that are allowed
    elsewhere."""
    if at == end:
        return 0
    if at[0] == c'\r':
        if end - at == 1:
            return 0
        return -otherwise if at[1] == c'\n' else -REFUSAL_BARE_CR
    if at[0] == c'\n':
        return -REFUSAL_BARE_LF
    if at[0] == 0:
        return -REFUSAL_NUL
    if at[0] == c'\t' or at[0] == c' ' or <uint8_t> at[0] >= 0x80:
        return -otherwise
    return -REFUSAL_CONTROL_BYTE if <uint8_t> at[0] < 0x20 or at[0] == 0x7f else -otherwise


cdef int take_name(Field *field, const char **at, const char *end, bint tolerant) noexcept nogil:
    """field-name and colon. Returns 1, 0 (more bytes) or -Refusal."""
    cdef const char *start = at[0]
    cdef const char *stop = run_over_token(start, end)
    field.name = Slice(start, <uint32_t> (stop - start))
    if stop == end:
        return 0
    if is_space(stop[0]):
        if stop == start:
            return -REFUSAL_FIELD_FOLDED
        if not tolerant:
            return -REFUSAL_FIELD_SPACE_BEFORE_COLON
        while stop < end and is_space(stop[0]):
            stop += 1
        if stop == end:
            return 0
    if stop[0] != c':':
        return refuse_byte(stop, end, REFUSAL_FIELD_WITHOUT_COLON if stop[0] == c'\r' else REFUSAL_FIELD_NAME_INVALID)
    if field.name.size == 0:
        return -REFUSAL_FIELD_NAME_INVALID
    at[0] = stop + 1
    return 1


cdef int take_value(Field *field, const char **at, const char *end) noexcept nogil:
    """OWS field-value OWS CRLF. Returns 1, 0 (more bytes) or -Refusal."""
    cdef const char *start = at[0]
    cdef const char *stop
    while start < end and is_space(start[0]):
        start += 1
    stop = run_over_field(start, end)
    if end - stop < 2 or stop[0] != c'\r' or stop[1] != c'\n':
        return refuse_byte(stop, end, REFUSAL_CONTROL_BYTE)
    at[0] = stop + 2
    field.received = start == field.name.data + field.name.size + 2 and (start - 1)[0] == c' '
    while stop > start and is_space((stop - 1)[0]):
        stop -= 1
        field.received = 0
    field.value = Slice(start, <uint32_t> (stop - start))
    return 1


cdef void note(Noted *noted, const Field *field) noexcept nogil:
    """Notes the meaning of `field`, a known one, for the head."""
    if field.known == FIELD_HOST:
        noted.hosts += 1
        noted.host = field.value
    elif field.known == FIELD_CONTENT_LENGTH:
        noted.lengths += 1
        noted.length = field.value
    elif field.known == FIELD_TRANSFER_ENCODING:
        noted.codings += 1
        noted.coding = field.value
    elif field.known == FIELD_CONNECTION:
        noted.connections += 1
    elif field.known == FIELD_UPGRADE:
        noted.upgrades += 1
        noted.protocols = field.value
    elif field.known == FIELD_TE:
        noted.te_trailers |= lists(field.value, b"trailers", 8)
    elif field.known == FIELD_MAX_FORWARDS:
        noted.max_forwards += 1
        noted.forwards = field.value
    elif field.known == FIELD_LOOP:
        noted.loops += 1
    elif field.known == FIELD_EXPECT:
        noted.expects_continue |= is_text(field.value.data, field.value.size, b"100-continue", 12)


cdef int take_fields(Head *head, Noted *noted, const char **at, const char *end, bint tolerant,
                     const HeadLimits *limits, Arena *arena) noexcept nogil:
    cdef Field *field
    cdef int outcome
    head.message.fields_count = 0
    head.message.fields_room = limits.fields + FIELDS_SPARE
    head.message.fields = <Field *> arena_take(arena, head.message.fields_room * <uint32_t> sizeof(Field))
    if head.message.fields == NULL:
        return -REFUSAL_ARENA_FULL
    field = head.message.fields
    while at[0] < end:
        if at[0][0] == c'\r':
            if end - at[0] == 1 or at[0][1] != c'\n':
                return refuse_byte(at[0], end, REFUSAL_BARE_CR)
            at[0] += 2
            return 1
        if head.message.fields_count == limits.fields:
            return -REFUSAL_FIELDS_TOO_MANY
        outcome = take_name(field, at, end, tolerant)
        if outcome > 0:
            outcome = take_value(field, at, end)
        if outcome <= 0:
            return outcome
        field.known = field_name(field.name.data, field.name.size)
        field.dropped = dropped[field.known]
        if field.known:
            note(noted, field)
        head.message.fields_count += 1
        field += 1
    return 0


# ---------------------------------------------------------------------------------------------------------- meaning

cdef void nominate(Head *head, Slice name) noexcept nogil:
    """Marks the fields with this name: they are not forwarded (RFC 9110 section 7.6.1). The marks of loops remain."""
    cdef uint32_t i, j
    for i in range(head.message.fields_count):
        if head.message.fields[i].name.size != name.size or head.message.fields[i].known == FIELD_LOOP:
            continue
        for j in range(name.size):
            if lower(head.message.fields[i].name.data[j]) != lower(name.data[j]):
                break
        else:
            head.message.fields[i].dropped = DROPPED_HERE


cdef int obey_options(Head *head, Slice options, uint32_t *count, bint *close, bint *stay) noexcept nogil:
    """Evaluates one Connection field. Returns 0 or -Refusal."""
    cdef Slice option
    while next_item(&options, &option):
        count[0] += 1
        if count[0] > NOMINATED_MOST:
            return -REFUSAL_CONNECTION_TOO_LONG
        if is_text(option.data, option.size, b"close", 5):
            close[0] = True
        elif is_text(option.data, option.size, b"keep-alive", 10):
            stay[0] = True
        elif is_text(option.data, option.size, b"upgrade", 7):
            head.message.upgrade = 1
        else:
            nominate(head, option)
            head.nominates |= not is_text(option.data, option.size, b"te", 2)
    return 0


cdef int obey_connection(Head *head, const Noted *noted) noexcept nogil:
    """RFC 9112 section 9.3: `close` takes precedence; otherwise 1.1 persists, and 1.0 only with keep-alive."""
    cdef bint close = False
    cdef bint stay = False
    cdef uint32_t i
    cdef uint32_t count = 0
    cdef int refusal
    head.message.te_trailers = noted.te_trailers and head.minor == 1
    if noted.connections:
        for i in range(head.message.fields_count):
            if head.message.fields[i].known != FIELD_CONNECTION:
                continue
            refusal = obey_options(head, head.message.fields[i].value, &count, &close, &stay)
            if refusal:
                return refusal
    head.message.upgrade &= noted.upgrades == 1 and head.minor == 1 and may_switch(noted.protocols)
    if head.message.upgrade:
        head.message.protocols = noted.protocols
    head.message.keep_alive = not close and (head.minor == 1 or stay)
    return 0


cdef void drop_underscores(Message *message, const char *end) noexcept nogil:
    """Removes these fields from the array as well, so that no match sees a field that the backend does not get."""
    cdef uint32_t i
    cdef uint32_t kept = 0
    if message.fields_count == 0 or memchr(message.fields[0].name.data, c'_', end - message.fields[0].name.data) == NULL:
        return
    for i in range(message.fields_count):
        if memchr(message.fields[i].name.data, c'_', message.fields[i].name.size) == NULL:
            if kept != i:
                message.fields[kept] = message.fields[i]
            kept += 1
    message.fields_count = kept


cdef int state_framing(Head *head, const Noted *noted) noexcept nogil:
    """Refuses what RFC 9112 section 6.3 lets a receiver guess or repair: the backend might decide differently."""
    head.stated = FRAMING_NONE
    if noted.codings:
        if head.minor == 0:
            return -REFUSAL_CODING_IN_HTTP10
        if noted.lengths:
            return -REFUSAL_FRAMING_AMBIGUOUS
        if noted.codings > 1 or not is_text(noted.coding.data, noted.coding.size, b"chunked", 7):
            return -REFUSAL_CODING_UNSUPPORTED
        head.stated = FRAMING_CHUNKED
    elif noted.lengths:
        if noted.lengths > 1:
            return -REFUSAL_LENGTH_REPEATED
        head.stated = FRAMING_LENGTH
        return count_bytes(noted.length, &head.message.content_length)
    return 0
