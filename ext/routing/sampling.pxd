# Which requests of a listener are traced, if a policy says so (snapshot.ListenerTracing).

from libc.stdint cimport uint32_t, uint64_t

from fastroute.ext.memory.slice cimport Slice


cdef enum:
    NAMES_MOST = 16             # fields whose values are kept, of a policy

cdef struct Rate:               # a part of all traces; the last eight octets of the trace id decide
    bint all
    uint64_t part               # of 2 ** 64; without `all`

cdef struct Sampling:           # one block of memory with its strings
    uint32_t refs
    uint32_t number             # of the policy, as it was
    bint traced                 # False: requests are not traced
    bint has_rate               # otherwise --trace-sampling is the rate
    Rate rate                   # of traces that begin here
    bint respects               # the decision of the sender counts; otherwise `rate` is for all
    Rate parents                # of traces that the sender has sampled
    uint32_t names_count
    Slice[<int> NAMES_MOST] names   # in lower case

cdef Rate rate_of(double part) noexcept
cdef inline bint rate_takes(const Rate *rate, uint64_t number) noexcept nogil:
    return rate.all or number < rate.part
# NULL for None. Raises MemoryError.
cdef Sampling *sampling_new(tracing) except? NULL
cdef inline Sampling *sampling_ref(Sampling *sampling) noexcept nogil:
    """Takes a reference; NULL is allowed."""
    if sampling is not NULL:
        sampling.refs += 1
    return sampling
cdef void sampling_unref(Sampling *sampling) noexcept nogil
