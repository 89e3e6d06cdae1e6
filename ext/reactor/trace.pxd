# The trace of a request that is sampled: ids and tries, from the head of the request until its span is written.

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.memory.spare cimport spare_give
from fastroute.ext.message.tracecontext cimport SPAN_ID_TEXT, TRACE_ID_TEXT
from fastroute.ext.routing.sampling cimport Sampling, sampling_unref


cdef enum:
    ATTEMPTS_MOST = 6           # tries that are kept: the first ones and the last one

cdef struct Attempt:            # one try
    char[<int> SPAN_ID_TEXT] span
    uint64_t started            # microseconds, engine time
    uint64_t ended              # 0: in progress
    uint16_t status             # of the answer; 0: none
    uint16_t reason             # LocalReason; 0: none, or that of the request
    char[55] label              # of the endpoint, zero-terminated

cdef struct Trace:              # one block of spare_take
    char[<int> TRACE_ID_TEXT] id
    char[<int> SPAN_ID_TEXT] span       # of the server
    char[<int> SPAN_ID_TEXT] parent     # of the client; zeros: none
    uint64_t started            # microseconds, engine time
    uint32_t kept               # number of `attempts`
    Attempt[<int> ATTEMPTS_MOST] attempts
    Slice authority             # of the request for the backend, while the record is written
    Slice path
    bint encrypted              # TLS towards the backend
    Sampling *sampling          # of the policy that has sampled it, with a reference; NULL: none
    # Values of the fields that the policy names, of the request, and of the last answer of a backend. Each is owned, and
    # one block with the bytes. NULL: no memory, no names, or no answer.
    Slice *values
    Slice *answered

cdef inline void trace_free(Trace *trace) noexcept nogil:
    if trace is not NULL:
        free(trace.values)
        free(trace.answered)
        sampling_unref(trace.sampling)
        spare_give(trace, sizeof(Trace))

cdef inline Attempt *last_attempt(Trace *trace) noexcept nogil:
    """NULL: there was no try."""
    return &trace.attempts[trace.kept - 1] if trace.kept else NULL
