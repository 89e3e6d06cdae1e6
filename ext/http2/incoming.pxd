# What a session receives. libnghttp2 calls functions for the frames that have arrived, and for their fields and content,
# while it handles the bytes of one read. The parent is `Reactor.speaking` then.

from fastroute.ext.http2.nghttp2 cimport nghttp2_session_callbacks
from fastroute.ext.http2.session cimport Session
from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.reactor cimport Reactor


# Notes the windows of all streams, after SETTINGS have changed them.
cdef void note_all_windows(Reactor r, Session *session, Connection *p) noexcept nogil
# Sets the callbacks for receiving.
cdef void receive_with(nghttp2_session_callbacks *callbacks) noexcept
