# HTTP/1 wire protocol without sockets: bytes in, Heads and body spans out (RFC 9112). Strict: ambiguity is refused.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from fastroute.ext.slice cimport Arena, Slice


cdef enum FieldName:            # the fields a proxy must understand itself; everything else is FIELD_OTHER
    FIELD_OTHER = 0
    FIELD_HOST
    FIELD_CONTENT_LENGTH
    FIELD_TRANSFER_ENCODING
    FIELD_CONNECTION
    FIELD_KEEP_ALIVE
    FIELD_PROXY_CONNECTION
    FIELD_TE
    FIELD_TRAILER
    FIELD_UPGRADE
    FIELD_EXPECT
    FIELD_PROXY_AUTHENTICATE
    FIELD_PROXY_AUTHORIZATION
    FIELD_X_FORWARDED_FOR
    FIELD_X_FORWARDED_PROTO
    FIELD_X_FORWARDED_HOST
    FIELD_X_REQUEST_ID
    FIELD_DATE
    FIELD_SERVER
    FIELD_LOCATION

cdef enum MethodName:           # methods are case-sensitive; METHOD_OTHER is any other token
    METHOD_OTHER = 0
    METHOD_GET
    METHOD_HEAD
    METHOD_POST
    METHOD_PUT
    METHOD_DELETE
    METHOD_CONNECT
    METHOD_OPTIONS
    METHOD_TRACE
    METHOD_PATCH

cdef enum Framing:              # how the body ends (RFC 9112 section 6)
    FRAMING_NONE = 0            # no body
    FRAMING_LENGTH              # content_length bytes
    FRAMING_CHUNKED
    FRAMING_CLOSE               # until the peer closes (responses only)

cdef struct Field:
    Slice name
    Slice value                 # without surrounding white space
    uint8_t known               # FieldName
    uint8_t dropped             # hop-by-hop, nominated by Connection, or replaced by us: goes no further

cdef struct Head:
    # request line
    Slice method
    Slice target                # as received
    Slice path                  # normalised (RFC 3986 section 6.2.2), without query; in the arena or in the bytes
    Slice query                 # as received, without '?'
    Slice authority             # Host's value as received (absolute-form's authority replaces it), with its port
    Slice host                  # authority without port, in lower case, without a final dot; in the arena if changed
    uint8_t method_name         # MethodName
    uint8_t has_query           # '?' was there, even if nothing follows it
    # status line
    uint16_t status
    Slice reason
    # both
    uint8_t minor               # HTTP/1.minor, 0 or 1
    uint8_t framing             # Framing
    uint8_t keep_alive          # the sender will keep the connection (RFC 9112 section 9.3)
    uint8_t expect_continue     # request: Expect: 100-continue from a 1.1 client
    uint8_t upgrade             # Connection nominated upgrade, and Upgrade is present
    uint64_t content_length     # with FRAMING_LENGTH
    Field *fields               # in the arena; room for `fields_room`, so that filters can append
    uint32_t fields_count
    uint32_t fields_room

cdef struct HeadLimits:
    uint32_t head               # bytes of start line and fields, all in all (431)
    uint32_t target             # bytes of the request target (414)
    uint32_t fields             # number of fields (431)

cdef enum Refusal:              # why a head or body was refused; refusal_status and refusal_reason name them
    REFUSAL_NONE = 0
    # http1.pyx owns the rest of this list (one member a cause), with two functions:

cdef int refusal_status(int refusal) noexcept nogil                # 400, 414, 431, 501, 505 (502 for a response's)
cdef const char *refusal_reason(int refusal) noexcept nogil        # snake_case, for the log and metrics

# Both parse a whole head at `data`. Returns the bytes it takes (> 0), 0 when more bytes are needed, or -Refusal.
# `scanned` (start with 0, kept by the caller per connection) lets repeated calls on a growing buffer cost O(new bytes).
# Leading CRLFs before a request line are skipped (RFC 9112 section 2.2), and count as taken.
cdef int parse_request(Head *head, const char *data, uint32_t size, uint32_t *scanned,
                       const HeadLimits *limits, Arena *arena) noexcept nogil
# `request_method` is the MethodName of the request it answers: HEAD, CONNECT decide the framing.
cdef int parse_response(Head *head, const char *data, uint32_t size, uint32_t *scanned, uint8_t request_method,
                        const HeadLimits *limits, Arena *arena) noexcept nogil

# A body on its way: counts what belongs to it. One struct for all framings; zero-initialised by body_start.
cdef struct Body:
    uint8_t framing             # Framing
    uint8_t state               # http1.pyx's own
    uint8_t complete            # the whole body, trailers included, has passed
    uint16_t trailer_fields
    uint32_t line               # bytes of the current chunk-size or trailer line
    uint32_t trailers           # bytes of the trailer section
    uint64_t left               # bytes of the body or of the current chunk still to come
    uint64_t decoded            # content bytes that passed (without chunk framing)

cdef void body_start(Body *body, int framing, uint64_t content_length) noexcept nogil
# How many of `size` bytes belong to the body and may be relayed as they are (chunk framing is checked strictly and
# passed through verbatim; chunk extensions are bounded); sets `complete`. Returns -Refusal on a broken body.
cdef long body_take(Body *body, const char *data, uint32_t size, const HeadLimits *limits) noexcept nogil
# The same, but decodes: calls nothing, gives the next span of content in [*content, *content + *content_size),
# and returns the bytes taken from `data`. Used when the receiver cannot take chunked (HTTP/1.0 clients).
cdef long body_decode(Body *body, const char *data, uint32_t size, const HeadLimits *limits,
                      const char **content, uint32_t *content_size) noexcept nogil

# Serialise: fields with `dropped` set are left out; framing fields, Connection and Host are written from the Head's
# own members, never copied. Return the bytes written, or 0 when `room` is too small.
cdef uint32_t write_request(char *out, uint32_t room, const Head *head) noexcept nogil
cdef uint32_t write_response(char *out, uint32_t room, const Head *head, bint close, bint to_http10,
                             bint chunk_it) noexcept nogil
