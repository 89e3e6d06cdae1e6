"""Idle connections to backends, by protocol; see idle.pxd."""

from fastroute.ext.message.message cimport METHOD_HEAD
from fastroute.ext.message.protocol cimport PROTOCOL_HTTP1, PROTOCOL_RAW, PROTOCOLS
from fastroute.ext.reactor.reactor cimport is_quiet

cdef struct Row:
    bint (*takes)(Reactor r, const Connection *u, uint8_t method) noexcept nogil
    bint (*is_usable)(Reactor r, Connection *u, bint certainly) noexcept nogil
    bint (*stays)(Reactor r, Connection *u) noexcept nogil

cdef Row[<int> PROTOCOLS] ROWS
ROWS[<int> PROTOCOL_HTTP1] = Row(http1_takes, http1_is_usable, http1_stays)
ROWS[<int> PROTOCOL_RAW] = Row(raw_takes, raw_is_usable, raw_stays)


cdef bint idle_takes(Reactor r, const Connection *u, uint8_t method) noexcept nogil:
    return ROWS[u.key.protocol].takes(r, u, method)


cdef bint idle_is_usable(Reactor r, Connection *u, bint certainly) noexcept nogil:
    return ROWS[u.key.protocol].is_usable(r, u, certainly)


cdef bint idle_stays(Reactor r, Connection *u) noexcept nogil:
    return ROWS[u.key.protocol].stays(r, u)


# --- bytes that are passed on unread: a connection is of one client, and never idle


cdef bint raw_takes(Reactor r, const Connection *u, uint8_t method) noexcept nogil:
    return False


cdef bint raw_is_usable(Reactor r, Connection *u, bint certainly) noexcept nogil:
    return False


cdef bint raw_stays(Reactor r, Connection *u) noexcept nogil:
    return False


# --- HTTP/1: a backend sends nothing without a request (RFC 9112 §9.2), so whatever arrives ends the connection


cdef bint http1_takes(Reactor r, const Connection *u, uint8_t method) noexcept nogil:
    """After HEAD only another HEAD, for a while (upstream_note)."""
    return u.held <= r.milliseconds or method == METHOD_HEAD


cdef bint http1_is_usable(Reactor r, Connection *u, bint certainly) noexcept nogil:
    if u.readable and not http1_stays(r, u):
        return False
    return (not certainly and u.held == 0) or is_quiet(r, u)


cdef bint http1_stays(Reactor r, Connection *u) noexcept nogil:
    if u.ended or u.failed or not is_quiet(r, u):
        return False
    u.readable = False
    return True
