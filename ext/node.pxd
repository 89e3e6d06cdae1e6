# What stands at one path: matches in the order of their ranks, and how the right ones are found among thousands.
#
# Most nodes have one match, or a few: these are a plain list. Where more stand at one path, they differ by a header or
# a query parameter; those that ask for an exact value are put on an axis (a name) into the bucket of that value. A
# request looks up its own value on each axis and sees only these buckets and the plain list, merged by rank. So what
# 5,000 rules with `x-tenant: N` on one path cost is what one costs.

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
    uint32_t number             # owns its values in Index.buckets

cdef struct Node:
    Node *parent                # in a tree; NULL elsewhere and at its root
    uint32_t number             # owns its children in a tree
    uint32_t axes_count
    Axis *axes
    Ranked plain

cdef struct Index:              # what the nodes of one owner share
    Pool pool                   # all their memory
    ByteMap buckets             # (number of an axis, value) -> Ranked
    uint32_t axes               # numbers given to axes

cdef int node_put(Index *index, Node *node, const Match *match) except -1       # MemoryError
# Whether `a` is tried before `b`.
cdef bint match_before(const Match *a, const Match *b) noexcept nogil
# The first match by rank that takes the request; NULL: none.
cdef const Match *node_find(const Index *index, const Node *node, const Head *head, Arena *arena) noexcept nogil
