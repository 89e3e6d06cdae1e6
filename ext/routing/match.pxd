# Whether a request satisfies the regular expressions of a match. Its exact conditions are found by look-up (node.pxd).

from fastroute.ext.routing.facts cimport Facts
from fastroute.ext.routing.rule cimport Match


# True also for a match without expressions.
cdef bint match_passes(const Match *match, Facts *facts) noexcept nogil
