# The head of an HTTP/1 message: its types, and the parsers that fill them in (RFC 9112). Bytes in, a Head out.
#
# Slices of a Head point into the bytes that were parsed or into the arena: both must stay until the head was written.

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
    FIELD_X_FORWARDED_FOR       # from here to FIELD_CLAIM: only a trusted proxy may send them
    FIELD_X_FORWARDED_PROTO
    FIELD_X_FORWARDED_HOST
    FIELD_X_REQUEST_ID
    FIELD_CLAIM                 # any of CLAIMS and CLAIM_PREFIXES (field.pyx)
    FIELD_X_FORWARDED_CLIENT_CERT   # nobody may send this one and the next
    FIELD_PROXY                 # CGI makes HTTP_PROXY of it (CVE-2016-5385)
    FIELD_MAX_FORWARDS
    FIELD_DATE
    FIELD_SERVER
    FIELD_LOCATION
    FIELD_MIMIC                 # one of the above with '_' in place of '-': CGI and WSGI do not distinguish them
    FIELD_COUNT

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

cdef inline bint is_idempotent(uint8_t method) noexcept nogil:
    """Whether a request of this MethodName means the same when it comes twice (RFC 9110 section 9.2.2)."""
    return ((1 << METHOD_GET | 1 << METHOD_HEAD | 1 << METHOD_PUT | 1 << METHOD_DELETE | 1 << METHOD_OPTIONS
             | 1 << METHOD_TRACE) >> method) & 1

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
    uint8_t received            # name, ": ", value and CRLF stand in the bytes as they came: the writer copies lines

cdef struct Head:
    # request line
    Slice method
    Slice target                # as received
    Slice path                  # normalised (RFC 3986 section 6.2.2), without query, starts with '/'
    Slice query                 # as received, without '?'
    Slice authority             # the value of Host as received, or the authority of an absolute-form target; with port
    Slice host                  # authority without port, in lower case, without a final dot; brackets of IPv6 stay
    uint8_t method_name         # MethodName
    uint8_t has_query           # there is a '?', even if nothing follows it
    uint8_t asterisk            # OPTIONS about the gateway itself: `OPTIONS *`, or an absolute-form without path
    uint8_t has_max_forwards    # OPTIONS or TRACE with Max-Forwards
    uint32_t max_forwards       # its value; larger ones are UINT32_MAX
    # status line
    uint16_t status
    Slice reason
    # both
    uint8_t minor               # HTTP/1.minor, 0 or 1 (anything above counts as 1); of a request also MINOR_UNKNOWN
    uint8_t framing             # Framing that follows; FRAMING_NONE for Content-Length: 0 too
    uint8_t stated              # Framing the fields state, also where no body follows (0 bytes, HEAD, 304)
    uint8_t keep_alive          # the sender will keep the connection (RFC 9112 section 9.3)
    uint8_t nominates           # Connection names fields of this hop, which may be trailers too
    uint8_t withheld            # response to HEAD, or 304: its fields state a body, which must not follow
    uint8_t expect_continue     # request: Expect: 100-continue from a 1.1 client
    uint8_t upgrade             # another protocol is asked for or switched to; see field.pyx
    Slice protocols             # with `upgrade`: the value of Upgrade
    uint8_t te_trailers         # request: TE says trailers; the writer states it anew
    uint64_t content_length     # with `stated` FRAMING_LENGTH
    Field *fields               # in the arena; room for `fields_room`, so that filters can append
    uint32_t fields_count
    uint32_t fields_room        # at least fields_count + FIELDS_SPARE

cdef enum:
    FIELDS_SPARE = 96           # fields that filters and forwarding may append
    METHOD_MOST = 32            # bytes of a method
    HOST_MOST = 255             # bytes of a host name
    MINOR_UNKNOWN = 255         # no version was understood: of requests that are refused or not whole

cdef struct HeadLimits:
    uint32_t head               # bytes of start line and fields, all in all (431)
    uint32_t target             # bytes of the request target (414)
    uint32_t fields             # number of fields (431)
    uint8_t merge_slashes       # normalisation also merges `//` in paths
    uint8_t keep_underscores    # fields of requests whose names contain '_' are kept

cdef inline uint32_t head_room(const HeadLimits *limits) noexcept nogil:
    """Bytes that one parsed head takes of an Arena at most; filters and forwarding need theirs on top."""
    return (limits.fields + FIELDS_SPARE + 1) * <uint32_t> sizeof(Field) + limits.target + HOST_MOST + 64

# Both parse a whole head at `data`. They return the bytes it takes (> 0), 0 when more bytes are needed, or -Refusal.
# `scanned` (start with 0, kept by the caller per connection, back to 0 after each head) makes repeated calls on a
# growing buffer cost O(new bytes). Every split of the same bytes ends in the same answer.
# Leading CRLFs before a request line are skipped (RFC 9112 section 2.2), and count as taken.
cdef int parse_request(Head *head, const char *data, uint32_t size, uint32_t *scanned,
                       const HeadLimits *limits, Arena *arena) noexcept nogil
# `request_method` is the MethodName of the request it answers: HEAD decides the framing. 1xx heads are heads of
# their own, without body: the final one follows. A 101 is refused unless `asked`, an Upgrade having been forwarded, and
# unless it names the protocol it switches to; what follows its head is not HTTP.
cdef int parse_response(Head *head, const char *data, uint32_t size, uint32_t *scanned, uint8_t request_method,
                        bint asked, const HeadLimits *limits, Arena *arena) noexcept nogil
