# The names of reasons, for the access log and the metrics, and the mapping of the control plane's names of them.

from fastroute.ext.message.refusal cimport REFUSAL_COUNT, refusal_option, refusal_reason

cdef const char *NAMES[42]
NAMES[:] = [
    b"none", b"no_listener", b"no_rule", b"redirect", b"reference_refused", b"backend_not_found", b"backend_invalid",
    b"no_backend_refs", b"zero_weights", b"no_endpoint", b"connect_failed", b"connect_timeout", b"upstream_closed",
    b"upstream_malformed", b"upstream_truncated", b"request_timeout", b"backend_timeout", b"head_timeout",
    b"body_timeout", b"body_too_large", b"client_closed", b"preflight", b"tunnel_idle", b"overloaded",
    b"misdirected", b"drained", b"options_asterisk", b"max_forwards", b"backend_tls_policy",
    b"loop_detected", b"body_too_slow", b"upstream_too_slow", b"buffers_full",
    b"upstream_tls_failed", b"upstream_certificate_invalid", b"upload_timeout", b"upgrade_unsupported",
    b"upstream_refused", b"client_certificate", b"no_client_hello", b"flows_full", b"endpoint_left",
]
if len(NAMES) != REASON_COUNT or REASON_COUNT > REASON_REFUSED:
    raise AssertionError("every LocalReason has one name, and a number below those of refusals")


cdef const char *reason_name(int reason) noexcept nogil:
    if REASON_REFUSED < reason < <int> REASON_REFUSED + <int> REFUSAL_COUNT:
        return refusal_reason(reason - <int> REASON_REFUSED)
    return NAMES[reason] if 0 <= reason < REASON_COUNT else NAMES[0]


cdef const char *reason_option(int reason) noexcept nogil:
    if reason == REASON_BODY_TOO_LARGE:
        return b"--max-body"
    if reason == REASON_HEAD_TIMEOUT:
        return b"--head-timeout"
    if reason == REASON_BODY_TIMEOUT or reason == REASON_UPLOAD_TIMEOUT:
        return b"--body-idle-timeout"
    if reason == REASON_BODY_TOO_SLOW or reason == REASON_UPSTREAM_TOO_SLOW:
        return b"--min-body-rate"
    if reason == REASON_CONNECT_TIMEOUT:
        return b"--connect-timeout"
    if reason == REASON_BUFFERS_FULL:
        return b"--max-buffered"
    return refusal_option(reason - <int> REASON_REFUSED) if reason > REASON_REFUSED else NULL


cdef int reason_number(str name) except -1:
    return NUMBERS.get(name, REASON_BACKEND_INVALID)


cdef dict NUMBERS = {reason_name(number).decode(): number for number in range(REASON_COUNT)}
# By number; "" if there is none. Several refusals may have the same name.
REASONS = tuple(
    "" if REASON_COUNT <= number <= REASON_REFUSED else reason_name(number).decode()
    for number in range(<int> REASON_REFUSED + <int> REFUSAL_COUNT)
)
