"""Statuses; see status.pxd."""

# RFC 9110 section 15, and a few others that proxies and their backends send; spelled as registered.
PHRASES = {
    100: b"Continue", 101: b"Switching Protocols", 102: b"Processing", 103: b"Early Hints",
    200: b"OK", 201: b"Created", 202: b"Accepted", 203: b"Non-Authoritative Information", 204: b"No Content",
    205: b"Reset Content", 206: b"Partial Content",
    300: b"Multiple Choices", 301: b"Moved Permanently", 302: b"Found", 303: b"See Other", 304: b"Not Modified",
    307: b"Temporary Redirect", 308: b"Permanent Redirect",
    400: b"Bad Request", 401: b"Unauthorized", 403: b"Forbidden", 404: b"Not Found", 405: b"Method Not Allowed",
    408: b"Request Timeout", 409: b"Conflict", 410: b"Gone", 411: b"Length Required", 413: b"Content Too Large",
    414: b"URI Too Long", 415: b"Unsupported Media Type", 417: b"Expectation Failed", 421: b"Misdirected Request",
    426: b"Upgrade Required", 429: b"Too Many Requests", 431: b"Request Header Fields Too Large",
    500: b"Internal Server Error", 501: b"Not Implemented", 502: b"Bad Gateway", 503: b"Service Unavailable",
    504: b"Gateway Timeout", 505: b"HTTP Version Not Supported", 508: b"Loop Detected",
}

cdef const char *phrases[600]


cdef const char *status_phrase(int status) noexcept nogil:
    if 0 <= status < 600 and phrases[status] != NULL:
        return phrases[status]
    return b"Unknown"


def _lay_out():
    """Copies the table into an array; the phrases live as long as the table."""
    cdef int status
    for status in PHRASES:
        phrases[status] = PHRASES[status]


_lay_out()
