# The rules of one listener whose routes have the same hostname, found by path in constant time.
#
# Exact paths are in a hash map, prefixes in a tree of path elements (also a hash map: node and element to node),
# regular expressions are indexed by their literal prefix. The matches of one path are ordered by rank. A request tries
# the exact path, then shorter and shorter prefixes, then the expressions, until a match takes it. For a call, the prefix
# "" and the expressions count as one path: the ranks decide. Filled once, then immutable.

from libc.stdint cimport uint32_t

from fastroute.ext.memory.bytemap cimport ByteMap
from fastroute.ext.memory.graveyard cimport Grave
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.routing.expressions cimport Expressions
from fastroute.ext.routing.facts cimport Facts
from fastroute.ext.routing.node cimport Index, Node
from fastroute.ext.routing.rule cimport Match, Rule


cdef struct Group:
    Grave grave
    Index index                 # its pool also holds the nodes and the hostname
    Slice hostname              # of the routes; "" for routes without one
    Rule **rules                # a reference to each
    uint32_t rules_count
    uint32_t rules_room
    uint32_t nodes              # number of nodes in the tree
    ByteMap exact               # path -> Node
    uint32_t longest            # bytes of the longest path of `exact`: longer ones are not looked up
    ByteMap tree                # (number of a node, element) -> Node
    Node root                   # the prefix "": every path
    Expressions expressions

# Allocates room for `rules` rules. MemoryError.
cdef Group *group_new(Slice hostname, uint32_t rules) except NULL
cdef int group_expect(Group *group, const Group *like) except -1     # reserves room for about as much as `like` holds
cdef int group_take(Group *group, Rule *rule) except -1     # within that room; takes a reference
# One step to make room for a match of a rule that the group has. Call it before `group_add` until it returns false.
cdef bint group_widen(Group *group, const Match *match) except -1
cdef int group_add(Group *group, const Match *match) except -1
cdef void group_unref(Group *group) noexcept nogil          # added to the graveyard at zero
# The match that takes the request; NULL if there is none.
cdef const Match *group_find(const Group *group, Facts *facts) noexcept nogil
