# What a session receives. libnghttp2 calls functions for the frames that have arrived, and for their fields and content,
# while it handles the bytes of one read. The parent is `Reactor.speaking` then.

from fastroute.ext.http2.nghttp2 cimport nghttp2_session_callbacks


# Sets the callbacks for receiving.
cdef void receive_with(nghttp2_session_callbacks *callbacks) noexcept
