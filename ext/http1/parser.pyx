"""Parses heads (RFC 9112 sections 2 to 6): requests from clients, responses from backends.

Almost every head is complete when it is first seen, and is parsed in one pass. A head that arrives in pieces is parsed
again only if it may be complete: only the new bytes are searched for its end (an empty line). It is also parsed again
when its start line is complete, when its size passes a power of two, so that invalid heads are refused early, and when
there is a bare LF, because then no end will be found. The total cost is O(new bytes).

Bytes are judged in order and limits by position, so the result does not depend on how the bytes were split.

Responses are parsed as strictly, with exceptions that real servers need: a status line without its last space, a space
before a colon, and framing fields where there is no body (204, 1xx).
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memchr, memcmp, memset

from fastroute.ext.http1.field cimport (
    Noted, drop_underscores, obey_connection, refuse_byte, state_framing, take_fields,
)
from fastroute.ext.http1.head cimport (
    FRAMING_CHUNKED, FRAMING_CLOSE, FRAMING_LENGTH, FRAMING_NONE,
)
from fastroute.ext.http1.target cimport take_target
from fastroute.ext.memory.slice cimport Arena, Slice
from fastroute.ext.message.authority cimport check_authority, take_host
from fastroute.ext.message.limits cimport METHOD_MOST
from fastroute.ext.message.message cimport (
    BODY_UNKNOWN, DROPPED_HERE, FIELD_EXPECT, FIELD_HOST, METHOD_HEAD, METHOD_OPTIONS, METHOD_TRACE, VERSION_UNKNOWN,
)
from fastroute.ext.message.method cimport method_of
from fastroute.ext.message.number cimport take_max_forwards
from fastroute.ext.message.octet cimport OCTET_TOKEN, run_over, run_over_field, run_over_visible
from fastroute.ext.message.refusal cimport (
    REFUSAL_CONTROL_BYTE, REFUSAL_HEAD_TOO_LARGE, REFUSAL_HOST_MISSING, REFUSAL_HOST_REPEATED,
    REFUSAL_METHOD_INVALID, REFUSAL_STATUS_INVALID, REFUSAL_SWITCH_UNASKED, REFUSAL_TARGET_INVALID,
    REFUSAL_TARGET_TOO_LONG, REFUSAL_VERSION_INVALID, REFUSAL_VERSION_UNSUPPORTED,
)

cdef enum:
    VERSION_SIZE = 8            # HTTP/1.1
    LEADING_MOST = 16           # maximum bytes of empty lines before a request line


# ------------------------------------------------------------------------------------------------------- start lines

cdef int take_version(Head *head, const char **at, const char *end) noexcept nogil:
    """`HTTP/` DIGIT `.` DIGIT, not followed by a visible octet. Returns 1, 0 (more bytes) or -Refusal."""
    cdef const char *start = at[0]
    cdef const char *most = start + VERSION_SIZE + 1
    cdef const char *stop = run_over_visible(start, end if end < most else most)
    if stop == end and stop < most:
        return 0
    if stop - start != VERSION_SIZE or memcmp(start, b"HTTP/", 5) != 0 or start[6] != c'.' \
            or not c'0' <= start[5] <= c'9' or not c'0' <= start[7] <= c'9':
        return -REFUSAL_VERSION_INVALID if stop == most else refuse_byte(stop, end, REFUSAL_VERSION_INVALID)
    if start[5] != c'1':
        return -REFUSAL_VERSION_UNSUPPORTED
    head.minor = start[7] != c'0'
    at[0] = stop
    return 1


cdef int take_line_end(const char **at, const char *end, int otherwise) noexcept nogil:
    """CRLF. Returns 1, 0 (more bytes) or -Refusal."""
    if end - at[0] < 2 or at[0][0] != c'\r' or at[0][1] != c'\n':
        return refuse_byte(at[0], end, otherwise)
    at[0] += 2
    return 1


cdef int take_method(Head *head, const char **at, const char *end) noexcept nogil:
    """token SP. Returns 1, 0 (more bytes) or -Refusal."""
    cdef const char *start = at[0]
    cdef const char *most = start + METHOD_MOST + 1
    cdef const char *stop = run_over(start, end if end < most else most, OCTET_TOKEN)
    if stop == most:
        return -REFUSAL_METHOD_INVALID
    if stop == end:
        return 0
    if stop == start or stop[0] != c' ':
        return refuse_byte(stop, end, REFUSAL_METHOD_INVALID)
    head.message.method = Slice(start, <uint32_t> (stop - start))
    head.message.method_name = method_of(head.message.method)
    at[0] = stop + 1
    return 1


cdef int take_request_line(Head *head, const char **at, const char *end, const HeadLimits *limits) noexcept nogil:
    """method SP request-target SP HTTP-version CRLF. Returns 1, 0 (more bytes) or -Refusal."""
    cdef const char *start
    cdef const char *stop
    cdef const char *last
    cdef int outcome = take_method(head, at, end)
    if outcome <= 0:
        return outcome
    start = at[0]
    last = end if <size_t> (end - start) <= limits.target else start + limits.target + 1
    stop = run_over_visible(start, last)
    if stop - start > limits.target:
        return -REFUSAL_TARGET_TOO_LONG
    if stop == end:
        return 0
    if stop[0] != c' ':
        return refuse_byte(stop, end, REFUSAL_VERSION_INVALID if stop[0] == c'\r' else REFUSAL_TARGET_INVALID)
    if stop == start:
        return -REFUSAL_TARGET_INVALID
    head.target = Slice(start, <uint32_t> (stop - start))
    at[0] = stop + 1
    outcome = take_version(head, at, end)
    return take_line_end(at, end, REFUSAL_VERSION_INVALID) if outcome > 0 else outcome


cdef int take_status_line(Head *head, const char **at, const char *end) noexcept nogil:
    """HTTP-version SP status-code [ SP reason-phrase ] CRLF. Returns 1, 0 (more bytes) or -Refusal."""
    cdef const char *stop
    cdef int _digit
    cdef int outcome = take_version(head, at, end)
    if outcome <= 0:
        return outcome
    if at[0][0] != c' ':
        return refuse_byte(at[0], end, REFUSAL_STATUS_INVALID)
    at[0] += 1
    for _digit in range(3):
        if at[0] == end or not c'0' <= at[0][0] <= c'9':
            return refuse_byte(at[0], end, REFUSAL_STATUS_INVALID)
        head.message.status = head.message.status * 10 + <uint16_t> (at[0][0] - c'0')
        at[0] += 1
    if head.message.status < 100:
        return -REFUSAL_STATUS_INVALID
    head.message.reason = Slice(at[0], 0)
    if at[0] < end and at[0][0] == c' ':
        stop = run_over_field(at[0] + 1, end)
        head.message.reason = Slice(at[0] + 1, <uint32_t> (stop - at[0] - 1))
        at[0] = stop
        return take_line_end(at, end, REFUSAL_CONTROL_BYTE)
    return take_line_end(at, end, REFUSAL_STATUS_INVALID)


# ------------------------------------------------------------------------------------------------------------ heads

cdef bint may_be_whole(const char *data, uint32_t size, uint32_t scanned) noexcept nogil:
    """Whether the bytes from `scanned` on are a reason to parse the head (again)."""
    cdef const char *at = data + scanned
    cdef const char *end = data + size
    if scanned == 0 or size ^ scanned > scanned:        # first call, or past a power of two
        return True
    while True:
        at = <const char *> memchr(at, c'\n', end - at)
        if at == NULL:
            return False
        if at - data < 3 or (at - 1)[0] != c'\r' or (at - 2)[0] == c'\n':
            return True                                 # a bare LF, or the empty line
        if memchr(data, c'\n', at - data) == NULL:      # the start line: an HTTP/0.9 client sends nothing more
            return True
        at += 1


cdef int more_or_too_large(uint32_t size, uint32_t *scanned, const HeadLimits *limits) noexcept nogil:
    if size >= limits.head:
        return -REFUSAL_HEAD_TOO_LARGE
    scanned[0] = size
    return 0


cdef void drop_field(Head *head, uint8_t known) noexcept nogil:
    cdef uint32_t i
    for i in range(head.message.fields_count):
        if head.message.fields[i].known == known:
            head.message.fields[i].dropped = DROPPED_HERE


cdef inline void declare(Head *head) noexcept nogil:
    """Notes in the message what the framing means."""
    head.message.declared = head.stated if head.stated <= FRAMING_LENGTH else BODY_UNKNOWN
    if head.framing == FRAMING_CLOSE:
        head.message.declared = BODY_UNKNOWN
    head.message.has_body = head.framing != FRAMING_NONE


cdef int conclude_request(Head *head, const Noted *noted, Arena *arena) noexcept nogil:
    """Checks what can be judged only when the head is complete. Returns 0 or -Refusal."""
    cdef int refusal = state_framing(head, noted) or obey_connection(head, noted)
    if refusal:
        return refusal
    head.framing = head.stated
    if head.framing == FRAMING_LENGTH and head.message.content_length == 0:
        head.framing = FRAMING_NONE
    declare(head)
    head.message.expect_continue = noted.expects_continue and head.minor == 1
    if noted.expects_continue and head.minor == 0:
        drop_field(head, FIELD_EXPECT)                  # ignored (RFC 9110 section 10.1.1)
    head.message.has_loop = noted.loops != 0
    if noted.max_forwards and (head.message.method_name == METHOD_OPTIONS or head.message.method_name == METHOD_TRACE):
        refusal = take_max_forwards(&head.message, noted.forwards, noted.max_forwards)
        if refusal:
            return refusal
    if noted.hosts > 1:
        return -REFUSAL_HOST_REPEATED
    if noted.hosts == 0 and head.minor == 1:
        return -REFUSAL_HOST_MISSING
    if head.message.authority.data == NULL:
        if noted.hosts == 0:
            return 0                                    # HTTP/1.0 without Host: only listeners without a hostname match
        head.message.authority = noted.host
        return take_host(&head.message, arena)
    # RFC 9112 section 3.2.2: the target's authority replaces Host. An invalid Host is still refused (section 3.2).
    refusal = check_authority(noted.host) if noted.hosts else 0
    replace_host(head)
    return refusal if refusal else take_host(&head.message, arena)


cdef void replace_host(Head *head) noexcept nogil:
    """Rules that match on Host see the authority that is forwarded."""
    cdef uint32_t i
    for i in range(head.message.fields_count):
        if head.message.fields[i].known == FIELD_HOST:
            head.message.fields[i].value = head.message.authority
            head.message.fields[i].received = 0


cdef inline bint begins(Head *head, Noted *noted, const char *data, uint32_t size, uint32_t *scanned,
                        const HeadLimits *limits) noexcept nogil:
    """Whether the head may be complete; then `head` and `noted` are empty. Otherwise `scanned` says where to continue."""
    if not may_be_whole(data, size, scanned[0]) and size < limits.head:
        scanned[0] = size
        return False
    memset(head, 0, sizeof(Head))
    memset(noted, 0, sizeof(Noted))
    return True


cdef int parse_request(Head *head, const char *data, uint32_t size, uint32_t *scanned,
                       const HeadLimits *limits, Arena *arena) noexcept nogil:
    cdef const char *at = data
    cdef const char *end = data + (size if size < limits.head else limits.head)
    cdef Noted noted
    cdef int outcome
    if not begins(head, &noted, data, size, scanned, limits):
        return 0
    head.minor = VERSION_UNKNOWN
    while end - at >= 2 and at[0] == c'\r' and at[1] == c'\n' and at - data < LEADING_MOST:
        at += 2
    if at < end and at[0] == c'\r':
        outcome = refuse_byte(at, end, REFUSAL_METHOD_INVALID)
    else:
        outcome = take_request_line(head, &at, end, limits)
    if outcome > 0:
        outcome = take_target(head, limits, arena)
        if outcome == 0:
            outcome = take_fields(head, &noted, &at, end, False, limits, arena)
    if outcome == 0:
        return more_or_too_large(size, scanned, limits)
    if outcome > 0:
        outcome = conclude_request(head, &noted, arena)
        if not limits.keep_underscores:
            drop_underscores(&head.message, at)
    return outcome if outcome else <int> (at - data)


cdef int conclude_response(Head *head, const Noted *noted, uint8_t request_method,
                           bint asked) noexcept nogil:
    """Determines how the body ends (RFC 9112 section 6.3), and whether the connection can be reused. Returns 0 or
    -Refusal."""
    cdef int refusal = state_framing(head, noted) or obey_connection(head, noted)
    if refusal:
        return refusal
    head.message.upgrade &= head.message.status == 101 or head.message.status == 426       # RFC 9110 section 15.5.22
    head.framing = head.stated
    if head.message.status == 101 and not (asked and head.message.upgrade):
        return -REFUSAL_SWITCH_UNASKED
    if head.message.status < 200 or head.message.status == 204:
        # Such a message has no body (RFC 9112 sections 6.1 and 6.2), but a 204 with framing fields may be followed by
        # content.
        if head.stated == FRAMING_CHUNKED or head.message.content_length > 0:
            head.message.keep_alive = 0
        head.framing = head.stated = FRAMING_NONE
    elif head.message.status == 304 or request_method == METHOD_HEAD:
        head.framing = FRAMING_NONE
    elif head.stated == FRAMING_NONE:
        head.framing = FRAMING_CLOSE
        head.message.keep_alive = 0
    elif head.stated == FRAMING_LENGTH and head.message.content_length == 0:
        head.framing = FRAMING_NONE
    declare(head)
    return 0


cdef int parse_response(Head *head, const char *data, uint32_t size, uint32_t *scanned, uint8_t request_method,
                        bint asked, const HeadLimits *limits, Arena *arena) noexcept nogil:
    cdef const char *at = data
    cdef const char *end = data + (size if size < limits.head else limits.head)
    cdef Noted noted
    cdef int outcome
    if not begins(head, &noted, data, size, scanned, limits):
        return 0
    outcome = take_status_line(head, &at, end)
    if outcome > 0:
        outcome = take_fields(head, &noted, &at, end, True, limits, arena)
    if outcome == 0:
        return more_or_too_large(size, scanned, limits)
    if outcome > 0:
        outcome = conclude_response(head, &noted, request_method, asked)
    return outcome if outcome else <int> (at - data)
