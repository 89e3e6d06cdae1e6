# Load balancing in two steps:
#
# 1. A backendRef by exact weight. With weights w (divided by their gcd), the k-th pick of backend i (k from 0) has the
#    position (2k + 1) / (2 * w_i) in a period of sum(w) picks. The next pick is the one with the smallest remaining
#    position; ties go to the lower index. After sum(w) picks a new period begins, so every window of sum(w) picks
#    contains exactly w_i picks of each backend, and picks of small weights are spread evenly. The state is one number
#    of picks per backend. A random phase is a random cut theta in [0, 1): picks with a position before theta count as
#    done.
# 2. An endpoint: of two random ones the one with fewer requests in flight.
#
# A choice examines a limited number of endpoints, even if the backend has many and most of them are avoided. For this,
# a backend keeps avoided endpoints apart, at the end of its list. A choice that finds an avoided endpoint moves it
# there. Each choice also examines a few endpoints there, and moves back those that are no longer avoided. If there is
# no usable endpoint, it examines up to FEW. If several backends list an endpoint, each moves it when it examines it. An
# endpoint that a request tests stays with the usable ones until the result is known.

from libc.stdint cimport UINT64_MAX
from libc.stdlib cimport free, malloc

from fastroute.ext.memory.random cimport random_below, random_next
from fastroute.ext.routing.backends cimport Upstreams, backend_ref, backend_unref

cdef enum:
    AVOID_FIRST = 1_000         # milliseconds an endpoint is avoided after its first failure in a row
    AVOID_MOST = 30_000
    PROBE_INTERVAL = 1_000      # milliseconds between tests of an endpoint that has not yet succeeded again
    DRAWS = 4                   # random pairs before all of few endpoints are examined
    FEW = 64                    # endpoints that are all examined
    DRAWS_MOST = FEW // 2       # random pairs of more endpoints
    LOOKS = 4                   # endpoints kept apart that each choice examines
    CUT_BITS = 32

cdef uint64_t EVER = UINT64_MAX     # as a time: no endpoint is avoided any longer
cdef uint64_t failures_seen = 0      # failures of endpoints in this process, so far


cdef uint32_t _common_divisor(uint32_t a, uint32_t b) noexcept nogil:
    while b:
        a, b = b, a % b
    return a


cdef Choice *choice_new(const uint32_t *weights, uint32_t count, uint64_t random) noexcept nogil:
    cdef Choice *choice = <Choice *> malloc(sizeof(Choice) + 2 * count * sizeof(uint32_t))
    cdef uint64_t cut = random >> (64 - CUT_BITS)
    cdef uint32_t divisor = 0
    cdef uint32_t i
    if choice == NULL:
        return NULL
    choice.refs = 1
    choice.count = count
    choice.left = 0
    choice.weights = <uint32_t *> (choice + 1)
    choice.taken = choice.weights + count
    for i in range(count):
        divisor = _common_divisor(weights[i], divisor)
    for i in range(count):
        choice.weights[i] = weights[i] // divisor if divisor else 0
        # The number of k with (2k + 1) / (2w) < cut / 2**CUT_BITS, which is half of the latter times 2w, rounded up.
        choice.taken[i] = <uint32_t> (((2 * cut * choice.weights[i] + (<uint64_t> 1 << CUT_BITS) - 1) >> CUT_BITS) >> 1)
        choice.left += choice.weights[i] - choice.taken[i]
    return choice


cdef void choice_unref(Choice *choice) noexcept nogil:
    choice.refs -= 1
    if choice.refs == 0:
        free(choice)


cdef int choose_target(Choice *choice) noexcept nogil:
    cdef uint64_t step, best_step = 0      # numerators (2k + 1): below 2**21, times a weight below 2**41
    cdef uint32_t i
    cdef int best = -1
    if choice.left == 0:
        for i in range(choice.count):
            choice.taken[i] = 0
            choice.left += choice.weights[i]
    for i in range(choice.count):
        if choice.taken[i] == choice.weights[i]:
            continue
        step = 2 * <uint64_t> choice.taken[i] + 1
        if best < 0 or step * choice.weights[best] < best_step * choice.weights[i]:
            best = <int> i
            best_step = step
    if best >= 0:
        choice.taken[best] += 1
        choice.left -= 1
    return best


cdef bint _tried(const Endpoint *endpoint, Endpoint **tried, uint32_t tried_count) noexcept nogil:
    cdef uint32_t i
    for i in range(tried_count):
        if tried[i] == endpoint:
            return True
    return False


cdef Endpoint *_less_busy(Endpoint *a, Endpoint *b) noexcept nogil:
    return b if b.in_flight < a.in_flight else a


cdef bint _fits(const Endpoint *endpoint, Endpoint **tried, uint32_t tried_count, uint64_t now) noexcept nogil:
    return endpoint.avoided_until <= now and not (tried_count and _tried(endpoint, tried, tried_count))


cdef inline void _exchange(Backend *backend, uint32_t i, uint32_t j) noexcept nogil:
    backend.endpoints[i], backend.endpoints[j] = backend.endpoints[j], backend.endpoints[i]


cdef void _set_apart(Backend *backend, uint32_t at, uint64_t now) noexcept nogil:
    """Moves the endpoint behind the usable ones if it is avoided; not while a request tests it."""
    cdef const Endpoint *endpoint = backend.endpoints[at]
    if endpoint.avoided_until > now and not endpoint.probed:
        backend.usable -= 1
        _exchange(backend, at, backend.usable)


cdef void _take_back_one(Backend *backend, uint32_t at, uint64_t now) noexcept nogil:
    if backend.endpoints[at].avoided_until <= now:
        _exchange(backend, at, backend.usable)
        backend.usable += 1


cdef void _take_back(Backend *backend, uint32_t most, uint64_t now, uint64_t *random) noexcept nogil:
    """Examines `most` random endpoints that are kept apart, and moves those that are no longer avoided to the usable
    ones."""
    cdef uint32_t apart = backend.count - backend.usable
    cdef uint32_t i
    if apart <= most:
        for i in range(backend.count - apart, backend.count):
            _take_back_one(backend, i, now)
        backend.examined += apart
        return
    for _ in range(most):
        _take_back_one(backend, backend.usable + random_below(random, backend.count - backend.usable), now)
    backend.examined += most


cdef Endpoint *_choose_among_few(Backend *backend, uint32_t first, uint32_t end, Endpoint **tried, uint32_t tried_count,
                                 uint64_t now, uint64_t *random) noexcept nogil:
    """Draws two endpoints of [first, end) at random without replacement (reservoir sampling); returns the less busy
    one. At most FEW. Begins at the end, because _set_apart moves the last usable one to the free position."""
    cdef Endpoint *one = NULL
    cdef Endpoint *other = NULL
    cdef Endpoint *endpoint
    cdef uint32_t seen = 0
    cdef uint32_t draw, i
    for i in range(end, first, -1):
        endpoint = backend.endpoints[i - 1]
        if not _fits(endpoint, tried, tried_count, now):
            if i <= backend.usable:
                _set_apart(backend, i - 1, now)
            continue
        seen += 1
        draw = random_below(random, seen)
        if seen <= 2:
            one, other = endpoint, one
        elif draw == 0:
            one = endpoint
        elif draw == 1:
            other = endpoint
    backend.examined += end - first
    if other == NULL:
        return one
    if random_next(random) & 1:
        one, other = other, one
    return _less_busy(one, other)


cdef Endpoint *_draw(Backend *backend, const uint32_t *size, Endpoint **tried, uint32_t tried_count, uint64_t now,
                     uint64_t *random) noexcept nogil:
    """Draws pairs of the first `size` endpoints until both fit; returns the less busy one. If no pair fits, then one of
    few endpoints if one of them fits, or one of the pairs that fits alone. `size` is `usable` or `count` of the
    backend."""
    cdef Endpoint *found = NULL
    cdef Endpoint *a
    cdef Endpoint *b
    cdef uint32_t i, j
    cdef int draw
    for draw in range(DRAWS_MOST):
        if size[0] < 2 or (size[0] <= FEW and draw >= DRAWS):
            break
        i = random_below(random, size[0])
        j = random_below(random, size[0] - 1)
        j += j >= i
        a = backend.endpoints[i]
        b = backend.endpoints[j]
        if _fits(a, tried, tried_count, now):
            if _fits(b, tried, tried_count, now):
                return _less_busy(a, b)
            found = a
        elif _fits(b, tried, tried_count, now):
            found = b
        backend.examined += 2
        if size == &backend.usable:
            _set_apart(backend, max(i, j), now)         # the higher one first: so the other one is not moved
            _set_apart(backend, min(i, j), now)
    if size[0] > FEW:
        return found
    return _choose_among_few(backend, 0, size[0], tried, tried_count, now, random)


cdef Endpoint *choose_usable(Backend *backend, Endpoint **tried, uint32_t tried_count, uint64_t now,
                             uint64_t *random) noexcept nogil:
    cdef Endpoint *chosen
    cdef uint32_t first
    if backend.usable < backend.count:
        _take_back(backend, LOOKS, now, random)
    chosen = _draw(backend, &backend.usable, tried, tried_count, now, random)
    if chosen == NULL and backend.usable < backend.count:
        first = backend.usable
        _take_back(backend, FEW, now, random)
        chosen = _choose_among_few(backend, first, backend.usable, tried, tried_count, now, random)
    return chosen


cdef Endpoint *choose_endpoint(Backend *backend, Endpoint **tried, uint32_t tried_count, uint64_t now,
                               uint64_t *random) noexcept nogil:
    cdef Endpoint *chosen = choose_usable(backend, tried, tried_count, now, random)
    if chosen == NULL and backend.count:
        chosen = _draw(backend, &backend.count, tried, tried_count, EVER, random)
    return chosen


cdef bint endpoint_used(Endpoint *endpoint, uint64_t now) noexcept nogil:
    if endpoint.failures == 0 or endpoint.avoided_until > now:
        return False
    endpoint.avoided_until = now + PROBE_INTERVAL      # this request is the test; others wait for its result
    endpoint.probed = True
    return True


cdef void endpoint_spared(Endpoint *endpoint, uint64_t now) noexcept nogil:
    endpoint.avoided_until = now
    endpoint.probed = False


cdef void endpoint_failed(Endpoint *endpoint, uint64_t now, uint64_t *random) noexcept nogil:
    global failures_seen
    cdef uint64_t pause = AVOID_MOST
    failures_seen += 1
    if endpoint.failures and not endpoint.probed:
        return          # one of several requests that were in flight at the first failure: no new information
    endpoint.probed = False
    if endpoint.failures < 5:
        pause = min(<uint64_t> AVOID_FIRST << endpoint.failures, pause)
    endpoint.failures += 1
    endpoint.avoided_until = now + pause * 3 // 4 + random_below(random, <uint32_t> (pause // 2))   # 75 to 125 %


cdef void endpoint_succeeded(Endpoint *endpoint) noexcept nogil:
    endpoint.failures = 0
    endpoint.probed = False
    endpoint.avoided_until = 0


# --- for Python


def failures() -> int:
    """How many failures of endpoints were noted in this process, so far."""
    return failures_seen


cdef class WeightedChoice:
    """The choice among backendRefs with these weights; the upper 32 of the 64 bits of `random` determine the phase."""

    cdef Choice *_choice

    def __cinit__(self, weights, uint64_t random=0):
        cdef uint32_t count = <uint32_t> len(weights)
        cdef uint32_t *numbers = <uint32_t *> malloc((count + 1) * sizeof(uint32_t))
        if numbers == NULL:
            raise MemoryError
        for i, weight in enumerate(weights):
            numbers[<uint32_t> i] = weight
        self._choice = choice_new(numbers, count, random)
        free(numbers)
        if self._choice == NULL:
            raise MemoryError

    def __dealloc__(self):
        if self._choice != NULL:
            choice_unref(self._choice)

    @property
    def taken(self) -> tuple[int, ...]:
        """Picks of each backendRef in this period."""
        cdef uint32_t i
        return tuple([self._choice.taken[i] for i in range(self._choice.count)])

    def pick(self) -> int:
        """The index of the backendRef for the next request; -1 if no weight is above 0."""
        return choose_target(self._choice)

    def picks(self, uint32_t count) -> list[int]:
        """The next `count` picks."""
        return [choose_target(self._choice) for _ in range(count)]


cdef class Selector:
    """The endpoints of one backend of `upstreams`, chosen for consecutive requests."""

    cdef Upstreams _upstreams
    cdef Backend *_backend
    cdef uint64_t _random

    def __cinit__(self, Upstreams upstreams not None, str backend not None, uint64_t seed=0):
        self._upstreams = upstreams
        self._backend = upstreams.backend(backend)
        backend_ref(self._backend)
        self._random = seed

    def __dealloc__(self):
        if self._backend != NULL:
            backend_unref(self._backend)

    cdef Endpoint *_endpoint(self, str label) except NULL:
        cdef uint32_t i
        for i in range(self._backend.count):
            if self._backend.endpoints[i].label.decode() == label:
                return self._backend.endpoints[i]
        raise KeyError(label)

    @property
    def examined(self) -> int:
        """Endpoints that choices have examined, except pairs that fitted at the first draw."""
        return self._backend.examined

    def choose(self, tried=(), uint64_t now=0, bint usable=False):
        """The label of the endpoint for a request at `now` (milliseconds) that tried `tried`; None if none is left, or
        none that is not avoided (`usable`)."""
        cdef Endpoint *among[16]
        cdef Endpoint *chosen
        for i, label in enumerate(tried[:16]):
            among[<uint32_t> i] = self._endpoint(label)
        if usable:
            chosen = choose_usable(self._backend, among, <uint32_t> min(len(tried), 16), now, &self._random)
        else:
            chosen = choose_endpoint(self._backend, among, <uint32_t> min(len(tried), 16), now, &self._random)
        if chosen == NULL:
            return None
        endpoint_used(chosen, now)
        return chosen.label.decode()

    def occupy(self, str label not None, int requests) -> None:
        """Adds requests in flight to it."""
        self._endpoint(label).in_flight += requests

    def fail(self, str label not None, uint64_t now) -> int:
        """Records a failed connection at `now`; returns until when the endpoint is avoided."""
        endpoint_failed(self._endpoint(label), now, &self._random)
        return self._endpoint(label).avoided_until

    def succeed(self, str label not None) -> None:
        """Records an established connection."""
        endpoint_succeeded(self._endpoint(label))
