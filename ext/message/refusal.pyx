"""Refusals by name: the status sent to the client and the name in log and metrics, for each cause.

CAUSES is the only table. A refused request is answered with its status and the connection is closed (RFC 9112 sections
2.2 and 6.3). A refused response of a backend is always answered with 502, whatever CAUSES contains.
"""

from libc.stdint cimport uint16_t

CAUSES = {
    REFUSAL_NONE: (0, b"none"),
    REFUSAL_BARE_LF: (400, b"bare_lf"),
    REFUSAL_BARE_CR: (400, b"bare_cr"),
    REFUSAL_NUL: (400, b"nul_byte"),
    REFUSAL_CONTROL_BYTE: (400, b"control_byte"),
    REFUSAL_METHOD_INVALID: (400, b"method_invalid"),
    REFUSAL_METHOD_CONNECT: (400, b"method_connect"),
    REFUSAL_CONNECT_UNSUPPORTED: (501, b"connect_unsupported"),
    REFUSAL_TARGET_INVALID: (400, b"target_invalid"),
    REFUSAL_TARGET_TOO_LONG: (414, b"target_too_long"),
    REFUSAL_TARGET_FRAGMENT: (400, b"target_fragment"),
    REFUSAL_TARGET_ASTERISK: (400, b"target_asterisk"),
    REFUSAL_TARGET_SCHEME: (400, b"target_scheme"),
    REFUSAL_TARGET_USERINFO: (400, b"target_userinfo"),
    REFUSAL_PATH_ESCAPE: (400, b"path_escape"),
    REFUSAL_PATH_ABOVE_ROOT: (400, b"path_above_root"),
    REFUSAL_VERSION_INVALID: (400, b"version_invalid"),
    REFUSAL_VERSION_UNSUPPORTED: (505, b"version_unsupported"),
    REFUSAL_STATUS_INVALID: (502, b"status_invalid"),
    REFUSAL_SWITCH_UNASKED: (502, b"switch_unasked"),
    REFUSAL_INTERIM_TOO_MANY: (502, b"interim_too_many"),
    REFUSAL_INTERIM_TOO_LARGE: (502, b"interim_too_large"),
    REFUSAL_REQUEST_MALFORMED: (400, b"http2_malformed"),
    REFUSAL_ANSWER_MALFORMED: (502, b"http2_answer_malformed"),
    REFUSAL_HTTP2_VIOLATION: (502, b"http2_violation"),
    REFUSAL_HEAD_TOO_LARGE: (431, b"head_too_large"),
    REFUSAL_FIELDS_TOO_MANY: (431, b"fields_too_many"),
    REFUSAL_FIELD_NAME_INVALID: (400, b"field_name_invalid"),
    REFUSAL_FIELD_WITHOUT_COLON: (400, b"field_without_colon"),
    REFUSAL_FIELD_SPACE_BEFORE_COLON: (400, b"field_space_before_colon"),
    REFUSAL_FIELD_FOLDED: (400, b"field_folded"),
    REFUSAL_CONNECTION_TOO_LONG: (400, b"connection_too_long"),
    REFUSAL_HOST_MISSING: (400, b"host_missing"),
    REFUSAL_HOST_REPEATED: (400, b"host_repeated"),
    REFUSAL_HOST_INVALID: (400, b"host_invalid"),
    REFUSAL_HOST_AMBIGUOUS: (400, b"host_ambiguous"),
    REFUSAL_MAX_FORWARDS_INVALID: (400, b"max_forwards_invalid"),
    REFUSAL_LENGTH_INVALID: (400, b"content_length_invalid"),
    REFUSAL_LENGTH_REPEATED: (400, b"content_length_repeated"),
    REFUSAL_CODING_UNSUPPORTED: (501, b"transfer_encoding_unsupported"),
    REFUSAL_CODING_IN_HTTP10: (400, b"transfer_encoding_in_http10"),
    REFUSAL_FRAMING_AMBIGUOUS: (400, b"framing_ambiguous"),
    REFUSAL_CHUNK_SIZE_INVALID: (400, b"chunk_size_invalid"),
    REFUSAL_CHUNK_SIZE_TOO_LARGE: (400, b"chunk_size_too_large"),
    REFUSAL_CHUNK_EXTENSION_INVALID: (400, b"chunk_extension_invalid"),
    REFUSAL_CHUNK_LINE_TOO_LONG: (400, b"chunk_line_too_long"),
    REFUSAL_CHUNK_OVERHEAD: (400, b"chunk_overhead"),
    REFUSAL_CHUNK_END_MISSING: (400, b"chunk_end_missing"),
    REFUSAL_TRAILERS_TOO_LARGE: (431, b"trailers_too_large"),
    REFUSAL_TEXT_INVALID: (400, b"grpc_web_text_invalid"),
    REFUSAL_ARENA_FULL: (431, b"arena_full"),
}

# The options that set the limits.
OPTIONS = {
    REFUSAL_TARGET_TOO_LONG: b"--max-target",
    REFUSAL_INTERIM_TOO_LARGE: b"--max-head",
    REFUSAL_HEAD_TOO_LARGE: b"--max-head",
    REFUSAL_FIELDS_TOO_MANY: b"--max-fields",
    REFUSAL_TRAILERS_TOO_LARGE: b"--max-head, --max-fields",
    REFUSAL_ARENA_FULL: b"--max-head",
}

cdef uint16_t statuses[REFUSAL_COUNT]
cdef const char *reasons[REFUSAL_COUNT]
cdef const char *options[REFUSAL_COUNT]


cdef int refusal_status(int refusal) noexcept nogil:
    return statuses[refusal] if 0 <= refusal < REFUSAL_COUNT else 400


cdef const char *refusal_reason(int refusal) noexcept nogil:
    return reasons[refusal] if 0 <= refusal < REFUSAL_COUNT else reasons[0]


cdef const char *refusal_option(int refusal) noexcept nogil:
    return options[refusal] if 0 <= refusal < REFUSAL_COUNT else NULL


def _lay_out():
    """Copies the tables into arrays; the names live as long as the tables."""
    cdef int refusal
    for refusal in range(<int> REFUSAL_COUNT):
        status, reason = CAUSES[refusal]
        statuses[refusal] = status
        reasons[refusal] = reason
    for refusal in OPTIONS:
        options[refusal] = OPTIONS[refusal]


_lay_out()
