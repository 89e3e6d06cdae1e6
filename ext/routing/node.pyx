# Adding matches to a node, and lookups in it.

from libc.string cimport memcmp, memcpy, memmove

from fastroute.ext.memory.bytemap cimport bytemap_find, bytemap_put, fold, hash_secret, process_seed
from fastroute.ext.memory.pool cimport pool_take
from fastroute.ext.memory.slice cimport slices_equal
from fastroute.ext.message.fieldlist cimport same_name
from fastroute.ext.routing.facts cimport Fact, fact_of_header, fact_of_parameter, name_hash, slice_hash, value_hash
from fastroute.ext.routing.match cimport match_passes
from fastroute.ext.routing.rule cimport ValueTest


# --- order


cdef int _compare(const Slice *a, const Slice *b) noexcept nogil:
    cdef int order = memcmp(a.data, b.data, min(a.size, b.size))
    return order if order else (a.size > b.size) - (a.size < b.size)


cdef bint match_before(const Match *a, const Match *b) noexcept nogil:
    """Ranks are normally distinct; if two are equal, the rule id decides."""
    cdef int order = _compare(&a.rank, &b.rank)
    return order < 0 or (order == 0 and _compare(&a.rule.id, &b.rule.id) < 0)


cdef inline uint64_t _mix(uint64_t key, uint64_t more) noexcept nogil:
    return fold(key ^ more, hash_secret(process_seed()))


# --- adding


cdef struct Conditions:         # the exact conditions of a match, by header or query parameter, then by name
    uint32_t count
    const ValueTest *tests[CONDITIONS_MOST]
    bint query[CONDITIONS_MOST]


cdef int _collect(const Match *match, Conditions *found) except -1:
    cdef const ValueTest *test
    cdef uint32_t i, at
    cdef bint query
    found.count = 0
    for i in range(<uint32_t> match.headers_count + match.query_count):
        query = i >= match.headers_count
        test = &match.query[i - match.headers_count] if query else &match.headers[i]
        if test.pattern != NULL:
            continue
        if found.count == CONDITIONS_MOST:
            raise ValueError("a match has too many conditions")
        at = found.count
        while at > 0 and found.query[at - 1] == query and _compare(&test.name, &found.tests[at - 1].name) < 0:
            found.tests[at], found.query[at] = found.tests[at - 1], found.query[at - 1]
            at -= 1
        found.tests[at], found.query[at] = test, query
        found.count += 1
    return 0


cdef bint _has_expressions(const Match *match) noexcept nogil:
    cdef uint32_t i
    for i in range(match.headers_count):
        if match.headers[i].pattern != NULL:
            return True
    for i in range(match.query_count):
        if match.query[i].pattern != NULL:
            return True
    return match.pattern != NULL


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


cdef bint _is_of(const Signature *signature, const Conditions *conditions, bint method) noexcept nogil:
    cdef uint32_t i
    if signature.names_count != conditions.count or signature.method != method:
        return False
    for i in range(conditions.count):
        if (i >= signature.headers_count) != conditions.query[i] \
                or not slices_equal(signature.names[i], &conditions.tests[i].name):
            return False
    return True


cdef int _link(Node *node, Signature *signature) except -1:
    """Inserts it into the list of the node, by rank."""
    cdef Signature **at = &node.signatures
    while at[0] != NULL and match_before(at[0].first, signature.first):
        at = &at[0].next
    signature.next = at[0]
    at[0] = signature
    return 0


cdef int _move_up(Node *node, Signature *signature, const Match *match) except -1:
    """After a match with a smaller rank than its others was added."""
    cdef Signature **at = &node.signatures
    while at[0] != signature:
        at = &at[0].next
    at[0] = signature.next
    signature.first = match
    return _link(node, signature)


cdef Signature *_signature(Index *index, Node *node, const Conditions *conditions, const Match *match) except NULL:
    """The signature of the conditions in this node, with the match taken into account in its place."""
    cdef uint64_t key[2]
    cdef uint32_t i
    cdef bint method = match.method.size > 0
    cdef Signature *signature
    cdef char *kept
    key[0] = <uint64_t> node
    key[1] = method
    for i in range(conditions.count):
        key[1] = _mix(key[1], name_hash(&conditions.tests[i].name, conditions.query[i]) + conditions.query[i])
    signature = <Signature *> bytemap_find(&index.buckets, 0, <const char *> key, sizeof(key))
    while signature != NULL and not _is_of(signature, conditions, method):
        key[1] += 1                         # hashes collide: the next key
        signature = <Signature *> bytemap_find(&index.buckets, 0, <const char *> key, sizeof(key))
    if signature != NULL:
        if match_before(match, signature.first):
            _move_up(node, signature, match)
        return signature
    signature = <Signature *> pool_take(
        &index.pool, <uint32_t> (sizeof(Signature) + conditions.count * (sizeof(uint64_t) + sizeof(Slice *)))
    )
    signature.hashes = <uint64_t *> (signature + 1)
    signature.names = <const Slice **> (signature.hashes + conditions.count)
    signature.names_count = conditions.count
    for i in range(conditions.count):
        signature.names[i] = &conditions.tests[i].name
        signature.hashes[i] = name_hash(&conditions.tests[i].name, conditions.query[i])
        signature.headers_count += not conditions.query[i]
    signature.method = method
    signature.first = match
    index.signatures += 1
    signature.number = index.signatures
    kept = <char *> pool_take(&index.pool, sizeof(key))
    memcpy(kept, key, sizeof(key))
    bytemap_put(&index.buckets, 0, kept, sizeof(key), signature)
    _link(node, signature)
    return signature


cdef Bucket *_new_bucket(Index *index, const Conditions *conditions, const Match *match) except NULL:
    cdef Bucket *bucket = <Bucket *> pool_take(&index.pool, sizeof(Bucket))
    cdef uint32_t i
    bucket.values = <const Slice **> pool_take(&index.pool, max(conditions.count, 1) * <uint32_t> sizeof(Slice *))
    for i in range(conditions.count):
        bucket.values[i] = &conditions.tests[i].value
    bucket.method = match.method
    return bucket


cdef bint _requires(const Bucket *bucket, const Conditions *conditions, const Match *match) noexcept nogil:
    cdef uint32_t i
    for i in range(conditions.count):
        if not slices_equal(bucket.values[i], &conditions.tests[i].value):
            return False
    return slices_equal(&bucket.method, &match.method)


cdef Bucket *_bucket(Index *index, Signature *signature, const Conditions *conditions, const Match *match) except NULL:
    """The bucket of the match, created if necessary."""
    cdef uint64_t key = slice_hash(&match.method) if signature.method else 0
    cdef Bucket *first
    cdef Bucket *bucket
    cdef uint32_t i
    if signature.names_count == 0 and not signature.method:
        if signature.only == NULL:
            signature.only = _new_bucket(index, conditions, match)
        return signature.only
    for i in range(conditions.count):
        key = _mix(key, slice_hash(&conditions.tests[i].value))
    first = bucket = <Bucket *> bytemap_find(&index.buckets, signature.number, <const char *> &key, sizeof(key))
    while bucket != NULL and not _requires(bucket, conditions, match):
        bucket = bucket.next
    if bucket == NULL:
        bucket = _new_bucket(index, conditions, match)
        bucket.key = key
        if first == NULL:
            bytemap_put(&index.buckets, signature.number, <const char *> &bucket.key, sizeof(key), bucket)
        else:
            bucket.next, first.next = first.next, bucket
    return bucket


cdef int node_put(Index *index, Node *node, const Match *match) except -1:
    cdef Conditions conditions
    cdef Bucket *bucket
    cdef bint unsure = _has_expressions(match)
    _collect(match, &conditions)
    if not unsure and conditions.count == 0 and match.method.size == 0:
        if node.bare == NULL or match_before(match, node.bare):
            node.bare = match
        return 0
    bucket = _bucket(index, _signature(index, node, &conditions, match), &conditions, match)
    if unsure:
        return _insert(index, &bucket.unsure, match)
    if bucket.sure == NULL or match_before(match, bucket.sure):
        bucket.sure = match
    return 0


# --- lookups


cdef const Bucket *_own_bucket(const Index *index, const Signature *signature, Facts *facts) noexcept nogil:
    """The bucket whose conditions the request meets; NULL if there is none."""
    cdef Fact *found[CONDITIONS_MOST]
    cdef const Bucket *bucket
    cdef uint64_t key = 0
    cdef uint32_t i
    if signature.only != NULL:
        return signature.only
    for i in range(signature.names_count):
        if i < signature.headers_count:
            found[i] = fact_of_header(facts, signature.hashes[i])
        else:
            found[i] = fact_of_parameter(facts, signature.hashes[i])
        if found[i] == NULL:
            return NULL
    if signature.method:
        key = slice_hash(&facts.method)
    for i in range(signature.names_count):
        key = _mix(key, value_hash(found[i]))
    bucket = <const Bucket *> bytemap_find(&index.buckets, signature.number, <const char *> &key, sizeof(key))
    while bucket != NULL and not _meets(bucket, signature, found, facts):
        bucket = bucket.next
    return bucket


cdef bint _is_named(const Fact *fact, const Signature *signature, uint32_t i) noexcept nogil:
    """It was found by the hash of its name."""
    if i < signature.headers_count:
        return same_name(signature.names[i], &fact.name)
    return slices_equal(signature.names[i], &fact.name)


cdef bint _meets(const Bucket *bucket, const Signature *signature, Fact **found, const Facts *facts) noexcept nogil:
    cdef uint32_t i
    for i in range(signature.names_count):
        if not slices_equal(bucket.values[i], &found[i].value) or not _is_named(found[i], signature, i):
            return False
    return not signature.method or slices_equal(&bucket.method, &facts.method)


cdef const Match *_better(const Bucket *bucket, const Match *best, Facts *facts) noexcept nogil:
    """The first match by rank that accepts the request, among those of the bucket and `best`, which may be NULL."""
    cdef const Match *match
    cdef uint32_t i
    if bucket.sure != NULL and (best == NULL or match_before(bucket.sure, best)):
        best = bucket.sure
    for i in range(bucket.unsure.count):
        match = bucket.unsure.matches[i]
        if best != NULL and not match_before(match, best):
            break
        if match_passes(match, facts):
            return match
    return best


cdef const Match *node_find(const Index *index, const Node *node, Facts *facts) noexcept nogil:
    cdef const Match *best = node.bare
    cdef const Signature *signature = node.signatures
    cdef const Bucket *bucket
    while signature != NULL and (best == NULL or match_before(signature.first, best)):
        bucket = _own_bucket(index, signature, facts)
        if bucket != NULL:
            best = _better(bucket, best, facts)
        signature = signature.next
    return best
