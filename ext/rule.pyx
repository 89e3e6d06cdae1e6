# Making a Rule from a snapshot.Rule, and freeing it. Its strings and arrays are in one pool; what has a reference count
# or memory elsewhere (backends, the choice, filter chains, patterns) is released separately.

from libc.stdint cimport UINT32_MAX
from libc.string cimport memcpy

from fastroute.ext.backends cimport backend_ref, backend_unref
from fastroute.ext.balancer cimport choice_unref
from fastroute.ext.chain cimport filters_free, filters_new
from fastroute.ext.pool cimport pool_free, pool_start, pool_take, pool_text
from fastroute.ext.reason cimport REASON_NO_BACKEND_REFS, REASON_ZERO_WEIGHTS, reason_number
from fastroute.ext.regex cimport pattern_free, pattern_new
from fastroute.ext.retry cimport retry_fill
from fastroute.ext.session cimport session_free, session_mark, session_new

cdef dict PATH_TYPES = {"Exact": PATH_EXACT, "PathPrefix": PATH_PREFIX, "RegularExpression": PATH_REGEX}


cdef void rule_ref(Rule *rule) noexcept nogil:
    rule.grave.refs += 1


cdef void rule_unref(Rule *rule) noexcept nogil:
    rule.grave.refs -= 1
    if rule.grave.refs == 0:
        bury(&rule.grave)


cdef bint _dismantle(Grave *grave) noexcept nogil:
    """All at once: a rule is small (at most 16 backendRefs and 64 matches)."""
    cdef Rule *rule = <Rule *> grave
    cdef Pool pool = rule.pool
    cdef uint32_t i, k
    for i in range(rule.targets_count):
        filters_free(rule.targets[i].filters)
        if rule.targets[i].backend != NULL:
            backend_unref(rule.targets[i].backend)
    for i in range(rule.matches_count):
        pattern_free(rule.matches[i].pattern)
        for k in range(rule.matches[i].headers_count):
            pattern_free(rule.matches[i].headers[k].pattern)
        for k in range(rule.matches[i].query_count):
            pattern_free(rule.matches[i].query[k].pattern)
    filters_free(rule.filters)
    session_free(rule.session)
    if rule.choice != NULL:
        choice_unref(rule.choice)
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


cdef int _put_tests(Pool *pool, tuple tests, ValueTest **out, uint16_t *count, bint lower) except -1:
    cdef ValueTest *test
    if not tests:
        return 0
    out[0] = <ValueTest *> pool_take(pool, <uint32_t> (len(tests) * sizeof(ValueTest)))
    for source in tests:
        test = &out[0][count[0]]
        count[0] += 1
        pool_text(pool, source.name.lower() if lower else source.name, &test.name)
        pool_text(pool, source.value, &test.value)
        if source.type == "RegularExpression":
            test.pattern = pattern_new(test.value.data, test.value.size)
    return 0


cdef int _put_match(Pool *pool, source, Match *match) except -1:
    match.path_type = PATH_TYPES[source.path.type]
    pool_text(pool, source.path.value, &match.path)
    if match.path_type == PATH_REGEX:
        match.pattern = pattern_new(match.path.data, match.path.size)
    if source.method is not None:
        pool_text(pool, source.method, &match.method)
    _put_tests(pool, source.headers, &match.headers, &match.headers_count, True)
    _put_tests(pool, source.query, &match.query, &match.query_count, False)
    return _put_bytes(pool, rank_key(source.rank), &match.rank)


cdef int _put_matches(Rule *rule, tuple matches) except -1:
    cdef Match *match
    rule.matches = <Match *> pool_take(&rule.pool, <uint32_t> (max(len(matches), 1) * sizeof(Match)))
    for source in matches:
        match = &rule.matches[rule.matches_count]
        match.rule = rule
        match.index = rule.matches_count
        rule.matches_count += 1
        _put_match(&rule.pool, source, match)
    return 0


cdef int _put_targets(Rule *rule, tuple backends, tuple series, Upstreams upstreams) except -1:
    cdef Target *target
    cdef uint32_t i
    rule.targets = <Target *> pool_take(&rule.pool, <uint32_t> (max(len(backends), 1) * sizeof(Target)))
    for i, source in enumerate(backends):
        target = &rule.targets[i]
        rule.targets_count += 1
        pool_text(&rule.pool, source.backend, &target.name)
        target.weight = source.weight
        target.mark = session_mark(target.name)
        target.series = series[i] if i < len(series) else 0
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
    return pool_text(pool, source.name, &rule.name)


cdef uint32_t _size(source):
    """About the number of bytes of a rule, so that one chunk suffices for most rules."""
    return <uint32_t> (
        sizeof(Rule) + 2 * len(source.id) + 100
        + len(source.matches) * (sizeof(Match) + 150)
        + len(source.backends) * (sizeof(Target) + 50)
    )


cdef Rule *rule_new(source, slots, Upstreams upstreams) except NULL:
    cdef Pool pool
    cdef Rule *rule
    pool_start(&pool, _size(source))
    rule = <Rule *> pool_take(&pool, sizeof(Rule))
    rule.pool = pool
    rule.grave.refs = 1
    rule.grave.dismantle = _dismantle
    try:
        _put_labels(rule, source)
        _put_matches(rule, source.matches)
        _put_targets(rule, source.backends, slots.targets, upstreams)
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
    except BaseException:
        _dismantle(&rule.grave)
        raise
    return rule
