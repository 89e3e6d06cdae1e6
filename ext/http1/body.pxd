# A message body while it is received: which bytes belong to it, and where it ends (RFC 9112 sections 6 and 7).

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastroute.ext.http1.head cimport HeadLimits
from fastroute.ext.http1.trailer cimport TRAILER_NAME_MOST
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.routing.chain cimport FilterChain


cdef enum:
    CHUNK_SURPLUS_MOST = 1024   # maximum surplus of one chunk-size line
    SURPLUS_FREE = 16384        # maximum surplus of a body, in addition to one byte for each byte of content
    CHUNK_HEAD_MOST = 18        # maximum bytes that write_chunk_head writes

cdef struct Body:               # one struct for all framings; initialised by body_start
    uint8_t framing             # Framing
    uint8_t state               # State in body.pyx
    uint8_t complete            # the whole body, including trailers, was received
    uint8_t name_size           # bytes of `name`
    uint8_t dropping            # the current trailer is not passed on
    uint8_t trailers_dropped    # all trailers are dropped; this and the next three are set by the caller
    uint8_t underscores_dropped     # trailers with '_' in their names are dropped
    uint8_t of_response         # `filters` act on responses
    const FilterChain *filters[2]   # of rule and backendRef: trailers that they name are dropped; NULL: no filters
    uint32_t trailer_fields
    uint32_t line               # surplus of the current chunk-size line
    uint32_t trailers           # bytes of the trailer section
    uint64_t left               # remaining bytes of the body or of the current chunk
    uint64_t decoded            # content bytes received (without chunk framing)
    uint64_t surplus            # bytes of chunk-size lines that are not necessary: extensions, leading zeros
    char name[TRAILER_NAME_MOST]    # start of a trailer name: received, but not passed on yet

# FRAMING_NONE and a length of 0 are complete at once; FRAMING_CLOSE is never complete: the close by the peer ends it.
cdef void body_start(Body *body, int framing, uint64_t content_length) noexcept nogil
# Returns how many of `size` bytes belong to the body (chunk framing is checked strictly; chunk extensions are limited)
# and sets `complete`. Returns -Refusal for an invalid body: then none of these bytes is relayed. Bytes after the body
# are not taken.
cdef long body_take(Body *body, const char *data, uint32_t size, const HeadLimits *limits) noexcept nogil
# Like body_take, for a body that is relayed: `passed` is the part to send, with chunk framing unchanged and without the
# trailers that must not be forwarded. It is in `data`, or begins up to TRAILER_NAME_MOST bytes before it if the
# previous call ended inside a trailer name: the caller provides room for these bytes. Without trailers it equals the
# bytes taken. The bytes of `data` that were taken may be overwritten. One body must be read either with body_pass only
# or with the other functions only.
cdef long body_pass(Body *body, char *data, uint32_t size, const HeadLimits *limits, Slice *passed) noexcept nogil
# Like body_take, but decodes: sets [*content, *content + *content_size) to the next span of content (may be empty) and
# returns the bytes taken from `data`. Call it again with the rest until all is taken or `complete`. Trailers are
# dropped. Used if the receiver does not support chunked (HTTP/1.0 clients).
cdef long body_decode(Body *body, const char *data, uint32_t size, const HeadLimits *limits,
                      const char **content, uint32_t *content_size) noexcept nogil
