# What a session sends. libnghttp2 keeps the order of frames and makes their bytes, which go into the batch of the parent.

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.http2.nghttp2 cimport nghttp2_nv, nghttp2_session_callbacks
from fastroute.ext.message.message cimport Message
from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.reactor cimport Reactor


# --- functions of the StreamProtocol (reactor/parent.pxd)

cdef int gather(Reactor r, Connection *p) noexcept nogil
cdef int send(Reactor r, Connection *p, Connection *s, const char *data, uint32_t size, bint last) noexcept nogil
cdef int open(Reactor r, Connection *p, Connection *s, const char *fields, uint32_t size, bint last) noexcept nogil
cdef int end(Reactor r, Connection *p, Connection *s) noexcept nogil
cdef int reset(Reactor r, Connection *p, Connection *s, uint8_t cause) noexcept nogil
cdef int credit(Reactor r, Connection *p, Connection *s, uint32_t size) noexcept nogil
cdef int ping(Reactor r, Connection *p) noexcept nogil
cdef int leave(Reactor r, Connection *p, bint finally_) noexcept nogil

# --- for the side of an exchange

# Lists the fields of an answer in the Session: they refer to the Message, `r.arena` and `r.outgoing`. Returns their size; 0:
# no room.
cdef uint32_t session_head(Reactor r, Connection *s, const Message *message) noexcept nogil
# The bytes of `r.outgoing` that they use.
cdef uint32_t session_text(Reactor r, const Connection *s) noexcept nogil
# Sends an interim answer, which session_head has listed, now. Returns 0, or -1 if that is impossible.
cdef int session_interim(Reactor r, Connection *s) noexcept nogil
# Submits the head of the answer of a stream, which session_head has listed. It goes into the batch with the next content,
# end, or session_flush: before the Message, the arena or `r.outgoing` change, because libnghttp2 reads the fields then.
# `ends`: no content follows. Returns like session_interim.
cdef int session_answer(Reactor r, Connection *s, bint ends) noexcept nogil
# Puts all frames that libnghttp2 can send into the batch of the parent of the stream. Returns 0, or -1 if out of memory.
cdef int session_flush(Reactor r, Connection *s) noexcept nogil
# Keeps trailers, which are sent with the end of the stream. `used`: bytes of `r.outgoing` that are in use. Returns 0, or -1
# if there is no room for them.
cdef int session_keep_trailers(Reactor r, Connection *s, const Message *trailers, uint32_t used) noexcept nogil

# Submits a request on a stream to a backend. `ends`: no content follows. libnghttp2 reads names and values later: they must
# not change before session_opened has returned. `single`: X-Request-Id, if it may be in the table of the backend: there it
# is never sent again, so it is put there only with few requests, after which the others refer to its name; or NULL. Returns
# 0, or -1 if that is impossible.
cdef int session_request(Reactor r, Connection *s, const nghttp2_nv *fields, size_t count, nghttp2_nv *single,
                         bint ends) noexcept nogil
# Puts the request into the batch. If the backend has just reduced the number of streams that it accepts, the stream is
# refused here. Returns 0, or -1 if the stream is broken.
cdef int session_opened(Reactor r, Connection *s) noexcept nogil

# Notes the windows as libnghttp2 has them.
cdef void note_windows(Connection *p, Connection *s) noexcept nogil
# Sets the callbacks for sending.
cdef void send_with(nghttp2_session_callbacks *callbacks) noexcept
