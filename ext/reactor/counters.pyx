"""Counters and histograms of one worker slot in shared memory: writing and reading need no synchronisation.

The memory is a memfd that the main process creates and keeps for each worker *slot*. The worker and its replacement map
it, so the death of a worker loses no count. There is one writer (the single thread of the worker) and any number of
readers. Every word is an aligned 64-bit word that is read and written atomically.

    0        512 words   fixed counters and gauges (`Fixed`); only the first FIXED_COUNT are in use
    4096     requests    series of 16 words: status code << 54 | count. The last word counts codes without a word
    ...      histograms  of 24 words: sum in microseconds, then the count of each bucket (not cumulative)
    ...      calls       as many series as of requests, with the status of gRPC as code
    ...      traffic     the same, with a Traffic as code
    ...      flows       one word for each series of requests: a gauge

The publication assigns the slots of series; slot 0 of each family is `other`. A slot that does not exist counts as
`other`, so a wrong number in a publication can never write elsewhere.
"""

import mmap
import os

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset

from fastroute.ext.routing.mirror cimport MIRROR_FAILURES

cdef extern from "<sys/mman.h>" nogil:
    void *mmap_memory "mmap"(void *address, size_t length, int protection, int flags, int fd, int64_t offset)
    int munmap(void *address, size_t length)
    int PROT_READ, PROT_WRITE, MAP_SHARED
    void *MAP_FAILED

cdef extern from *:
    """
    #define fastroute_bits(value) (64 - __builtin_clzll((value) | 1))
    """
    int bits "fastroute_bits"(uint64_t value) noexcept nogil

cdef enum:
    PAGE_WORDS = 512
    SERIES_WORDS = 16           # status words of a request series; the last one is for OVERFLOW
    CODE_SHIFT = 54             # bits of the count; above it, 10 bits of the status code
    OVERFLOW = 1023             # the status code that means "no room for another status code"
    BOUNDS_COUNT = 22
    HISTOGRAM_WORDS = 24        # sum, BOUNDS_COUNT buckets, and one for all longer durations

# Upper bounds of the buckets in microseconds: dense where most requests of a fast proxy are (100 us to 5 ms), up to a
# minute.
cdef uint64_t[BOUNDS_COUNT] BOUND
BOUND[:] = [100, 200, 300, 500, 700, 1_000, 2_000, 3_000, 5_000, 10_000, 20_000, 30_000, 50_000, 100_000, 200_000,
            300_000, 500_000, 1_000_000, 3_000_000, 10_000_000, 30_000_000, 60_000_000]

# The first bucket to compare for a value with that many bits: at most three comparisons remain.
cdef uint32_t[65] FIRST_BUCKET


cdef void fill_first_buckets() noexcept:
    cdef uint32_t size, bucket
    for size in range(65):
        bucket = 0
        while size > 0 and bucket < BOUNDS_COUNT and BOUND[bucket] < (<uint64_t> 1 << (size - 1)):
            bucket += 1
        FIRST_BUCKET[size] = bucket

fill_first_buckets()

BOUNDS = tuple(BOUND[i] / 1e6 for i in range(BOUNDS_COUNT))

FIXED_NAMES = {
    "connections_accepted": FIXED_CONNECTIONS_ACCEPTED,
    "downstream_active": FIXED_DOWNSTREAM_ACTIVE,
    "downstream_idle": FIXED_DOWNSTREAM_IDLE,
    "upstream_active": FIXED_UPSTREAM_ACTIVE,
    "upstream_idle": FIXED_UPSTREAM_IDLE,
    "retries_connect": FIXED_RETRIES_CONNECT,
    "retries_reused": FIXED_RETRIES_REUSED,
    "retries_refused": FIXED_RETRIES_REFUSED,
    "mirrored": FIXED_MIRRORED,
    "retries_status": FIXED_RETRIES_STATUS,
    "retries_timeout": FIXED_RETRIES_TIMEOUT,
    "retries_closed": FIXED_RETRIES_CLOSED,
    "retries_unfunded": FIXED_RETRIES_UNFUNDED,
    "refused_client": FIXED_REFUSED_CLIENT,
    "ended_body_too_slow": FIXED_ENDED_BODY_TOO_SLOW,
    "ended_upstream_too_slow": FIXED_ENDED_UPSTREAM_TOO_SLOW,
    "turns": FIXED_TURNS,
    "worst_turn": FIXED_WORST_TURN,
    "worst_install_step": FIXED_WORST_INSTALL_STEP,
    "install_cpu": FIXED_INSTALL_CPU,
    "bytes_received": FIXED_BYTES_RECEIVED,
    "bytes_sent": FIXED_BYTES_SENT,
    "log_dropped": FIXED_LOG_DROPPED,
    "traces_dropped": FIXED_TRACES_DROPPED,
    "udp_received": FIXED_UDP_RECEIVED,
    "udp_sent": FIXED_UDP_SENT,
    "buffered": FIXED_BUFFERED,
    "ended_buffers_full": FIXED_ENDED_BUFFERS_FULL,
    "ended_connections_full": FIXED_ENDED_CONNECTIONS_FULL,
    "streams_downstream": FIXED_STREAMS_DOWNSTREAM,
    "streams_upstream": FIXED_STREAMS_UPSTREAM,
    "tls_full": FIXED_TLS_FULL,
    "tls_resumed": FIXED_TLS_RESUMED,
    "tls_no_client_hello": FIXED_TLS_FAILED + TLS_NO_CLIENT_HELLO,
    "tls_no_listener": FIXED_TLS_FAILED + TLS_NO_LISTENER,
    "tls_no_certificate": FIXED_TLS_FAILED + TLS_NO_CERTIFICATE,
    "tls_not_agreed": FIXED_TLS_FAILED + TLS_NOT_AGREED,
    "tls_closed": FIXED_TLS_FAILED + TLS_CLOSED,
    "tls_timeout": FIXED_TLS_FAILED + TLS_TIMEOUT,
    "tls_crowded": FIXED_TLS_FAILED + TLS_CROWDED,
    "tls_unread": FIXED_TLS_FAILED + TLS_UNREAD,
    "tls_client_certificate": FIXED_TLS_FAILED + TLS_CLIENT_CERTIFICATE,
}
HTTP2_REASONS = ("violation", "no_preface", "timeout", "block_too_large", "resets", "chores", "malformed", "refused")
if len(HTTP2_REASONS) != HTTP2_FAILURES or FIXED_HTTP2_FAILED + HTTP2_FAILURES > FIXED_TLS_FAILED:
    raise AssertionError("every Http2Failure has one name, and a word of its own")
FIXED_NAMES |= {f"http2_{reason}": FIXED_HTTP2_FAILED + number for number, reason in enumerate(HTTP2_REASONS)}
MIRROR_REASONS = ("overloaded", "no_endpoint", "not_connected", "slow", "closed", "timeout", "incomplete", "displaced")
if len(MIRROR_REASONS) != MIRROR_FAILURES:
    raise AssertionError("every MirrorFailure has one name")
FIXED_NAMES |= {f"mirror_{reason}": FIXED_MIRROR_FAILURES + number for number, reason in enumerate(MIRROR_REASONS)}
GAUGES = frozenset({
    "downstream_active", "downstream_idle", "upstream_active", "upstream_idle", "worst_turn", "worst_install_step",
    "buffered", "streams_downstream", "streams_upstream",
})
LOCAL_RESPONSES = FIXED_LOCAL_RESPONSES
LOCAL_RESPONSES_COUNT = FIXED_COUNT - FIXED_LOCAL_RESPONSES
OTHER_SLOT = HISTOGRAM_OTHER
CONNECT_SLOT = HISTOGRAM_CONNECT
HANDSHAKE_SLOT = HISTOGRAM_HANDSHAKE
INSTALL_SLOT = HISTOGRAM_INSTALL
UPSTREAM_OTHER_SLOT = HISTOGRAM_UPSTREAM_OTHER
FIRST_HISTOGRAM = HISTOGRAM_FIRST
NAMELESS_SLOT = REQUESTS_NAMELESS
FIRST_REQUESTS = REQUESTS_FIRST
OVERFLOW_CODE = OVERFLOW
TRAFFIC = {"connections": TRAFFIC_CONNECTIONS, "received": TRAFFIC_RECEIVED, "sent": TRAFFIC_SENT}


cdef inline uint64_t *call_words(Counters *counters) noexcept nogil:
    """The first word of the series of calls."""
    return histogram_words(counters, counters.histograms)


cdef inline uint64_t *traffic_words(Counters *counters) noexcept nogil:
    """The same of the traffic that is passed on unread."""
    return call_words(counters) + <uint64_t> counters.requests * SERIES_WORDS


cdef inline uint64_t *flow_words(Counters *counters) noexcept nogil:
    """The numbers of flows."""
    return traffic_words(counters) + <uint64_t> counters.requests * SERIES_WORDS


cdef void count_flow(Counters *counters, uint32_t series, int by) noexcept nogil:
    cdef uint64_t *word = flow_words(counters) + (series if series < counters.requests else 0)
    store_word(word, load_word(word) + <uint64_t> by)


cdef void count_request(Counters *counters, uint32_t series, uint16_t status) noexcept nogil:
    count_code(counters, counters.words + PAGE_WORDS, series, status, 1)


cdef void count_call(Counters *counters, uint32_t series, uint16_t status) noexcept nogil:
    count_code(counters, call_words(counters), series, status, 1)


cdef void count_traffic(Counters *counters, uint32_t series, uint16_t what, uint64_t by) noexcept nogil:
    count_code(counters, traffic_words(counters), series, what, by)


cdef void count_code(Counters *counters, uint64_t *words, uint32_t series, uint16_t status,
                     uint64_t by) noexcept nogil:
    """`words`: the first one of the family."""
    cdef uint64_t word, code = status if status < OVERFLOW else OVERFLOW
    cdef uint32_t i
    if series >= counters.requests:
        series = 0
    words += <uint64_t> series * SERIES_WORDS
    for i in range(SERIES_WORDS - 1):
        word = load_word(&words[i])
        if word == 0:
            store_word(&words[i], (code << CODE_SHIFT) | by)
            return
        if word >> CODE_SHIFT == code:
            store_word(&words[i], word + by)
            return
    word = load_word(&words[SERIES_WORDS - 1])
    store_word(&words[SERIES_WORDS - 1], (word | (<uint64_t> OVERFLOW << CODE_SHIFT)) + by)


cdef void observe(Counters *counters, uint32_t histogram, uint64_t microseconds) noexcept nogil:
    cdef uint64_t *words
    cdef uint32_t bucket = FIRST_BUCKET[bits(microseconds)]
    if histogram >= counters.histograms:
        histogram = 0
    words = histogram_words(counters, histogram)
    while bucket < BOUNDS_COUNT and microseconds > BOUND[bucket]:
        bucket += 1
    store_word(&words[0], load_word(&words[0]) + microseconds)
    store_word(&words[1 + bucket], load_word(&words[1 + bucket]) + 1)


cdef inline uint64_t *histogram_words(Counters *counters, uint32_t histogram) noexcept nogil:
    return (counters.words + PAGE_WORDS + <uint64_t> counters.requests * SERIES_WORDS
            + <uint64_t> histogram * HISTOGRAM_WORDS)


def summed_histograms(maps, uint32_t first, uint32_t end) -> dict[int, tuple[int, ...]]:
    """The histograms with measurements of the slots from `first` up to `end`, as returned by `histogram`, each the sum
    over all maps."""
    cdef uint64_t[HISTOGRAM_WORDS] sums
    cdef const uint64_t *words
    cdef CounterMap one
    cdef uint64_t seen
    cdef uint32_t slot, i
    found = {}
    for slot in range(first, end):
        memset(sums, 0, sizeof(sums))
        for one in maps:
            words = histogram_words(&one.counters, slot)
            for i in range(HISTOGRAM_WORDS):
                sums[i] += load_word(&words[i])
        seen = 0
        for i in range(1, <uint32_t> HISTOGRAM_WORDS):
            seen |= sums[i]
        if seen:
            found[slot] = tuple([sums[i] for i in range(HISTOGRAM_WORDS)])
    return found


def map_size(requests: int, histograms: int) -> int:
    """Size in bytes of a mapping with that many request series and histograms, in whole pages."""
    words = PAGE_WORDS + 3 * requests * SERIES_WORDS + histograms * HISTOGRAM_WORDS + requests
    return -(-words * 8 // mmap.PAGESIZE) * mmap.PAGESIZE


cdef class CounterMap:
    """Maps `fd` (a memfd of `map_size(requests, histograms)` bytes or more; it may be closed afterwards).

    The worker counts into it from C; the main process reads the same words at any time. ValueError: the memory is too
    small, or `other` has no slot. OSError: it cannot be mapped.
    """

    def __init__(self, fd: int, *, requests: int, histograms: int) -> None:
        if requests < FIRST_REQUESTS or histograms < FIRST_HISTOGRAM:
            raise ValueError(f"{requests} request series and {histograms} histograms leave no room for `other`")
        size = map_size(requests, histograms)
        if os.fstat(fd).st_size < size:
            raise ValueError(f"the memory has {os.fstat(fd).st_size} bytes, the counters need {size}")
        cdef void *memory = mmap_memory(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
        if memory == MAP_FAILED:
            raise OSError("the counters cannot be mapped")
        self.release()
        self.size = size
        self.counters.words = <uint64_t *> memory
        self.counters.requests = requests
        self.counters.histograms = histograms

    def __dealloc__(self):
        self.release()

    cdef void release(self) noexcept:
        if self.counters.words != NULL:
            munmap(self.counters.words, self.size)
            self.counters.words = NULL

    @property
    def requests(self) -> int:
        return self.counters.requests

    @property
    def histograms(self) -> int:
        return self.counters.histograms

    def fixed(self) -> dict[str, int]:
        """Every fixed counter and gauge by its name."""
        return {name: load_word(&self.counters.words[<uint32_t> word]) for name, word in FIXED_NAMES.items()}

    def local_responses(self) -> tuple[int, ...]:
        """The number of answers of the gateway itself, by LocalReason."""
        return tuple(load_word(&self.counters.words[FIXED_LOCAL_RESPONSES + i])
                     for i in range(FIXED_COUNT - FIXED_LOCAL_RESPONSES))

    def request_counts(self, series: int) -> dict[int, int]:
        """The answers in this slot by status code; `OVERFLOW_CODE` counts codes that found no room."""
        cdef uint64_t *words = self.request_words(series)
        cdef uint64_t word
        counts = {}
        for i in range(SERIES_WORDS):
            word = load_word(&words[i])
            if word:
                counts[word >> CODE_SHIFT] = word & ((<uint64_t> 1 << CODE_SHIFT) - 1)
        return counts

    def used_requests(self, end=None) -> list[tuple[int, int, int]]:
        """(slot, status code, count) of everything that was counted in the slots before `end`; None: in all."""
        return self.used(self.counters.words + PAGE_WORDS, end)

    def used_calls(self, end=None) -> list[tuple[int, int, int]]:
        """The same with the status of gRPC, of all calls."""
        return self.used(call_words(&self.counters), end)

    def used_traffic(self, end=None) -> list[tuple[int, int, int]]:
        """The same with the Traffic, of everything that was passed on unread."""
        return self.used(traffic_words(&self.counters), end)

    cdef list used(self, uint64_t *words, object end):
        cdef uint64_t word
        cdef uint32_t i
        cdef uint32_t slots = self.counters.requests if end is None else min(self.counters.requests, <uint32_t> end)
        used = []
        for i in range(slots * <uint32_t> SERIES_WORDS):
            word = load_word(&words[i])
            if word:
                used.append((i // SERIES_WORDS, word >> CODE_SHIFT, word & ((<uint64_t> 1 << CODE_SHIFT) - 1)))
        return used

    def histogram(self, slot: int) -> tuple[int, ...]:
        """The sum in microseconds, then the count of each bucket of `BOUNDS`, then the count of longer durations."""
        if not 0 <= slot < self.counters.histograms:
            raise IndexError(f"histogram slot {slot}")
        cdef uint64_t *words = histogram_words(&self.counters, slot)
        return tuple(load_word(&words[i]) for i in range(HISTOGRAM_WORDS))

    def zero_gauges(self) -> None:
        """For the main process, after the worker of the slot ended: resets the gauges of its open connections."""
        cdef uint64_t *words = flow_words(&self.counters)
        cdef uint32_t i
        for name in GAUGES:
            store_word(&self.counters.words[<uint32_t> FIXED_NAMES[name]], 0)
        for i in range(self.counters.requests):
            if load_word(&words[i]):
                store_word(&words[i], 0)

    def flows(self, end=None) -> list[tuple[int, int]]:
        """(slot, number of flows of datagrams) of every series before `end` that has flows now."""
        cdef uint64_t *words = flow_words(&self.counters)
        cdef uint32_t i
        cdef uint32_t slots = self.counters.requests if end is None else min(self.counters.requests, <uint32_t> end)
        return [(i, load_word(&words[i])) for i in range(slots) if load_word(&words[i])]

    def count(self, name: str, by: int) -> None:
        """Adds to a fixed counter from Python; only the one writer of the slot may call it."""
        count(&self.counters, FIXED_NAMES[name], by)

    def raise_to(self, name: str, value: int) -> None:
        """Sets a fixed gauge to `value` if it is lower; only the one writer of the slot may call it."""
        cdef uint64_t *word = &self.counters.words[<uint32_t> FIXED_NAMES[name]]
        if value > load_word(word):
            store_word(word, value)

    def count_request(self, series: int, status: int) -> None:
        """Counts like the engine: for tests."""
        count_request(&self.counters, series, status)

    def count_call(self, series: int, status: int) -> None:
        """Counts like the engine: for tests."""
        count_call(&self.counters, series, status)

    def count_traffic(self, series: int, what: int, by: int) -> None:
        """Counts like the engine: for tests."""
        count_traffic(&self.counters, series, what, by)

    def observe(self, slot: int, microseconds: int) -> None:
        """Records one measurement; only the one writer of the slot may call it."""
        observe(&self.counters, slot, microseconds)

    cdef uint64_t *request_words(self, object series) except NULL:
        if not 0 <= series < self.counters.requests:
            raise IndexError(f"request series {series}")
        return self.counters.words + PAGE_WORDS + <uint64_t> <uint32_t> series * SERIES_WORDS
