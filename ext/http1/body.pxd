# A message body while it is received: which bytes belong to it, and where it ends (RFC 9112 sections 6 and 7).

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastroute.ext.http1.head cimport Head
from fastroute.ext.memory.buffer cimport Buffer, buffer_free
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.limits cimport HeadLimits


cdef enum:
    CHUNK_SURPLUS_MOST = 1024   # maximum surplus of one chunk-size line
    SURPLUS_FREE = 16384        # maximum surplus of a body, in addition to one byte for each byte of content
    CHUNK_HEAD_MOST = 18        # maximum bytes that write_chunk_head writes

cdef struct Body:               # one struct for all framings; initialised by body_start
    uint8_t framing             # Framing
    uint8_t state               # State in body.pyx
    uint8_t complete            # the whole body, including trailers, was received
    uint8_t nominated           # Connection nominates fields of this hop: no trailer goes on; set by body_restart
    uint32_t trailer_fields     # number of trailers
    uint32_t line               # surplus of the current chunk-size line
    uint32_t trailers           # bytes of the trailer section
    uint64_t left               # remaining bytes of the body or of the current chunk
    uint64_t decoded            # content bytes received (without chunk framing)
    uint64_t surplus            # bytes of chunk-size lines that are not necessary: extensions, leading zeros
    Buffer section              # of body_pass: the first part of a trailer section that is not complete yet

# FRAMING_NONE and a length of 0 are complete at once; FRAMING_CLOSE is never complete: the close by the peer ends it.
cdef void body_start(Body *body, int framing, uint64_t content_length) noexcept nogil
# Frees what body_pass has kept.
cdef inline void body_free(Body *body) noexcept nogil:
    buffer_free(&body.section)
# body_start for the body that follows a head; frees what was kept of the last one.
cdef inline void body_restart(Body *body, const Head *head) noexcept nogil:
    body_free(body)
    body_start(body, head.framing, head.message.content_length)
    body.nominated = head.nominates
# Returns how many of `size` bytes belong to the body (chunk framing is checked strictly; chunk extensions are limited)
# and sets `complete`. Returns -Refusal for an invalid body: then none of these bytes is relayed. Bytes after the body
# are not taken.
cdef long body_take(Body *body, const char *data, uint32_t size, const HeadLimits *limits) noexcept nogil
# Like body_take, for a body that is relayed: `passed` is the part to send, with chunk framing unchanged, but without a
# trailer section that has trailers. When such a body is complete, `section` is that section with its last CRLF: in
# `data` directly after `passed`, or in `body.section`. It is valid until `data` or the body changes, and can be written
# as a Message (trailer.pxd). Without trailers, `passed` equals the bytes taken, and `section` is empty. One body must be
# read either with these two only or with the other functions only.
cdef long body_pass(Body *body, char *data, uint32_t size, const HeadLimits *limits, Slice *passed,
                    Slice *section) noexcept nogil
# The same, but `opened` is the content, moved together in `data`: for a receiver that takes no chunks.
cdef long body_open(Body *body, char *data, uint32_t size, const HeadLimits *limits, Slice *opened,
                    Slice *section) noexcept nogil
# Like body_take, but decodes: sets [*content, *content + *content_size) to the next span of content (may be empty) and
# returns the bytes taken from `data`. Call it again with the rest until all is taken or `complete`. Trailers are
# dropped.
cdef long body_decode(Body *body, const char *data, uint32_t size, const HeadLimits *limits,
                      const char **content, uint32_t *content_size) noexcept nogil
