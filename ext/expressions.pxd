# The matches of one group whose path is a regular expression, found by how it begins.
#
# Most expressions begin with something literal: every path that "/team-7/v[0-9]+" matches begins with "/team-7/v".
# They are kept by these beginnings, up to PREFIX_MOST bytes of them; a request tries only those whose beginning its
# path has, one look-up for each length there is. Those that may begin with anything are always tried.

from libc.stdint cimport uint64_t

from fastroute.ext.bytemap cimport ByteMap
from fastroute.ext.head cimport Head
from fastroute.ext.node cimport Index
from fastroute.ext.rule cimport Match
from fastroute.ext.slice cimport Arena


cdef struct Expressions:        # starts zeroed, but for `beginnings`
    ByteMap beginnings          # -> Node
    uint64_t lengths            # bit n: there is a beginning of n bytes

cdef int expressions_put(Index *index, Expressions *expressions, const Match *match) except -1      # MemoryError
# The first match by rank that takes the request; NULL: none.
cdef const Match *expressions_find(const Index *index, const Expressions *expressions, const Head *head,
                                   Arena *arena) noexcept nogil
