"""Which requests of a listener are traced; see sampling.pxd."""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from fastroute.ext.memory.slice cimport Slice


cdef Rate rate_of(double part) noexcept:
    cdef Rate rate
    rate.all = part >= 1
    rate.part = 0 if rate.all or part <= 0 else <uint64_t> (part * 2.0 ** 64)
    return rate


cdef Sampling *sampling_new(tracing) except? NULL:
    cdef Sampling *sampling
    cdef list names
    cdef bytes name
    cdef char *into
    if tracing is None:
        return NULL
    names = [one.encode() for one in tracing.headers[:<int> NAMES_MOST]]
    sampling = <Sampling *> calloc(1, sizeof(Sampling) + sum(map(len, names)))
    if sampling is NULL:
        raise MemoryError
    sampling.refs = 1
    sampling.number = tracing.number
    sampling.traced = tracing.traced
    sampling.has_rate = tracing.sampling is not None
    if tracing.sampling is not None:
        sampling.rate = rate_of(tracing.sampling)
    sampling.respects = tracing.parent_sampling is not None
    if tracing.parent_sampling is not None:
        sampling.parents = rate_of(tracing.parent_sampling)
    into = <char *> (sampling + 1)
    for name in names:
        memcpy(into, <const char *> name, len(name))
        sampling.names[sampling.names_count] = Slice(into, <uint32_t> len(name))
        sampling.names_count += 1
        into += len(name)
    return sampling


cdef void sampling_unref(Sampling *sampling) noexcept nogil:
    if sampling is NULL:
        return
    sampling.refs -= 1
    if sampling.refs == 0:
        free(sampling)
