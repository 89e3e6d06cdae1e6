# The rules of one listener whose route names one hostname, found by path in constant time.
#
# Exact paths stand in a hash map, prefixes in a tree of path elements (a hash map as well: node and element to node),
# regular expressions by how they begin. What stands at one path is in the order of rank. A request is offered to the
# exact path, then to ever shorter prefixes, then to the expressions, until a match takes it. Filled once, immutable.

from libc.stdint cimport uint32_t

from fastroute.ext.bytemap cimport ByteMap
from fastroute.ext.expressions cimport Expressions
from fastroute.ext.graveyard cimport Grave
from fastroute.ext.head cimport Head
from fastroute.ext.node cimport Index, Node
from fastroute.ext.rule cimport Match, Rule
from fastroute.ext.slice cimport Arena, Slice


cdef struct Group:
    Grave grave
    Index index                 # its pool holds the nodes and the hostname, too
    Slice hostname              # of the routes; "" for those without
    Rule **rules                # each with a reference
    uint32_t rules_count
    uint32_t rules_room
    uint32_t nodes              # numbers given to nodes of the tree
    ByteMap exact               # path -> Node
    ByteMap tree                # (number of a node, element) -> Node
    Node root                   # the prefix "": every path
    Expressions expressions

# Room for `rules` rules. MemoryError.
cdef Group *group_new(Slice hostname, uint32_t rules) except NULL
cdef int group_expect(Group *group, const Group *like) except -1     # room at once for about what `like` holds
cdef int group_add(Group *group, Rule *rule) except -1      # within that room; takes a reference
cdef void group_unref(Group *group) noexcept nogil          # to the graveyard at zero
# The match that takes the request; NULL: none.
cdef const Match *group_find(const Group *group, const Head *head, Arena *arena) noexcept nogil
