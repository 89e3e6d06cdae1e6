# Filling a group, match by match, and look-up in it.

from libc.stdlib cimport calloc, free
from libc.string cimport memchr, memcpy

from fastroute.ext.memory.bytemap cimport (
    bytemap_expect, bytemap_find, bytemap_free_piece, bytemap_put, bytemap_start, bytemap_widen,
)
from fastroute.ext.memory.graveyard cimport bury
from fastroute.ext.memory.pool cimport pool_free_one, pool_start, pool_take
from fastroute.ext.routing.expressions cimport expressions_find, expressions_put
from fastroute.ext.routing.node cimport match_before, node_find, node_put
from fastroute.ext.routing.rule cimport PATH_EXACT, PATH_PREFIX, PATH_REGEX, rule_ref, rule_unref

cdef enum:
    PIECE = 32                  # rules released per call
    POOL_PER_RULE = sizeof(Node) + 24
    POOL_FIRST = 16 * 1024      # maximum size of the first chunk in bytes


# --- life


cdef Group *group_new(Slice hostname, uint32_t rules) except NULL:
    cdef Group *group = <Group *> calloc(1, sizeof(Group))
    cdef char *name
    if group == NULL:
        raise MemoryError
    group.grave.refs = 1
    group.grave.dismantle = _dismantle
    bytemap_start(&group.exact)
    bytemap_start(&group.tree)
    bytemap_start(&group.index.buckets)
    bytemap_start(&group.expressions.beginnings)
    pool_start(&group.index.pool, min(rules * POOL_PER_RULE + hostname.size, <uint32_t> POOL_FIRST))
    group.rules_room = rules
    group.rules = <Rule **> calloc(max(rules, <uint32_t> 1), sizeof(Rule *))
    if group.rules == NULL:
        free(group)
        raise MemoryError
    try:
        name = <char *> pool_take(&group.index.pool, hostname.size + 1)
    except MemoryError:
        group_unref(group)
        raise
    memcpy(name, hostname.data, hostname.size)
    group.hostname.data = name
    group.hostname.size = hostname.size
    return group


cdef int group_expect(Group *group, const Group *like) except -1:
    """Without this, its maps would grow step by step, and the last steps take long."""
    bytemap_expect(&group.exact, like.exact.used)
    bytemap_expect(&group.tree, like.tree.used)
    bytemap_expect(&group.expressions.beginnings, like.expressions.beginnings.used)
    return bytemap_expect(&group.index.buckets, like.index.buckets.used)


cdef void group_unref(Group *group) noexcept nogil:
    group.grave.refs -= 1
    if group.grave.refs == 0:
        bury(&group.grave)


cdef bint _dismantle(Grave *grave) noexcept nogil:
    cdef Group *group = <Group *> grave
    for _ in range(PIECE):
        if group.rules_count == 0:
            break
        group.rules_count -= 1
        rule_unref(group.rules[group.rules_count])
    if group.rules_count or not pool_free_one(&group.index.pool):
        return False
    if not (
        bytemap_free_piece(&group.exact)
        and bytemap_free_piece(&group.tree)
        and bytemap_free_piece(&group.index.buckets)
        and bytemap_free_piece(&group.expressions.beginnings)
    ):
        return False
    free(group.rules)
    free(group)
    return True


# --- filling


cdef Node *_exact_node(Group *group, const Slice *path) except NULL:
    cdef Node *node = <Node *> bytemap_find(&group.exact, 0, path.data, path.size)
    if node == NULL:
        node = <Node *> pool_take(&group.index.pool, sizeof(Node))
        bytemap_put(&group.exact, 0, path.data, path.size, node)
        group.longest = max(group.longest, path.size)
    return node


cdef Node *_child(Group *group, Node *parent, const char *element, uint32_t size) except NULL:
    cdef Node *node = <Node *> bytemap_find(&group.tree, parent.number, element, size)
    if node == NULL:
        node = <Node *> pool_take(&group.index.pool, sizeof(Node))
        node.parent = parent
        group.nodes += 1
        node.number = group.nodes
        bytemap_put(&group.tree, parent.number, element, size, node)
    return node


cdef Node *_prefix_node(Group *group, const Slice *path) except NULL:
    """The node of "/a/b"; the root for ""."""
    cdef Node *node = &group.root
    cdef const char *at = path.data
    cdef const char *end = path.data + path.size
    cdef const char *stop
    while at < end:
        at += 1                             # the slash before the element
        stop = <const char *> memchr(at, c'/', end - at)
        if stop == NULL:
            stop = end
        node = _child(group, node, at, <uint32_t> (stop - at))
        at = stop
    return node


cdef int group_take(Group *group, Rule *rule) except -1:
    if group.rules_count == group.rules_room:
        raise AssertionError("a group has room for its rules")
    rule_ref(rule)
    group.rules[group.rules_count] = rule
    group.rules_count += 1
    return 0


cdef bint group_widen(Group *group, const Match *match) except -1:
    if match.path_type == PATH_EXACT and bytemap_widen(&group.exact, 1):
        return True
    if match.path_type == PATH_PREFIX and bytemap_widen(&group.tree, match.path.size):  # an element has a slash
        return True
    if match.path_type == PATH_REGEX and bytemap_widen(&group.expressions.beginnings, 1):
        return True
    return bytemap_widen(&group.index.buckets, 2)


cdef int group_add(Group *group, const Match *match) except -1:
    if match.path_type == PATH_EXACT:
        return node_put(&group.index, _exact_node(group, &match.path), match)
    if match.path_type == PATH_PREFIX:
        return node_put(&group.index, _prefix_node(group, &match.path), match)
    return expressions_put(&group.index, &group.expressions, match)


# --- look-up


cdef const Node *_deepest(const Group *group, const Slice *path) noexcept nogil:
    """The node of the longest prefix in the tree, by whole elements."""
    cdef const Node *node = &group.root
    cdef const Node *child
    cdef const char *at = path.data
    cdef const char *end = path.data + path.size
    cdef const char *stop
    if group.tree.used == 0:
        return node
    while at < end:
        at += 1
        stop = <const char *> memchr(at, c'/', end - at)
        if stop == NULL:
            stop = end
        child = <const Node *> bytemap_find(&group.tree, node.number, at, <uint32_t> (stop - at))
        if child == NULL:
            return node
        node = child
        at = stop
    return node


cdef const Match *group_find(const Group *group, Facts *facts) noexcept nogil:
    cdef const Slice *path = &facts.message.path
    cdef const Match *match
    cdef const Match *other
    cdef const Node *node
    if group.exact.used and path.size <= group.longest:
        node = <const Node *> bytemap_find(&group.exact, 0, path.data, path.size)
        if node != NULL:
            match = node_find(&group.index, node, facts)
            if match != NULL:
                return match
    node = _deepest(group, path)
    while node != NULL:
        match = node_find(&group.index, node, facts)
        if match != NULL and (node.parent != NULL or not match.rule.calls):
            return match
        node = node.parent
    other = expressions_find(&group.index, &group.expressions, facts)
    return other if match == NULL or (other != NULL and match_before(other, match)) else match
