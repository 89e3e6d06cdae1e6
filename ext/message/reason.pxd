# Why fastroute answered by itself, or why an exchange failed: one name per reason, for the access log and the metrics.
#
# Numbers below REASON_REFUSED are listed here; REASON_REFUSED + n is Refusal n (refusal.pxd), named by refusal_reason.


cdef enum LocalReason:
    REASON_NONE = 0             # the backend answered
    REASON_NO_LISTENER          # 404: no listener of this port accepts the host
    REASON_NO_RULE              # 404: a listener accepts the host, but no rule accepts the request
    REASON_REDIRECT             # a RequestRedirect filter
    REASON_REFERENCE_REFUSED    # 500: no ReferenceGrant allows the backendRef
    REASON_BACKEND_NOT_FOUND    # 500: the Service or its port does not exist
    REASON_BACKEND_INVALID      # 500: a kind or protocol that is not supported, or otherwise invalid
    REASON_NO_BACKEND_REFS      # 500: the rule has no backendRefs
    REASON_ZERO_WEIGHTS         # 500: all weights of the rule are 0
    REASON_NO_ENDPOINT          # 503: the backend has no eligible endpoint
    REASON_CONNECT_FAILED       # 503: none of the endpoints tried accepted the connection
    REASON_CONNECT_TIMEOUT      # 503: the same, and the last one did not answer in time
    REASON_UPSTREAM_CLOSED      # 502: the backend closed or reset the connection before its head was complete
    REASON_UPSTREAM_MALFORMED   # 502: head or body of the backend violated the protocol or a limit
    REASON_UPSTREAM_TRUNCATED   # the backend closed within its body; the answer to the client is cut off too
    REASON_REQUEST_TIMEOUT      # 504: the rule's `request` timeout
    REASON_BACKEND_TIMEOUT      # 504: the rule's `backendRequest` timeout
    REASON_HEAD_TIMEOUT         # 408: the head was not complete in time
    REASON_BODY_TIMEOUT         # 408: no progress of the body for too long
    REASON_BODY_TOO_LARGE       # 413
    REASON_CLIENT_CLOSED        # the client closed the connection; the status is null if that was before an answer
    REASON_PREFLIGHT            # 204: a CORS preflight
    REASON_TUNNEL_IDLE          # an upgraded connection had no traffic for too long
    REASON_OVERLOADED           # 503: out of memory, descriptors or slots
    REASON_MISDIRECTED          # 421: the host and the TLS server name belong to different listeners
    REASON_DRAINED              # still in progress at the end of the drain time
    REASON_OPTIONS_ASTERISK     # 200: OPTIONS for the gateway itself
    REASON_MAX_FORWARDS         # 200, 405: OPTIONS or TRACE with Max-Forwards: 0
    REASON_BACKEND_TLS_POLICY   # 500: the BackendTLSPolicy of the backend cannot be fulfilled
    REASON_LOOP                 # 508: this installation has forwarded the request before
    REASON_BODY_TOO_SLOW        # 408: the client sent a body, or read a response, more slowly than --min-body-rate
    REASON_UPSTREAM_TOO_SLOW    # the backend sent a body more slowly than --min-body-rate; the answer is cut
    REASON_BUFFERS_FULL         # 503: all connections together buffer too much, and this one buffered the most
    REASON_UPSTREAM_TLS_FAILED  # 502: no TLS with any of the endpoints tried
    REASON_UPSTREAM_CERTIFICATE_INVALID # 502: the same, and the certificate of the last one was not valid
    REASON_UPLOAD_TIMEOUT       # 504: the backend took nothing of the request body for too long
    REASON_UPGRADE_UNSUPPORTED  # 502: a WebSocket, but the backend speaks HTTP/2, on which it is not possible
    REASON_UPSTREAM_REFUSED     # 503: the backend has not processed the request, in each try
    REASON_CLIENT_CERTIFICATE   # 421: after a change of the listener, the client's certificate is not valid
    REASON_NO_CLIENT_HELLO      # a connection for TLSRoutes does not begin with a ClientHello
    REASON_FLOWS_FULL           # a flow of datagrams gave way to a new one, because all flows were in use
    REASON_ENDPOINT_LEFT        # a flow ended because its endpoint is no longer one of its backend
    REASON_COUNT                # number of reasons above
    REASON_REFUSED = 64         # + Refusal: the head or body of the request was refused

cdef const char *reason_name(int reason) noexcept nogil         # snake_case; "none" for REASON_NONE and unknown ones
# The option that sets the limit or time that was exceeded; static. NULL if none was exceeded.
cdef const char *reason_option(int reason) noexcept nogil
# The number of a name that the control plane may give a backendRef; REASON_BACKEND_INVALID if the name is unknown.
cdef int reason_number(str name) except -1
