# Making a Rule from a snapshot.Rule, and freeing it. Its strings and arrays are in one pool; what has a reference count
# or memory elsewhere (backends, the choice, filter chains, patterns) is released separately.
#
# A rule may have megabytes of strings and 128 regular expressions. To make one of these takes 0.3 ms, to free it 0.05 ms.
# So rules are made and freed in steps. A usual rule is one step.

from libc.stdint cimport UINT32_MAX, uintptr_t
from libc.string cimport memcpy

from fastroute.ext.memory.owner cimport owner_of
from fastroute.ext.memory.pool cimport pool_free, pool_start, pool_take, pool_text
from fastroute.ext.message.reason cimport REASON_NO_BACKEND_REFS, REASON_ZERO_WEIGHTS, reason_number
from fastroute.ext.routing.backends cimport backend_ref, backend_unref
from fastroute.ext.routing.balancer cimport choice_unref
from fastroute.ext.routing.chain cimport filters_free, filters_new
from fastroute.ext.routing.regex cimport pattern_beginning, pattern_free, pattern_new
from fastroute.ext.routing.retry cimport retry_fill
from fastroute.ext.routing.session cimport session_free, session_mark, session_new

cdef enum:
    STEP = 64                   # small operations of a step; about a microsecond each
    BYTES = 512                 # bytes that take as long as a small operation
    FREED = 8                   # regular expressions freed at once

cdef dict PATH_TYPES = {"Exact": PATH_EXACT, "PathPrefix": PATH_PREFIX, "RegularExpression": PATH_REGEX}


cdef void rule_ref(Rule *rule) noexcept nogil:
    rule.grave.refs += 1


cdef void rule_unref(Rule *rule) noexcept nogil:
    rule.grave.refs -= 1
    if rule.grave.refs == 0:
        bury(&rule.grave)


cdef bint _free_patterns(Rule *rule) noexcept nogil:
    """Frees some, and forgets the matches that had them. True: none is left."""
    cdef Match *match
    cdef ValueTest *test
    cdef uint32_t freed = 0
    while rule.matches_count:
        match = &rule.matches[rule.matches_count - 1]
        while match.headers_count + match.query_count:
            if match.headers_count:
                match.headers_count -= 1
                test = &match.headers[match.headers_count]
            else:
                match.query_count -= 1
                test = &match.query[match.query_count]
            if test.pattern != NULL:
                pattern_free(test.pattern)
                freed += 1
                if freed == FREED:
                    return False
        if match.pattern != NULL:
            pattern_free(match.pattern)
            freed += 1
        rule.matches_count -= 1
        if freed == FREED:
            return False
    return True


cdef bint _dismantle(Grave *grave) noexcept nogil:
    cdef Rule *rule = <Rule *> grave
    cdef Pool pool
    cdef uint32_t i
    if not _free_patterns(rule):
        return False
    if rule.targets_count:
        rule.targets_count -= 1
        i = rule.targets_count
        filters_free(rule.targets[i].filters)
        if rule.targets[i].backend != NULL:
            backend_unref(rule.targets[i].backend)
        if rule.targets_count:
            return False
    filters_free(rule.filters)
    session_free(rule.session)
    if rule.choice != NULL:
        choice_unref(rule.choice)
    pool = rule.pool
    pool_free(&pool)            # the rule itself is in it
    return True


cdef bytes rank_key(tuple rank):
    """Bytes that sort like ranks: numbers in 8 bytes, sign flipped; strings with a terminator below all characters."""
    parts = []
    for part in rank:
        if isinstance(part, str):
            parts.append(part.encode("utf-8", "surrogatepass").replace(b"\0", b"\0\xff") + b"\0\0")
        else:
            parts.append((part + (1 << 63)).to_bytes(8, "big"))
    return b"".join(parts)


cdef int _put_bytes(Pool *pool, bytes data, Slice *slice) except -1:
    cdef char *copy = <char *> pool_take(pool, <uint32_t> len(data) + 1)
    memcpy(copy, <const char *> data, len(data))
    slice.data = copy
    slice.size = <uint32_t> len(data)
    return 0


cdef int _put_tests(Draft draft, tuple tests, ValueTest **out, uint16_t *count, bint lower) except -1:
    cdef Pool *pool = &draft.rule.pool
    cdef ValueTest *test
    if not tests:
        return 0
    out[0] = <ValueTest *> pool_take(pool, <uint32_t> (len(tests) * sizeof(ValueTest)))
    for source in tests:
        test = &out[0][count[0]]
        count[0] += 1
        pool_text(pool, source.name.lower() if lower else source.name, &test.name)
        pool_text(pool, source.value, &test.value)
        draft.work += 1 + test.value.size // BYTES
        if source.type == "RegularExpression":
            draft.expressions.append((<uintptr_t> test, False))
    return 0


cdef int _put_match(Draft draft, source) except -1:
    cdef Rule *rule = draft.rule
    cdef Pool *pool = &rule.pool
    cdef Match *match = &rule.matches[rule.matches_count]
    match.rule = rule
    match.index = rule.matches_count
    rule.matches_count += 1
    match.path_type = PATH_TYPES[source.path.type]
    pool_text(pool, source.path.value, &match.path)
    if match.path_type == PATH_REGEX:
        draft.expressions.append((<uintptr_t> match, True))
    if source.method is not None:
        pool_text(pool, source.method, &match.method)
    _put_tests(draft, source.headers, &match.headers, &match.headers_count, True)
    _put_tests(draft, source.query, &match.query, &match.query_count, False)
    draft.work += 4
    return _put_bytes(pool, rank_key(source.rank), &match.rank)


cdef int _compile(Draft draft, tuple expression) except -1:
    """Makes one regular expression. ValueError: RE2 refuses it."""
    cdef uintptr_t address = expression[0]
    cdef Match *match
    cdef ValueTest *test
    cdef char beginning[BEGINNING_MOST]
    if not expression[1]:
        test = <ValueTest *> address
        test.pattern = pattern_new(test.value.data, test.value.size)
        return 0
    match = <Match *> address
    match.pattern = pattern_new(match.path.data, match.path.size)
    return _put_bytes(
        &draft.rule.pool, beginning[:pattern_beginning(match.pattern, beginning, BEGINNING_MOST)], &match.beginning
    )


cdef int _put_target(Rule *rule, source, slots, Upstreams upstreams) except -1:
    cdef uint32_t at = rule.targets_count
    cdef Target *target = &rule.targets[at]
    rule.targets_count += 1
    pool_text(&rule.pool, source.label, &target.name)
    target.weight = source.weight
    target.mark = session_mark(target.name)
    target.series = slots.targets[at] if at < len(slots.targets) else 0
    target.upstream_series = slots.upstreams[at] if at < len(slots.upstreams) else 0
    target.filters = filters_new(source.filters, upstreams)
    if source.status is None:
        target.backend = upstreams.backend(source.backend)
        backend_ref(target.backend)
    else:
        target.status = source.status
        target.reason = reason_number(source.reason or "")
    return 0


cdef int _put_labels(Rule *rule, source) except -1:
    cdef Pool *pool = &rule.pool
    pool_text(pool, source.id, &rule.id)
    pool_text(pool, source.gateway, &rule.gateway)
    pool_text(pool, source.listener_name, &rule.listener)
    pool_text(pool, source.route, &rule.route)
    pool_text(pool, source.route_kind, &rule.route_kind)
    rule.calls = source.calls
    rule.owner = owner_of(source.route.partition("/")[0])
    return pool_text(pool, source.name, &rule.name)


cdef uint32_t _size(source):
    """About the number of bytes of a rule, so that one chunk suffices for most rules."""
    return <uint32_t> (
        sizeof(Rule) + 2 * len(source.id) + 100
        + len(source.matches) * (sizeof(Match) + 150)
        + len(source.backends) * (sizeof(Target) + 50)
    )


cdef class Draft:
    def __cinit__(self):
        self.expressions = []

    def __dealloc__(self):
        if self.rule != NULL:
            rule_unref(self.rule)


cdef Rule *_empty(source) except NULL:
    """A rule with room for the matches and targets of `source`."""
    cdef Pool pool
    cdef Rule *rule
    pool_start(&pool, _size(source))
    rule = <Rule *> pool_take(&pool, sizeof(Rule))
    rule.pool = pool
    rule.grave.refs = 1
    rule.grave.dismantle = _dismantle
    return rule


cdef int _put_rest(Rule *rule, source, slots, Upstreams upstreams) except -1:
    rule.filters = filters_new(source.filters, upstreams)
    rule.request_timeout = min(source.request_timeout_ms, UINT32_MAX)
    rule.backend_timeout = min(source.backend_timeout_ms, UINT32_MAX)
    if source.session is not None:
        rule.session = session_new(&rule.pool, source.session)
    if source.retry is not None and source.retry.attempts > 0:
        rule.retry = <Retry *> pool_take(&rule.pool, sizeof(Retry))
        retry_fill(rule.retry, source.retry)
    rule.reason = REASON_ZERO_WEIGHTS if rule.targets_count else REASON_NO_BACKEND_REFS
    rule.local_series = slots.local
    rule.duration_series = slots.duration
    return 0


cdef uint32_t _filter_work(tuple filters):
    """The small operations of filters."""
    return sum([
        2 + len(filter.remove) + sum([2 + len(each.value) // BYTES for each in (*filter.set, *filter.add)])
        if type(filter).__name__ == "HeaderModifier" else 4
        for filter in filters
    ])


def drafting(Draft draft, source, slots, Upstreams upstreams):
    """Makes the rule of a snapshot.Rule and its RuleSlots. Raises ValueError if RE2 refuses a regular expression,
    MemoryError."""
    cdef Rule *rule = _empty(source)
    draft.rule = rule
    _put_labels(rule, source)
    rule.matches = <Match *> pool_take(&rule.pool, <uint32_t> (max(len(source.matches), 1) * sizeof(Match)))
    for match in source.matches:
        _put_match(draft, match)
        if draft.work >= STEP:
            draft.work = 0
            yield
    rule.targets = <Target *> pool_take(&rule.pool, <uint32_t> (max(len(source.backends), 1) * sizeof(Target)))
    for backend in source.backends:
        _put_target(rule, backend, slots, upstreams)
        if backend.filters:
            draft.work += _filter_work(backend.filters)
        if draft.work >= STEP:
            draft.work = 0
            yield
    _put_rest(rule, source, slots, upstreams)
    for expression in draft.expressions:
        yield
        _compile(draft, expression)
