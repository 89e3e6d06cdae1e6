# All expressions of a match must match the whole value. An expression sees texts of a limited length (regex.pxd): a
# longer one does not match.

from libc.stdint cimport uint32_t, uint64_t

from fastroute.ext.memory.slice cimport slices_equal
from fastroute.ext.message.fieldlist cimport same_name
from fastroute.ext.routing.facts cimport Fact, fact_of_header, fact_of_parameter, name_hash
from fastroute.ext.routing.regex cimport PATH_MOST, VALUE_MOST, pattern_matches
from fastroute.ext.routing.rule cimport ValueTest


cdef bint _passes(const ValueTest *test, bint query, Facts *facts) noexcept nogil:
    cdef uint64_t hash = name_hash(&test.name, query)
    cdef Fact *fact = fact_of_parameter(facts, hash) if query else fact_of_header(facts, hash)
    if fact == NULL or fact.value.size > VALUE_MOST:
        return False
    if not (slices_equal(&test.name, &fact.name) if query else same_name(&test.name, &fact.name)):
        return False
    return pattern_matches(test.pattern, fact.value.data, fact.value.size)


cdef bint match_passes(const Match *match, Facts *facts) noexcept nogil:
    cdef uint32_t i
    for i in range(match.headers_count):
        if match.headers[i].pattern != NULL and not _passes(&match.headers[i], False, facts):
            return False
    for i in range(match.query_count):
        if match.query[i].pattern != NULL and not _passes(&match.query[i], True, facts):
            return False
    if match.pattern == NULL:
        return True
    return facts.message.path.size <= PATH_MOST and pattern_matches(
        match.pattern, facts.message.path.data, facts.message.path.size
    )
