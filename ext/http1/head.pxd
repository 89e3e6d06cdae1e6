# The head of an HTTP/1 message: its types, and the parsers that convert bytes to a Head (RFC 9112).
#
# The slices of a Head point into the parsed bytes or into the arena: both must remain valid until the head is written.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from fastroute.ext.memory.slice cimport Arena, Slice


cdef enum FieldName:            # the fields that a proxy must interpret itself; all others are FIELD_OTHER
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
    FIELD_CLAIM                 # any field of CLAIMS and CLAIM_PREFIXES (field.pyx)
    FIELD_X_FORWARDED_CLIENT_CERT   # this one and the next are accepted from no peer
    FIELD_PROXY                 # CGI passes it to programs as HTTP_PROXY (CVE-2016-5385)
    FIELD_MAX_FORWARDS
    FIELD_DATE
    FIELD_SERVER
    FIELD_LOCATION
    FIELD_LOOP                  # the installations that have forwarded the request; see loop.pxd
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
    """Whether a request with this MethodName has the same effect if it is received twice (RFC 9110 section 9.2.2)."""
    return ((1 << METHOD_GET | 1 << METHOD_HEAD | 1 << METHOD_PUT | 1 << METHOD_DELETE | 1 << METHOD_OPTIONS
             | 1 << METHOD_TRACE) >> method) & 1

cdef enum Framing:              # how the body ends (RFC 9112 section 6)
    FRAMING_NONE = 0            # no body
    FRAMING_LENGTH              # content_length bytes
    FRAMING_CHUNKED
    FRAMING_CLOSE               # until the peer closes (responses only)

cdef enum Dropped:
    DROPPED_NOT = 0
    DROPPED_HERE                # hop-by-hop, nominated by Connection, written from the Head, or replaced by the gateway
    DROPPED_BY_FILTER           # removed by a filter of a rule

cdef struct Field:
    Slice name
    Slice value                 # without surrounding white space
    uint8_t known               # FieldName
    uint8_t dropped             # Dropped: why it is not copied to the next hop
    uint8_t received            # received exactly as name, ": ", value, CRLF: the writer copies the line

cdef struct Head:
    # request line
    Slice method
    Slice target                # as received
    Slice path                  # normalised (RFC 3986 section 6.2.2), without query, starts with '/'
    Slice query                 # as received, without '?'
    Slice authority             # the value of Host as received, or the authority of an absolute-form target; with port
    Slice host                  # authority without port and trailing dot, in lower case; with the brackets of IPv6
    uint8_t method_name         # MethodName
    uint8_t has_query           # there is a '?', even if nothing follows it
    uint8_t asterisk            # OPTIONS for the gateway itself: `OPTIONS *`, or an absolute-form target without a path
    uint8_t has_max_forwards    # OPTIONS or TRACE with Max-Forwards
    uint32_t max_forwards       # its value; larger values become UINT32_MAX
    # status line
    uint16_t status
    Slice reason
    # both requests and responses
    uint8_t minor               # HTTP/1.minor, 0 or 1 (higher values count as 1); of a request also MINOR_UNKNOWN
    uint8_t framing             # Framing of the body that follows; FRAMING_NONE for Content-Length: 0 too
    uint8_t stated              # Framing according to the fields, even if no body follows (0 bytes, HEAD, 304)
    uint8_t keep_alive          # the sender keeps the connection open (RFC 9112 section 9.3)
    uint8_t nominates           # Connection nominates fields of this hop, which may also occur as trailers
    uint8_t withheld            # response to HEAD, or 304: its fields state a body, but none may follow
    uint8_t expect_continue     # request: Expect: 100-continue from a 1.1 client
    uint8_t upgrade             # the message requests or confirms a switch to another protocol; see field.pyx
    Slice protocols             # with `upgrade`: the value of Upgrade
    uint8_t has_loop            # request: there is a field FIELD_LOOP
    uint8_t te_trailers         # request: TE lists trailers; the writer adds it again
    Slice mark                  # request: the line with which this installation marks it; empty: none
    uint64_t content_length     # with `stated` FRAMING_LENGTH
    Field *fields               # in the arena; room for `fields_room`, so that filters can append
    uint32_t fields_count
    uint32_t fields_room        # at least fields_count + FIELDS_SPARE

cdef inline bint is_forwarded(const Head *head, const Field *field) noexcept nogil:
    """Whether the backend gets the field if no filter removes it: only these fields are matched. Some that are not
    copied are written from members of the Head; Content-Length is never beside Transfer-Encoding."""
    if field.dropped == DROPPED_NOT:
        return True
    return (field.known == FIELD_HOST or field.known == FIELD_CONTENT_LENGTH
            or (field.known == FIELD_UPGRADE and head.upgrade))

cdef enum:
    FIELDS_SPARE = 96           # maximum number of fields that filters and forwarding append
    METHOD_MOST = 32            # maximum bytes of a method
    HOST_MOST = 255             # maximum bytes of a host name
    MINOR_UNKNOWN = 255         # no version was parsed: the request was refused or is incomplete

cdef struct HeadLimits:
    uint32_t head               # bytes of start line and fields in total (431)
    uint32_t target             # bytes of the request target (414)
    uint32_t fields             # number of fields (431)
    uint8_t merge_slashes       # normalisation also merges `//` in paths
    uint8_t keep_underscores    # fields of requests whose names contain '_' are kept

cdef inline uint32_t head_room(const HeadLimits *limits) noexcept nogil:
    """Maximum bytes of an Arena that one parsed head uses; filters and forwarding need additional space."""
    return (limits.fields + FIELDS_SPARE + 1) * <uint32_t> sizeof(Field) + limits.target + HOST_MOST + 64

# Both parse a complete head at `data`. They return its bytes (> 0), 0 if more bytes are needed, or -Refusal. `scanned`
# (initially 0, kept by the caller for each connection, 0 again after each head) limits the cost of repeated calls on a
# growing buffer to O(new bytes). The result does not depend on how the bytes were split. CRLFs before a request line
# are skipped (RFC 9112 section 2.2) and included in the returned bytes.
cdef int parse_request(Head *head, const char *data, uint32_t size, uint32_t *scanned,
                       const HeadLimits *limits, Arena *arena) noexcept nogil
# `request_method` is the MethodName of the request that is answered: HEAD affects the framing. A 1xx head is returned
# as a head without a body; the final head follows it. A 101 is refused unless an Upgrade was forwarded (`asked`) and
# the response names the protocol it switches to; the bytes after its head are not HTTP.
cdef int parse_response(Head *head, const char *data, uint32_t size, uint32_t *scanned, uint8_t request_method,
                        bint asked, const HeadLimits *limits, Arena *arena) noexcept nogil
