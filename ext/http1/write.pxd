# Writes heads: of requests to backends, and of responses to clients.
#
# Every writer returns the number of bytes written, or 0 if `room` is too small (then nothing may be sent).

from libc.stdint cimport uint32_t, uint64_t

from fastroute.ext.message.message cimport Message


# Fields with `dropped` set are left out. Host, framing fields, Connection, Upgrade and TE are written from the members
# of the Message, never copied from `fields`. The version is always HTTP/1.1 (RFC 9110 section 2.5), and connections to
# backends are kept.
cdef uint32_t write_request(char *out, uint32_t room, const Message *message) noexcept nogil
# A body of unknown length is announced in chunks (write_chunk_head), except `to_http10`: there it ends with the
# connection. `to_http10`: no Transfer-Encoding, no Trailer; Connection: keep-alive is written unless `close`.
cdef uint32_t write_response(char *out, uint32_t room, const Message *message, bint close,
                             bint to_http10) noexcept nogil
# A trailer section, with its last CRLF (RFC 9112 section 7.1.2).
cdef uint32_t write_trailers(char *out, uint32_t room, const Message *trailers) noexcept nogil
# The line before `size` > 0 bytes of content, which must be followed by CRLF; the last chunk is "0\r\n\r\n". Needs
# CHUNK_HEAD_MOST bytes of room.
cdef uint32_t write_chunk_head(char *out, uint64_t size) noexcept nogil
