# Why a head or body was refused: one member per cause. CAUSES in refusal.pyx has the status and the name of each.


cdef enum Refusal:
    REFUSAL_NONE = 0
    # bytes that are not allowed anywhere in a head
    REFUSAL_BARE_LF                     # a line that ends with LF without CR
    REFUSAL_BARE_CR                     # a CR that is not followed by LF
    REFUSAL_NUL
    REFUSAL_CONTROL_BYTE
    # start line
    REFUSAL_METHOD_INVALID              # empty, too long, or not a token
    REFUSAL_METHOD_CONNECT              # a gateway does not open tunnels
    REFUSAL_CONNECT_UNSUPPORTED         # the same in HTTP/2
    REFUSAL_TARGET_INVALID              # empty, white space, a byte not allowed in a URI, no form of RFC 9112
    REFUSAL_TARGET_TOO_LONG
    REFUSAL_TARGET_FRAGMENT
    REFUSAL_TARGET_ASTERISK             # "*" with a method other than OPTIONS
    REFUSAL_TARGET_SCHEME               # absolute-form with a scheme other than http, https
    REFUSAL_TARGET_USERINFO
    REFUSAL_PATH_ESCAPE                 # '%' without two hex digits, %00
    REFUSAL_PATH_ABOVE_ROOT
    REFUSAL_VERSION_INVALID             # also HTTP/0.9, which has no version
    REFUSAL_VERSION_UNSUPPORTED         # HTTP/x.y with x other than 1
    REFUSAL_STATUS_INVALID              # response: not a three-digit number from 100
    REFUSAL_SWITCH_UNASKED              # response: 101, but the request had no Upgrade
    REFUSAL_INTERIM_TOO_MANY            # response: too many 1xx heads before the final one
    REFUSAL_INTERIM_TOO_LARGE           # response: too many bytes of them
    REFUSAL_REQUEST_MALFORMED           # HTTP/2: its content or its trailers (RFC 9113 section 8.1.1)
    REFUSAL_ANSWER_MALFORMED            # response: HTTP/2: its fields or its content (RFC 9113 section 8.1.1)
    REFUSAL_HTTP2_VIOLATION             # response: the backend violated HTTP/2 on the connection
    # fields
    REFUSAL_HEAD_TOO_LARGE
    REFUSAL_FIELDS_TOO_MANY
    REFUSAL_FIELD_NAME_INVALID
    REFUSAL_FIELD_WITHOUT_COLON
    REFUSAL_FIELD_SPACE_BEFORE_COLON
    REFUSAL_FIELD_FOLDED                # obs-fold
    REFUSAL_CONNECTION_TOO_LONG         # nominates too many fields
    REFUSAL_HOST_MISSING
    REFUSAL_HOST_REPEATED
    REFUSAL_HOST_INVALID
    REFUSAL_HOST_AMBIGUOUS              # HTTP/2: Host and :authority differ
    REFUSAL_MAX_FORWARDS_INVALID        # OPTIONS, TRACE: not one number
    REFUSAL_LENGTH_INVALID              # Content-Length is not one number, or is too large
    REFUSAL_LENGTH_REPEATED
    REFUSAL_CODING_UNSUPPORTED          # Transfer-Encoding other than exactly `chunked`
    REFUSAL_CODING_IN_HTTP10
    REFUSAL_FRAMING_AMBIGUOUS           # both Content-Length and Transfer-Encoding
    # body
    REFUSAL_CHUNK_SIZE_INVALID
    REFUSAL_CHUNK_SIZE_TOO_LARGE
    REFUSAL_CHUNK_EXTENSION_INVALID
    REFUSAL_CHUNK_LINE_TOO_LONG         # too many bytes of extensions and leading zeros in one chunk
    REFUSAL_CHUNK_OVERHEAD              # too many of them in all chunks
    REFUSAL_CHUNK_END_MISSING           # no CRLF after the data of a chunk
    REFUSAL_TRAILERS_TOO_LARGE          # more bytes or fields than a head may have
    REFUSAL_TEXT_INVALID                # gRPC-Web: the text is not base64, or incomplete
    # internal
    REFUSAL_ARENA_FULL                  # the Arena is smaller than head_room()
    REFUSAL_COUNT

# The status for a refused request: 400, 414, 431, 501 or 505. A refused response is always answered with 502.
cdef int refusal_status(int refusal) noexcept nogil
# The cause in snake_case, for the log and the metrics; static, zero-terminated.
cdef const char *refusal_reason(int refusal) noexcept nogil
# The option or options that set the exceeded limit; static. NULL if no limit was exceeded.
cdef const char *refusal_option(int refusal) noexcept nogil
