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
    FIXED_LOG_DROPPED           # access log lines lost because their reader did not keep up
    FIXED_RETRIES_STATUS        # these three: retries that a route asked for, by what failed before
    FIXED_RETRIES_TIMEOUT
    FIXED_RETRIES_CLOSED
    FIXED_MIRRORED              # copies of requests that a mirror got whole
    FIXED_TLS_FULL              # handshakes that were done, by how
    FIXED_TLS_RESUMED
    FIXED_TLS_FAILED = 40       # + TlsFailure
    FIXED_MIRROR_FAILURES = 48  # + MirrorFailure
    FIXED_LOCAL_RESPONSES = 64  # + LocalReason
    FIXED_COUNT = 256

cdef enum TlsFailure:           # why a client got no TLS
    TLS_NO_CLIENT_HELLO = 0     # what it sent first is none
    TLS_NO_LISTENER             # no listener of the port has the name it asked for
    TLS_NO_CERTIFICATE          # the listener has nothing to show
    TLS_NOT_AGREED              # no version, cipher or protocol in common, or it refused the certificate
    TLS_CLOSED                  # it went away
    TLS_TIMEOUT                 # it took too long
    TLS_CROWDED                 # the oldest of too many at once
    TLS_FAILURES                # how many are named here

cdef enum RequestSeries:        # the first request series; the rest is given out by main
    REQUESTS_OTHER = 0
    REQUESTS_NAMELESS           # answers for which no listener is known
    REQUESTS_FIRST

cdef enum Histogram:            # the first slots of the histograms; the rest is given out by main
    HISTOGRAM_OTHER = 0
    HISTOGRAM_CONNECT           # upstream_connect_seconds: the engine observes each connect that succeeded
    HISTOGRAM_HANDSHAKE         # tls_handshake_seconds: the engine observes each that was done
    HISTOGRAM_FIRST

cdef struct Counters:
    uint64_t *words             # the mapping
    uint32_t requests           # request series
    uint32_t histograms

cdef extern from *:
    """
    /* Relaxed atomics: one writer, and a reader that must never see half a word. Plain moves on 64-bit machines. */
    #define fastroute_load(word) __atomic_load_n((word), __ATOMIC_RELAXED)
    #define fastroute_store(word, value) __atomic_store_n((word), (value), __ATOMIC_RELAXED)
    """
    uint64_t load_word "fastroute_load"(const uint64_t *word) noexcept nogil
    void store_word "fastroute_store"(uint64_t *word, uint64_t value) noexcept nogil

cdef inline void count(Counters *counters, uint32_t fixed, uint64_t by) noexcept nogil:
    """Adds `by` to the fixed counter `fixed` (a Fixed)."""
    store_word(&counters.words[fixed], load_word(&counters.words[fixed]) + by)

cdef inline void gauge_add(Counters *counters, uint32_t fixed, int by) noexcept nogil:
    """Moves the fixed gauge `fixed` (a Fixed) up or down."""
    store_word(&counters.words[fixed], load_word(&counters.words[fixed]) + <uint64_t> by)

# One answer with `status` in the request series `series`; 0 is a client that went away before any answer.
cdef void count_request(Counters *counters, uint32_t series, uint16_t status) noexcept nogil
# One measurement in the histogram slot `histogram`.
cdef void observe(Counters *counters, uint32_t histogram, uint64_t microseconds) noexcept nogil

cdef class CounterMap:          # maps the memfd; the engine takes `&counters` and holds the object
    cdef Counters counters
    cdef uint64_t size          # bytes of the mapping
    cdef void release(self) noexcept
    cdef uint64_t *request_words(self, object series) except NULL
