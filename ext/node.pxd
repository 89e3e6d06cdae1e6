# The matches of one path, in rank order, with an index that finds the right one among thousands.
#
# Most nodes have one match or a few, which are kept in a plain list. If a path has more, they differ by a header or a
# query parameter. A match that requires an exact value is put on an axis (a header or parameter name), into the bucket
# of that value. A request looks up its own value on each axis; only these buckets and the plain list are searched,
# merged by rank. So 5,000 rules with `x-tenant: N` on one path cost as much as one.

from libc.stdint cimport uint32_t

from fastroute.ext.bytemap cimport ByteMap
from fastroute.ext.head cimport Head
from fastroute.ext.pool cimport Pool
from fastroute.ext.rule cimport Match
from fastroute.ext.slice cimport Arena, Slice


cdef struct Ranked:             # smallest rank first
    const Match **matches
    uint32_t count
    uint32_t room

cdef struct Axis:
    Axis *next
    Slice name                  # of the header, in lower case, or of the query parameter
    bint query
    uint32_t number             # identifies its values in Index.buckets

cdef struct Node:
    Node *parent                # in a tree; NULL elsewhere and for its root
    uint32_t number             # identifies its children in a tree
    uint32_t axes_count
    Axis *axes
    Ranked plain

cdef struct Index:              # shared by the nodes of one owner
    Pool pool                   # memory of all of them
    ByteMap buckets             # (number of an axis, value) -> Ranked
    uint32_t axes               # number of axes so far

cdef int node_put(Index *index, Node *node, const Match *match) except -1       # raises MemoryError
# Whether `a` is tried before `b`.
cdef bint match_before(const Match *a, const Match *b) noexcept nogil
# The first match by rank that accepts the request; NULL if there is none.
cdef const Match *node_find(const Index *index, const Node *node, const Head *head, Arena *arena) noexcept nogil
