# The matches of one path, found by what they require.
#
# The exact conditions of a match (method, headers, query parameters) are not tested one after another. Matches that have
# conditions on the same names have the same Signature, and those among them that also require the same values are in one
# Bucket. A request combines its own values of the names of a signature, and one look-up finds the bucket: all of its
# exact conditions are met, and those of no other bucket of the signature are. So 5,000 matches with `x-tenant: N` cost as
# much as one. A look-up costs a visit for each signature (usually a few), and the regular expressions of one bucket of
# each. fastroute/graph/price.py computes this cost, and the graph limits it.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from fastroute.ext.memory.bytemap cimport ByteMap
from fastroute.ext.memory.pool cimport Pool
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.routing.facts cimport Facts
from fastroute.ext.routing.rule cimport Match


cdef enum:
    CONDITIONS_MOST = 32        # exact conditions of a match; the API allows 16 headers and 16 query parameters

cdef struct Ranked:             # smallest rank first
    const Match **matches
    uint32_t count
    uint32_t room

cdef struct Bucket:             # the matches with the same exact conditions
    Bucket *next                # with the same key, but other values: a collision of hashes
    uint64_t key                # hash of the method and the values
    Slice method                # if the signature has a method
    const Slice **values        # one for each name of the signature
    const Match *sure           # the first one without regular expressions; NULL: none
    Ranked unsure               # those with regular expressions

cdef struct Signature:          # followed by its hashes: a visit should need few cache lines
    Signature *next             # by rank of `first`
    Bucket *only                # if there are neither names nor a method: its only bucket
    uint64_t *hashes            # name_hash of each name: headers, then query parameters, both sorted
    uint32_t number             # identifies its buckets in Index.buckets
    uint16_t names_count
    uint8_t headers_count       # how many of the names are headers
    uint8_t method              # whether its matches require a method
    const Match *first          # the first one by rank
    const Slice **names

cdef struct Node:
    Node *parent                # in a tree; NULL elsewhere and for its root
    uint32_t number             # identifies its children in a tree
    const Match *bare           # the first match without any other condition; NULL: none
    Signature *signatures       # of the other matches

cdef struct Index:              # shared by the nodes of one owner
    Pool pool                   # memory of all of them
    ByteMap buckets             # (number of a signature, key) -> Bucket; (0, node and names) -> Signature
    uint32_t signatures         # number of signatures so far

cdef int node_put(Index *index, Node *node, const Match *match) except -1   # MemoryError; ValueError: too many conditions
# Whether `a` is tried before `b`.
cdef bint match_before(const Match *a, const Match *b) noexcept nogil
# The first match by rank that accepts the request; NULL if there is none.
cdef const Match *node_find(const Index *index, const Node *node, Facts *facts) noexcept nogil
