# Adding matches to a node, and lookups in it.

from libc.string cimport memcmp, memcpy, memmove

from fastroute.ext.bytemap cimport bytemap_find, bytemap_put
from fastroute.ext.match cimport header_value, match_takes, parameter_value
from fastroute.ext.pool cimport pool_take
from fastroute.ext.rule cimport ValueTest

cdef enum:
    PLAIN_FIRST = 4             # matches in the plain list before any is put on an axis
    AXES_MOST = 6               # axes of one node: a request looks up its value on each


# --- adding


cdef int _compare(const Slice *a, const Slice *b) noexcept nogil:
    cdef int order = memcmp(a.data, b.data, min(a.size, b.size))
    return order if order else (a.size > b.size) - (a.size < b.size)


cdef bint match_before(const Match *a, const Match *b) noexcept nogil:
    """Ranks are normally distinct; if two are equal, the rule id decides."""
    cdef int order = _compare(&a.rank, &b.rank)
    return order < 0 or (order == 0 and _compare(&a.rule.id, &b.rule.id) < 0)


cdef int _insert(Index *index, Ranked *ranked, const Match *match) except -1:
    cdef const Match **matches
    cdef uint32_t low = 0
    cdef uint32_t high = ranked.count
    cdef uint32_t middle
    if ranked.count == ranked.room:
        ranked.room = 2 * ranked.room if ranked.room else 1
        matches = <const Match **> pool_take(&index.pool, ranked.room * <uint32_t> sizeof(Match *))
        if ranked.count:
            memcpy(matches, ranked.matches, ranked.count * sizeof(Match *))
        ranked.matches = matches
    while low < high:
        middle = (low + high) // 2
        if match_before(match, ranked.matches[middle]):
            high = middle
        else:
            low = middle + 1
    memmove(&ranked.matches[low + 1], &ranked.matches[low], (ranked.count - low) * sizeof(Match *))
    ranked.matches[low] = match
    ranked.count += 1
    return 0


cdef Axis *_axis(Index *index, Node *node, const Slice *name, bint query) except? NULL:
    """The node's axis of this name, created if necessary; NULL if the node has no room for another axis."""
    cdef Axis *axis = node.axes
    while axis != NULL:
        if axis.query == query and _compare(&axis.name, name) == 0:
            return axis
        axis = axis.next
    if node.axes_count == AXES_MOST:
        return NULL
    axis = <Axis *> pool_take(&index.pool, sizeof(Axis))
    index.axes += 1
    axis.number = index.axes
    axis.name = name[0]
    axis.query = query
    axis.next = node.axes
    node.axes = axis
    node.axes_count += 1
    return axis


cdef Ranked *_bucket(Index *index, const Axis *axis, const Slice *value) except NULL:
    cdef Ranked *bucket = <Ranked *> bytemap_find(&index.buckets, axis.number, value.data, value.size)
    if bucket == NULL:
        bucket = <Ranked *> pool_take(&index.pool, sizeof(Ranked))
        bytemap_put(&index.buckets, axis.number, value.data, value.size, bucket)
    return bucket


cdef Ranked *_emptiest(Index *index, Node *node, const Match *match) except? NULL:
    """The bucket with the fewest matches among those for values that the match requires; NULL if there is none."""
    cdef Ranked *best = NULL
    cdef Ranked *bucket
    cdef const ValueTest *test
    cdef Axis *axis
    cdef uint32_t i
    for i in range(<uint32_t> match.headers_count + match.query_count):
        test = &match.headers[i] if i < match.headers_count else &match.query[i - match.headers_count]
        axis = NULL if test.pattern != NULL else _axis(index, node, &test.name, i >= match.headers_count)
        if axis == NULL:
            continue
        bucket = _bucket(index, axis, &test.value)
        if best == NULL or bucket.count < best.count:
            best = bucket
    return best


cdef int node_put(Index *index, Node *node, const Match *match) except -1:
    cdef Ranked *ranked = &node.plain
    if node.plain.count >= PLAIN_FIRST:
        ranked = _emptiest(index, node, match)
    return _insert(index, ranked if ranked != NULL else &node.plain, match)


# --- lookups


cdef const Match *_first_of(const Ranked *ranked, const Head *head, Arena *arena) noexcept nogil:
    cdef uint32_t i
    for i in range(ranked.count):
        if match_takes(ranked.matches[i], head, arena):
            return ranked.matches[i]
    return NULL


cdef const Ranked *_own_bucket(const Index *index, const Axis *axis, const Head *head, Arena *arena) noexcept nogil:
    """The bucket of the request's value on this axis; NULL if there is none."""
    cdef uint32_t used = arena.used         # a joined value is needed only for this lookup
    cdef const Ranked *bucket = NULL
    cdef Slice value
    if parameter_value(&axis.name, head, &value) if axis.query else header_value(&axis.name, head, arena, &value):
        bucket = <const Ranked *> bytemap_find(&index.buckets, axis.number, value.data, value.size)
    arena.used = used
    return bucket


cdef const Match *node_find(const Index *index, const Node *node, const Head *head, Arena *arena) noexcept nogil:
    cdef const Ranked *lists[AXES_MOST + 1]
    cdef uint32_t at[AXES_MOST + 1]
    cdef const Axis *axis = node.axes
    cdef const Match *match
    cdef uint32_t count = 1
    cdef uint32_t i, best
    lists[0] = &node.plain
    while axis != NULL:
        lists[count] = _own_bucket(index, axis, head, arena)
        count += lists[count] != NULL
        axis = axis.next
    if count == 1:
        return _first_of(lists[0], head, arena)
    for i in range(count):
        at[i] = 0
    while True:
        match = NULL
        for i in range(count):
            if at[i] < lists[i].count and (match == NULL or match_before(lists[i].matches[at[i]], match)):
                match = lists[i].matches[at[i]]
                best = i
        if match == NULL or match_takes(match, head, arena):
            return match
        at[best] += 1
