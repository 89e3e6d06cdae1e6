# The matches of one group whose path is a regular expression, indexed by their literal prefix.
#
# Most expressions have a literal prefix: every path that "/team-7/v[0-9]+" matches begins with "/team-7/v". They are
# indexed by up to PREFIX_MOST bytes of this prefix; a request tries only those whose prefix its path has, with one
# look-up for each length in use. Expressions without a literal prefix are always tried.

from libc.stdint cimport uint64_t

from fastroute.ext.memory.bytemap cimport ByteMap
from fastroute.ext.routing.facts cimport Facts
from fastroute.ext.routing.node cimport Index
from fastroute.ext.routing.rule cimport Match


cdef struct Expressions:        # starts zeroed, except `beginnings`
    ByteMap beginnings          # -> Node
    uint64_t lengths            # bit n: there is a prefix of n bytes

cdef int expressions_put(Index *index, Expressions *expressions, const Match *match) except -1      # MemoryError
# The first match by rank that takes the request; NULL if there is none.
cdef const Match *expressions_find(const Index *index, const Expressions *expressions, Facts *facts) noexcept nogil
