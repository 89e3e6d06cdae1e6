# The conditions of an HTTPRouteMatch are all to be met. Methods and values are compared to the letter. A header that
# came on several lines counts as its values joined with ","; of a query parameter that came several times the first
# one counts, as received (escapes are not decoded); one without "=" has an empty value.

from libc.stdint cimport uint32_t
from libc.string cimport memchr, memcmp

from fastroute.ext.fieldlist cimport join_slices, same_name
from fastroute.ext.regex cimport pattern_matches
from fastroute.ext.rule cimport ValueTest
from fastroute.ext.slice cimport Slice


cdef bint _equal(const Slice *a, const Slice *b) noexcept nogil:
    return a.size == b.size and memcmp(a.data, b.data, a.size) == 0


cdef bint _passes(const ValueTest *test, const Slice *value) noexcept nogil:
    if test.pattern != NULL:
        return pattern_matches(test.pattern, value.data, value.size)
    return _equal(&test.value, value)


cdef bint _header(const ValueTest *test, const Head *head, Arena *arena) noexcept nogil:
    """Whether the header passes; one that is absent does not, and neither does a list that the arena cannot hold."""
    cdef Slice value
    cdef Slice parts[3]
    cdef bint found = False
    cdef uint32_t i
    for i in range(head.fields_count):
        if not same_name(&test.name, &head.fields[i].name):
            continue
        if not found:
            value = head.fields[i].value
            found = True
            continue
        parts[0], parts[2] = value, head.fields[i].value
        parts[1].data = b","
        parts[1].size = 1
        if join_slices(&value, arena, parts, 3) < 0:
            return False
    return found and _passes(test, &value)


cdef bint _parameter(const ValueTest *test, const Head *head) noexcept nogil:
    cdef const char *at = head.query.data
    cdef const char *end = at + head.query.size
    cdef const char *stop
    cdef const char *equals
    cdef Slice name, value
    while at < end:
        stop = <const char *> memchr(at, c'&', end - at)
        if stop == NULL:
            stop = end
        equals = <const char *> memchr(at, c'=', stop - at)
        name.data = at
        name.size = <uint32_t> ((equals if equals != NULL else stop) - at)
        if _equal(&test.name, &name):
            value.data = equals + 1 if equals != NULL else stop
            value.size = <uint32_t> (stop - value.data)
            return _passes(test, &value)
        at = stop + 1
    return False


cdef bint match_takes(const Match *match, const Head *head, Arena *arena) noexcept nogil:
    cdef uint32_t i
    if match.method.size and not _equal(&match.method, &head.method):
        return False
    for i in range(match.headers_count):
        if not _header(&match.headers[i], head, arena):
            return False
    for i in range(match.query_count):
        if not _parameter(&match.query[i], head):
            return False
    return True
