"""Limits of what a peer may cause; see chores.pxd."""

from libc.stdint cimport int64_t

from fastroute.ext.http2.nghttp2 cimport NGHTTP2_ERR_CALLBACK_FAILURE
from fastroute.ext.http2.session cimport Session, session_of
from fastroute.ext.reactor.counters cimport HTTP2_CHORES, HTTP2_RESETS
from fastroute.ext.reactor.fault cimport fault_note


cdef void session_fail(Reactor r, Connection *p, int failure) noexcept nogil:
    cdef Session *session = session_of(p)
    if not session.failed:
        session.failed = True
        session.failure = failure
        if session.asks:
            return              # the answers that fail are counted
        fault_note(r, p, failure)


cdef int session_spend(Reactor r, Connection *p, uint32_t chores, uint32_t resets) noexcept nogil:
    cdef Session *session = session_of(p)
    cdef uint64_t seconds = (r.milliseconds - session.eased) // 1000
    if seconds:
        forget_some(&session.chores, seconds * CHORES_RATE)
        forget_some(&session.resets, seconds * RESETS_RATE)
        session.eased = r.milliseconds
    session.chores += chores
    if not session.asks:        # there, each follows a request of a client
        session.resets += resets
    if session.chores > CHORES_MOST:
        session_fail(r, p, HTTP2_CHORES)
    elif session.resets > RESETS_MOST:
        session_fail(r, p, HTTP2_RESETS)
    else:
        return 0
    return NGHTTP2_ERR_CALLBACK_FAILURE


cdef int session_spend_bytes(Reactor r, Connection *p) noexcept nogil:
    cdef Session *session = session_of(p)
    cdef uint32_t chores
    cdef int64_t excused = min(session.unexplained, session.late)
    if excused > 0:
        session.late -= excused
        session.unexplained -= excused
    if session.unexplained < CHORE_BYTES:
        return 0
    chores = <uint32_t> (session.unexplained // CHORE_BYTES)
    session.unexplained %= CHORE_BYTES
    return session_spend(r, p, chores, 0)
