# Why an answer was ours, or why an exchange broke: one name each, for the access log and the metrics.
#
# Numbers below REASON_REFUSED are listed here; REASON_REFUSED + n is http1's Refusal n, named by refusal_reason.


cdef enum LocalReason:
    REASON_NONE = 0             # the backend's own answer
    REASON_NO_LISTENER          # 404: no listener of this port has the host
    REASON_NO_RULE              # 404: the listener has it, no rule takes the request
    REASON_REDIRECT             # a RequestRedirect filter
    REASON_REFERENCE_REFUSED    # 500: a backendRef that no ReferenceGrant allows
    REASON_BACKEND_NOT_FOUND    # 500: no such Service, or no such port in it
    REASON_BACKEND_INVALID      # 500: a kind or protocol that is not served, or whatever else is wrong
    REASON_NO_BACKEND_REFS      # 500: the rule names none
    REASON_ZERO_WEIGHTS         # 500: all its weights are 0
    REASON_NO_ENDPOINT          # 503: the backend has none that is ready
    REASON_CONNECT_FAILED       # 503: none of those tried accepted the connection
    REASON_CONNECT_TIMEOUT      # 503: the same, and the last one never answered
    REASON_UPSTREAM_CLOSED      # 502: closed or reset before its head was complete
    REASON_UPSTREAM_MALFORMED   # 502: its head or body broke the protocol or a limit
    REASON_UPSTREAM_TRUNCATED   # it closed in the middle of its body: so do we
    REASON_REQUEST_TIMEOUT      # 504: the rule's `request`
    REASON_BACKEND_TIMEOUT      # 504: the rule's `backendRequest`
    REASON_HEAD_TIMEOUT         # 408: the head took too long
    REASON_BODY_TIMEOUT         # 408: the body stood still for too long
    REASON_BODY_TOO_LARGE       # 413
    REASON_CLIENT_CLOSED        # the client went away; status null when that was before an answer
    REASON_PREFLIGHT            # 204: a CORS preflight
    REASON_TUNNEL_IDLE          # nothing went through an upgraded connection for too long
    REASON_OVERLOADED           # 503: no memory, descriptor or slot to serve it with
    REASON_MISDIRECTED          # 421: the host belongs to another listener than the name the client's TLS asked for
    REASON_DRAINED              # it was still going on when the time to drain was over
    REASON_OPTIONS_ASTERISK     # 200: OPTIONS about the gateway itself
    REASON_MAX_FORWARDS         # 200, 405: OPTIONS or TRACE with Max-Forwards: 0
    REASON_BACKEND_TLS_POLICY   # 500: the backend has a BackendTLSPolicy, which is not served yet
    REASON_COUNT                # how many are named here
    REASON_REFUSED = 64         # + Refusal: the request's head or body was refused by http1

cdef const char *reason_name(int reason) noexcept nogil         # snake_case; "none" for REASON_NONE and unknown ones
# The option whose limit or time was exceeded; static. NULL: none was.
cdef const char *reason_option(int reason) noexcept nogil
# The number of a name that the control plane may give a backendRef; REASON_BACKEND_INVALID for one that is unknown.
cdef int reason_number(str name) except -1
