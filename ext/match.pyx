# All conditions of an HTTPRouteMatch must be met. Methods and values are case-sensitive. The values of a header on
# several lines are joined with ",". Of a repeated query parameter the first value counts, as received (escapes are not
# decoded); one without "=" has an empty value.

from libc.stdint cimport uint32_t
from libc.string cimport memchr, memcmp, memcpy

from fastroute.ext.fieldlist cimport same_name
from fastroute.ext.head cimport Field
from fastroute.ext.regex cimport pattern_matches
from fastroute.ext.rule cimport ValueTest
from fastroute.ext.slice cimport arena_take


cdef bint _equal(const Slice *a, const Slice *b) noexcept nogil:
    return a.size == b.size and memcmp(a.data, b.data, a.size) == 0


cdef bint _passes(const ValueTest *test, const Slice *value) noexcept nogil:
    if test.pattern != NULL:
        return pattern_matches(test.pattern, value.data, value.size)
    return _equal(&test.value, value)


cdef bint _joined(const Slice *name, const Head *head, uint32_t size, Arena *arena, Slice *value) noexcept nogil:
    """The joined values of several lines, `size` bytes including the commas."""
    cdef char *out = <char *> arena_take(arena, size)
    cdef bint first = True
    cdef const Field *field
    cdef uint32_t i
    if out == NULL:
        return False
    value.data = out
    value.size = size
    for i in range(head.fields_count):
        field = &head.fields[i]
        if same_name(name, &field.name):
            if not first:
                out[0] = c','
                out += 1
            first = False
            memcpy(out, field.value.data, field.value.size)
            out += field.value.size
    return True


cdef bint header_value(const Slice *name, const Head *head, Arena *arena, Slice *value) noexcept nogil:
    cdef uint32_t i, lines = 0, size = 0
    for i in range(head.fields_count):
        if same_name(name, &head.fields[i].name):
            value[0] = head.fields[i].value
            size += value.size + 1
            lines += 1
    return lines == 1 or (lines > 1 and _joined(name, head, size - 1, arena, value))


cdef bint parameter_value(const Slice *name, const Head *head, Slice *value) noexcept nogil:
    cdef const char *at = head.query.data
    cdef const char *end = at + head.query.size
    cdef const char *stop
    cdef const char *equals
    cdef Slice found
    while at < end:
        stop = <const char *> memchr(at, c'&', end - at)
        if stop == NULL:
            stop = end
        equals = <const char *> memchr(at, c'=', stop - at)
        found.data = at
        found.size = <uint32_t> ((equals if equals != NULL else stop) - at)
        if _equal(name, &found):
            value.data = equals + 1 if equals != NULL else stop
            value.size = <uint32_t> (stop - value.data)
            return True
        at = stop + 1
    return False


cdef bint _headers_pass(const Match *match, const Head *head, Arena *arena) noexcept nogil:
    cdef uint32_t used = arena.used         # the joined value is needed for one test only
    cdef Slice value
    cdef bint passed
    cdef uint32_t i
    for i in range(match.headers_count):
        passed = header_value(&match.headers[i].name, head, arena, &value) and _passes(&match.headers[i], &value)
        arena.used = used
        if not passed:
            return False
    return True


cdef bint _query_passes(const Match *match, const Head *head) noexcept nogil:
    cdef Slice value
    cdef uint32_t i
    for i in range(match.query_count):
        if not (parameter_value(&match.query[i].name, head, &value) and _passes(&match.query[i], &value)):
            return False
    return True


cdef bint match_takes(const Match *match, const Head *head, Arena *arena) noexcept nogil:
    if match.method.size and not _equal(&match.method, &head.method):
        return False
    if not _headers_pass(match, head, arena) or not _query_passes(match, head):
        return False
    return match.pattern == NULL or pattern_matches(match.pattern, head.path.data, head.path.size)
