# Filling and look-up.

from libc.stdint cimport uint32_t

from fastroute.ext.memory.bytemap cimport bytemap_find, bytemap_put
from fastroute.ext.memory.pool cimport pool_take
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.routing.node cimport Node, match_before, node_find, node_put

cdef extern from * nogil:
    int lowest_bit "__builtin_ctzll"(unsigned long long bits)


cdef int expressions_put(Index *index, Expressions *expressions, const Match *match) except -1:
    cdef const Slice *beginning = &match.beginning
    cdef Node *node = <Node *> bytemap_find(&expressions.beginnings, 0, beginning.data, beginning.size)
    if node == NULL:
        node = <Node *> pool_take(&index.pool, sizeof(Node))
        bytemap_put(&expressions.beginnings, 0, beginning.data, beginning.size, node)
        expressions.lengths |= <uint64_t> 1 << beginning.size
    return node_put(index, node, match)


cdef const Match *expressions_find(const Index *index, const Expressions *expressions, Facts *facts) noexcept nogil:
    cdef const Slice *path = &facts.message.path
    cdef uint64_t lengths = expressions.lengths
    cdef const Match *best = NULL
    cdef const Match *match
    cdef const Node *node
    cdef uint32_t size
    while lengths:
        size = <uint32_t> lowest_bit(lengths)
        lengths &= lengths - 1
        if size > path.size:
            break
        node = <const Node *> bytemap_find(&expressions.beginnings, 0, path.data, size)
        if node == NULL:
            continue
        match = node_find(index, node, facts)
        if match != NULL and (best == NULL or match_before(match, best)):
            best = match
    return best
