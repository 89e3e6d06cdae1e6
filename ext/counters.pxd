# Counters and histograms of one worker slot, in a memfd that main made: one writer, read by main without asking.
#
# Layout (offsets in counters.pyx, which also has the reader used by main): a page of fixed counters and gauges, then
# request series of 128 bytes (16 words: status code in the upper 10 bits, count in the lower 54), then histograms of
# 192 bytes. Slot 0 of each family is `other`.

from libc.stdint cimport uint16_t, uint32_t, uint64_t


cdef enum Fixed:                # words of the first page; counters.pyx has the names and which of them are gauges
    FIXED_CONNECTIONS_ACCEPTED = 0
    FIXED_DOWNSTREAM_ACTIVE     # gauge: client connections with a request in flight
    FIXED_DOWNSTREAM_IDLE       # gauge
    FIXED_UPSTREAM_ACTIVE       # gauge
    FIXED_UPSTREAM_IDLE         # gauge
    FIXED_RETRIES_CONNECT       # another endpoint after a failed connect
    FIXED_RETRIES_REUSED        # a fresh connection after a reused one died
    FIXED_TURNS
    FIXED_WORST_TURN            # gauge: microseconds of the longest turn since the last reset
    FIXED_BYTES_RECEIVED
    FIXED_BYTES_SENT
    FIXED_LOCAL_RESPONSES = 64  # + LocalReason
    FIXED_COUNT = 256

cdef struct Counters:
    uint64_t *words             # the mapping
    uint32_t requests           # request series
    uint32_t histograms

cdef void count(Counters *counters, uint32_t fixed, uint64_t by) noexcept nogil
cdef void gauge_add(Counters *counters, uint32_t fixed, int by) noexcept nogil
cdef void count_request(Counters *counters, uint32_t series, uint16_t status) noexcept nogil
cdef void observe(Counters *counters, uint32_t histogram, uint64_t microseconds) noexcept nogil

cdef class CounterMap:          # maps the memfd; the engine takes `&counters` and holds the object
    cdef Counters counters
