# A request or an answer as the engine keeps it, whatever the protocol: a Message.
#
# A Message says what the sender means: the method or the status, where a request goes, the fields in their order, and
# how the body is declared. How this is written and how the body ends on a connection is the business of a protocol
# (http1/). Trailers are a Message too: only their fields are used.
#
# The slices of a Message point into memory that somebody else owns: the bytes that were parsed, the arena of one pass,
# or tables. To keep a Message after that pass, keep it in a block (block.pxd).

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from fastroute.ext.memory.slice cimport Slice


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
    FIELD_CLAIM                 # any field of CLAIMS and CLAIM_PREFIXES (fieldname.pyx)
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

cdef enum Scheme:               # of the URI that the client requested (RFC 9110 section 4.2)
    SCHEME_HTTP = 0
    SCHEME_HTTPS

cdef enum Version:              # of HTTP, in which the client speaks; or what carries bytes that are no messages
    VERSION_HTTP10 = 0
    VERSION_HTTP11
    VERSION_HTTP2
    VERSION_TCP
    VERSION_TLS
    VERSION_UDP
    VERSION_UNKNOWN = 255       # the request was refused before its version, or is incomplete

cdef enum Dropped:
    DROPPED_NOT = 0
    DROPPED_HERE                # hop-by-hop, nominated by Connection, written by the protocol, or replaced by the gateway
    DROPPED_BY_FILTER           # removed by a filter of a rule

cdef enum Declared:             # what a message says about its body
    BODY_NONE = 0
    BODY_LENGTH                 # content_length bytes
    BODY_UNKNOWN                # its end is not known in advance

cdef enum Received:             # bits
    RECEIVED_LINE = 1           # exactly as name, ": ", value, CRLF: writers copy the line
    RECEIVED_SECRET = 2         # as a literal that is never indexed: no hop may put it into a table (RFC 7541 section 7.1.3)

cdef struct Field:
    Slice name
    Slice value                 # without surrounding white space
    uint8_t known               # FieldName
    uint8_t dropped             # Dropped: why it is not copied to the next hop
    uint8_t received            # Received: how

cdef struct Message:
    # request
    Slice method
    uint8_t scheme              # Scheme: by the client's connection, or as a trusted proxy says (forwarded.pxd)
    Slice path                  # normalised (RFC 3986 section 6.2.2), without query, starts with '/'
    Slice query                 # as received, without '?'
    Slice authority             # as received, with port; empty: none (HTTP/1.0)
    Slice host                  # authority without port and trailing dot, in lower case; with the brackets of IPv6
    uint8_t method_name         # MethodName
    uint8_t has_query           # there is a '?', even if nothing follows it
    uint8_t asterisk            # OPTIONS for the gateway itself (RFC 9112 section 3.2.4)
    uint8_t has_max_forwards    # OPTIONS or TRACE with Max-Forwards
    uint32_t max_forwards       # its value; larger values become UINT32_MAX
    uint8_t expect_continue     # the client waits for 100 (Continue)
    uint8_t has_loop            # there is a field FIELD_LOOP
    uint8_t te_trailers         # the sender accepts trailers in the answer (TE: trailers)
    Slice mark                  # the identity that is added as FIELD_LOOP; empty: none
    # answer
    uint16_t status
    Slice reason                # the phrase after the status
    # both
    uint8_t declared            # Declared: by the fields, even if no body follows (0 bytes, HEAD, 304)
    uint8_t has_body            # content may follow
    uint8_t keep_alive          # the sender keeps its connection open for another message
    uint8_t upgrade             # requests or confirms a switch to another protocol
    Slice protocols             # with `upgrade`: the value of Upgrade
    uint64_t content_length     # with BODY_LENGTH
    Field *fields               # with room for `fields_room`, so that filters can append
    uint32_t fields_count
    uint32_t fields_room

cdef inline bint is_forwarded(const Message *message, const Field *field) noexcept nogil:
    """Whether the backend gets the field if no filter removes it: only these fields are matched. Some that are not
    copied are written from members of the Message; Content-Length is never beside Transfer-Encoding."""
    if field.dropped == DROPPED_NOT:
        return True
    return (field.known == FIELD_HOST or field.known == FIELD_CONTENT_LENGTH
            or (field.known == FIELD_UPGRADE and message.upgrade))

cdef inline bint is_line(const Field *field) noexcept nogil:
    """Whether name, ": ", value and CRLF lie one after another in memory, unchanged since they were received."""
    return field.received & RECEIVED_LINE and field.value.data == field.name.data + field.name.size + 2 \
        and field.value.data[field.value.size] == c'\r'
