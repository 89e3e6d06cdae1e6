# Counters and histograms of one worker slot, in a memfd created by the main process: one writer, read by the main
# process at any time.
#
# Layout (offsets in counters.pyx, which also has the reader for the main process): a page of fixed counters and gauges,
# then request series of 128 bytes (16 words: status code in the upper 10 bits, count in the lower 54), then histograms
# of 192 bytes, then the same number of series as of requests for the calls of gRPC, and again for traffic that is passed on
# unread (Traffic), then a word for each of them with the number of flows of datagrams. Slot 0 of each family is `other`.

from libc.stdint cimport uint16_t, uint32_t, uint64_t


cdef enum Fixed:                # words of the first page; counters.pyx has the names and which of them are gauges
    FIXED_CONNECTIONS_ACCEPTED = 0
    FIXED_DOWNSTREAM_ACTIVE     # gauge: client connections with a request in flight
    FIXED_DOWNSTREAM_IDLE       # gauge
    FIXED_UPSTREAM_ACTIVE       # gauge
    FIXED_UPSTREAM_IDLE         # gauge
    FIXED_RETRIES_CONNECT       # another endpoint after a failed connect
    FIXED_RETRIES_REUSED        # a new connection after a reused one was closed
    FIXED_TURNS
    FIXED_WORST_TURN            # gauge: microseconds of the longest turn since the last reset
    FIXED_BYTES_RECEIVED
    FIXED_BYTES_SENT
    FIXED_LOG_DROPPED           # access log lines lost because the log was not written fast enough
    FIXED_TRACES_DROPPED        # sampled requests without spans, because the main process read too slowly
    FIXED_RETRIES_STATUS        # these three: retries of a `retry` stanza, by what failed before
    FIXED_RETRIES_TIMEOUT
    FIXED_RETRIES_CLOSED
    FIXED_MIRRORED              # copies of requests that were sent completely to a mirror
    FIXED_TLS_FULL              # completed handshakes, by kind
    FIXED_TLS_RESUMED
    FIXED_RETRIES_UNFUNDED      # retries that the budget of the backend did not allow
    FIXED_ENDED_BODY_TOO_SLOW   # exchanges whose clients were slower than --min-body-rate
    FIXED_ENDED_UPSTREAM_TOO_SLOW   # the same of backends
    FIXED_REFUSED_CLIENT        # connections closed because the address of the client had too many
    FIXED_WORST_INSTALL_STEP    # gauge: microseconds of the longest slice of other work between two turns
    FIXED_BUFFERED              # gauge: bytes of memory of all buffers
    FIXED_ENDED_BUFFERS_FULL    # connections that were ended because the buffers had too much memory
    FIXED_INSTALL_CPU           # microseconds of CPU time for installations, without traffic
    FIXED_ENDED_CONNECTIONS_FULL    # connections that were ended because another client waited
    FIXED_STREAMS_DOWNSTREAM    # gauge: streams of client connections
    FIXED_STREAMS_UPSTREAM      # gauge: the same of connections to backends
    FIXED_RETRIES_REFUSED       # another try of a request that a backend has not processed
    FIXED_HTTP2_FAILED          # + Http2Failure
    FIXED_TLS_FAILED = 40       # + TlsFailure
    FIXED_MIRROR_FAILURES = 52  # + MirrorFailure
    FIXED_UDP_RECEIVED = 60     # datagrams from clients
    FIXED_UDP_SENT              # datagrams to clients
    FIXED_LOCAL_RESPONSES = 64  # + LocalReason
    FIXED_COUNT = 256

cdef enum TlsFailure:           # why a TLS handshake failed
    TLS_NO_CLIENT_HELLO = 0     # the first bytes are not a ClientHello
    TLS_NO_LISTENER             # no listener of the port has the requested server name
    TLS_NO_CERTIFICATE          # the listener has no usable certificate
    TLS_NOT_AGREED              # no common version, cipher or protocol, or the client refused the certificate
    TLS_CLOSED                  # the client closed the connection
    TLS_TIMEOUT                 # the handshake took too long
    TLS_CROWDED                 # too many handshakes were in progress, and this was the oldest
    TLS_UNREAD                  # too much output of handshakes was unread, and this was the oldest of them
    TLS_CLIENT_CERTIFICATE      # the client has not shown a certificate that the listener accepts
    TLS_FAILURES                # number of values above

cdef enum Http2Failure:         # why an HTTP/2 connection was ended; the last two: a stream
    HTTP2_VIOLATION = 0         # the client violated the protocol
    HTTP2_NO_PREFACE            # its first bytes are not the preface of HTTP/2
    HTTP2_TIMEOUT               # the preface, or a block of fields, was not complete in time
    HTTP2_BLOCK                 # a block of fields is too large, or has too many frames
    HTTP2_RESETS                # too many streams were reset, refused or malformed
    HTTP2_CHORES                # too many frames that do nothing
    HTTP2_MALFORMED             # stream: its request is malformed
    HTTP2_REFUSED               # stream: too many, or their heads are too large
    HTTP2_FAILURES              # number of values above

cdef enum RequestSeries:        # the first request series; the main process assigns the others
    REQUESTS_OTHER = 0
    REQUESTS_NAMELESS           # answers for which no listener is known
    REQUESTS_FIRST

cdef enum Traffic:              # the codes of the series of what is passed on unread
    TRAFFIC_CONNECTIONS = 1
    TRAFFIC_RECEIVED            # bytes from clients
    TRAFFIC_SENT                # bytes to clients

cdef enum Histogram:            # the first slots of the histograms; the main process assigns the others
    HISTOGRAM_OTHER = 0
    HISTOGRAM_CONNECT           # upstream_connect_seconds: observed by the engine for each successful connect
    HISTOGRAM_HANDSHAKE         # tls_handshake_seconds: observed by the engine for each completed handshake
    HISTOGRAM_INSTALL           # worker_install_seconds: observed by the worker for each installation
    HISTOGRAM_UPSTREAM_OTHER    # upstream_request_duration_seconds of backends without a slot
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
    """Increases or decreases the fixed gauge `fixed` (a Fixed)."""
    store_word(&counters.words[fixed], load_word(&counters.words[fixed]) + <uint64_t> by)

# Counts one answer with `status` in the request series `series`; status 0: the client left before any answer.
cdef void count_request(Counters *counters, uint32_t series, uint16_t status) noexcept nogil
# The same for one call that was answered with this status of gRPC.
cdef void count_call(Counters *counters, uint32_t series, uint16_t status) noexcept nogil
# Counts `by` in the series of what is passed on unread, with this Traffic as code.
cdef void count_traffic(Counters *counters, uint32_t series, uint16_t what, uint64_t by) noexcept nogil
# Adds `by` to the number of flows of datagrams, a gauge in the request series `series`.
cdef void count_flow(Counters *counters, uint32_t series, int by) noexcept nogil
# Records one measurement in the histogram slot `histogram`.
cdef void observe(Counters *counters, uint32_t histogram, uint64_t microseconds) noexcept nogil

cdef class CounterMap:          # maps the memfd; the engine takes `&counters` and holds the object
    cdef Counters counters
    cdef uint64_t size          # size of the mapping in bytes
    cdef void release(self) noexcept
    cdef list used(self, uint64_t *words, object end)       # (slot, code, count) of the family that begins there
    cdef uint64_t *request_words(self, object series) except NULL
