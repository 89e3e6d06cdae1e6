# A body on its way: which bytes belong to it, and where it ends (RFC 9112 sections 6 and 7).

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from fastroute.ext.chain cimport FilterChain
from fastroute.ext.head cimport HeadLimits
from fastroute.ext.slice cimport Slice


cdef enum:
    CHUNK_LINE_MOST = 1024      # bytes of a chunk-size line with its extensions
    CHUNK_HEAD_MOST = 18        # bytes that write_chunk_head writes at most
    TRAILER_NAME_MOST = 64      # a longer name of a trailer is none that is forbidden

cdef struct Body:               # one struct for all framings; filled in by body_start
    uint8_t framing             # Framing
    uint8_t state               # body.pyx's own
    uint8_t complete            # the whole body, trailers included, has passed
    uint8_t name_size           # bytes of `name`
    uint8_t dropping            # the current trailer is not passed on
    uint8_t trailers_dropped    # all trailers are dropped; this and the next three are set by the owner
    uint8_t underscores_dropped     # trailers with '_' in their names are dropped
    uint8_t of_response         # `filters` act on responses
    const FilterChain *filters[2]   # of rule and backendRef: the trailers that they name are dropped; NULL: none
    uint32_t trailer_fields
    uint32_t line               # bytes of the current chunk-size or trailer line
    uint32_t trailers           # bytes of the trailer section
    uint64_t left               # bytes of the body or of the current chunk still to come
    uint64_t decoded            # content bytes that passed (without chunk framing)
    char name[TRAILER_NAME_MOST]    # what there is of a trailer's name, taken and not passed on yet

# FRAMING_NONE and a length of 0 are complete at once; FRAMING_CLOSE never is: the peer's close completes it.
cdef void body_start(Body *body, int framing, uint64_t content_length) noexcept nogil
# How many of `size` bytes belong to the body (chunk framing is checked strictly; chunk extensions are bounded); sets
# `complete`. Returns -Refusal on a broken body: bytes before the broken one are not relayed either. Bytes after the body
# stay untaken.
cdef long body_take(Body *body, const char *data, uint32_t size, const HeadLimits *limits) noexcept nogil
# The same for a body that is relayed: `passed` is what goes on, with chunk framing verbatim and without the trailers that
# have no place there. It lies in `data`, or begins up to TRAILER_NAME_MOST bytes before it when a call before ended
# inside a trailer's name: there must be room. Without trailers it is what was taken. `data` behind it may be overwritten
# as far as it was taken. All of a body is taken by body_pass, or by the others.
cdef long body_pass(Body *body, char *data, uint32_t size, const HeadLimits *limits, Slice *passed) noexcept nogil
# As body_take, but decodes: gives the next span of content in [*content, *content + *content_size) (maybe empty) and
# returns the bytes taken from `data`: call again with the rest until all is taken or `complete`. Trailers are left
# out. Used when the receiver cannot take chunked (HTTP/1.0 clients).
cdef long body_decode(Body *body, const char *data, uint32_t size, const HeadLimits *limits,
                      const char **content, uint32_t *content_size) noexcept nogil
