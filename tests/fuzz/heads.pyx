"""Each head is parsed whole, and again in pieces, each in memory of exactly its size. What was accepted is written as
for the next hop, and what was written is parsed and written again: it must say the same.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from fastroute.ext.http1.head cimport Head
from fastroute.ext.http1.parser cimport parse_request, parse_response
from fastroute.ext.http1.write cimport write_request, write_response
from fastroute.ext.memory.slice cimport Arena, slices_equal
from fastroute.ext.message.limits cimport HeadLimits, head_room
from fastroute.ext.message.message cimport BODY_LENGTH, METHOD_GET, METHOD_HEAD, Message
from fastroute.ext.message.refusal cimport REFUSAL_ARENA_FULL

cdef enum Option:
    OPTION_MERGE = 1
    OPTION_UNDERSCORES = 2
    OPTION_NARROW = 4           # small limits
    OPTION_ASKED = 8            # the request asked for an upgrade
    OPTION_HEAD = 16            # the request had the method HEAD

cdef enum:
    HEADER = 2                  # bytes before the head
    MORE = 1024                 # bytes that a writer adds, at most

cdef struct Reading:            # how heads are read
    HeadLimits limits
    bint response
    uint8_t method
    bint asked
    Arena arena


cdef int read_piece(Reading *reading, Head *head, const char *data, uint32_t size, uint32_t *scanned) noexcept nogil:
    reading.arena.used = 0
    if reading.response:
        return parse_response(head, data, size, scanned, reading.method, reading.asked, &reading.limits, &reading.arena)
    return parse_request(head, data, size, scanned, &reading.limits, &reading.arena)


cdef int read_in_pieces(Reading *reading, const char *data, uint32_t size, uint32_t step) noexcept nogil:
    """The first result other than 0."""
    cdef Head head
    cdef uint32_t scanned = 0
    cdef uint32_t known = 0
    cdef int result = 0
    cdef char *copy
    while result == 0 and known < size:
        known = min(size, known + step)
        copy = <char *> malloc(known)
        memcpy(copy, data, known)
        result = read_piece(reading, &head, copy, known, &scanned)
        free(copy)
    return result


cdef const char *compare(const Head *one, const Head *other, bint response) noexcept nogil:
    cdef const Message *a = &one.message
    cdef const Message *b = &other.message
    if a.declared != b.declared or a.has_body != b.has_body or (
        a.declared == BODY_LENGTH and a.content_length != b.content_length
    ):
        return b"the body differs after forwarding"
    if a.upgrade != b.upgrade:
        return b"the upgrade differs after forwarding"
    if response:
        if a.status != b.status or not slices_equal(&a.reason, &b.reason):
            return b"the status differs after forwarding"
        return NULL
    if not slices_equal(&a.method, &b.method) or a.method_name != b.method_name:
        return b"the method differs after forwarding"
    if not slices_equal(&a.path, &b.path):
        return b"the path differs after forwarding"
    if a.has_query != b.has_query or not slices_equal(&a.query, &b.query):
        return b"the query differs after forwarding"
    if not slices_equal(&a.authority, &b.authority) or not slices_equal(&a.host, &b.host):
        return b"the host differs after forwarding"
    return NULL


cdef uint32_t write_head(char *out, uint32_t room, const Head *head, bint response) noexcept nogil:
    if response:
        return write_response(out, room, &head.message, False, False)
    return write_request(out, room, &head.message)


cdef const char *forwarded(Reading *reading, const Head *head, char *first, char *second, uint32_t room) noexcept nogil:
    """Writes the head into `first`, parses this, and writes the result into `second`."""
    cdef Reading again = reading[0]
    cdef Head other
    cdef uint32_t scanned = 0
    cdef uint32_t size = write_head(first, room, head, reading.response)
    cdef const char *broken
    if size == 0:
        return b"a head has no room in its own size and what the gateway adds"
    again.limits.head = room
    again.limits.fields += 8
    again.limits.target = room
    again.arena.size = head_room(&again.limits)
    again.arena.base = <char *> malloc(again.arena.size)
    if read_piece(&again, &other, first, size, &scanned) != <int> size:
        broken = b"a forwarded head is not accepted as a whole"
    else:
        broken = compare(head, &other, reading.response)
    if broken is NULL and (write_head(second, room, &other, reading.response) != size
                           or memcmp(first, second, size) != 0):
        broken = b"a head that is forwarded twice changes again"
    free(again.arena.base)
    return broken


cdef const char *check(Reading *reading, const char *data, uint32_t size, uint32_t step) noexcept nogil:
    cdef Head head
    cdef uint32_t scanned = 0
    cdef uint32_t room = size + MORE
    cdef char *out
    cdef const char *broken
    cdef int early = read_in_pieces(reading, data, size, step)
    cdef int result = read_piece(reading, &head, data, size, &scanned)
    # While a head arrives, it is parsed at some of its sizes only: it may be refused later.
    if early != result and (early != 0 or result > 0):
        return b"the result depends on how the head was split"
    if result == -REFUSAL_ARENA_FULL:
        return b"head_room is too small"
    if result > <int> size:
        return b"more bytes were taken than given"
    # Requests to the gateway itself and those without a host (HTTP/1.0) are not forwarded as they are.
    if result <= 0 or (not reading.response and (head.message.asterisk or head.message.authority.size == 0)):
        return NULL
    out = <char *> malloc(2 * room)
    broken = forwarded(reading, &head, out, out + room, room)
    free(out)
    return broken


cdef const char *fuzz(const uint8_t *data, size_t size, bint response) noexcept nogil:
    cdef Reading reading
    cdef const char *broken
    cdef uint8_t options
    if size <= HEADER:
        return NULL
    options = data[0]
    memset(&reading, 0, sizeof(Reading))
    reading.limits = HeadLimits(65536, 8192, 200, options & OPTION_MERGE != 0, options & OPTION_UNDERSCORES != 0)
    if options & OPTION_NARROW:
        reading.limits.head, reading.limits.target, reading.limits.fields = 256, 24, 6
    reading.response = response
    reading.method = METHOD_HEAD if options & OPTION_HEAD else METHOD_GET
    reading.asked = options & OPTION_ASKED != 0
    reading.arena.size = head_room(&reading.limits)
    reading.arena.base = <char *> malloc(reading.arena.size)
    broken = check(&reading, <const char *> data + HEADER, <uint32_t> (size - HEADER), data[1] + 1)
    free(reading.arena.base)
    return broken


cdef const char *fuzz_request(const uint8_t *data, size_t size) noexcept nogil:
    return fuzz(data, size, False)


cdef const char *fuzz_response(const uint8_t *data, size_t size) noexcept nogil:
    return fuzz(data, size, True)
