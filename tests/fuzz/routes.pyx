"""Tables are built with the C functions that TableBuilder calls, and must find what a search through all rules finds.

These functions hold the GIL, because they may raise MemoryError; no Python code runs in them.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.stdlib cimport free, malloc

from fastroute.ext.memory.graveyard cimport collect_for
from fastroute.ext.memory.slice cimport Arena, Slice, slices_equal
from fastroute.ext.message.limits cimport HeadLimits
from fastroute.ext.message.reason cimport REASON_NO_LISTENER, REASON_OVERLOADED
from fastroute.ext.routing.facts cimport facts_room
from fastroute.ext.routing.group cimport Group, group_add, group_new, group_take, group_unref, group_widen
from fastroute.ext.routing.hosts cimport HostTable, hosts_get, hosts_put
from fastroute.ext.routing.router cimport (
    MODE_HTTP, Decision, Listener, Routes, find_rule, groups_of, listener_new, listener_unref, routes_new, routes_put,
    routes_unref,
)
from fastroute.ext.routing.rule cimport PATH_PREFIX, Match, rule_unref

from fuzz.input cimport Input
from fuzz.search cimport search
from fuzz.world cimport SOCKETS, World, world_read


cdef int add_group(World *world, Listener *listener, uint32_t home, Slice hostname, bint calls) except -1:
    """The group of all rules of a listener with this hostname, for calls or for all requests, unless it exists."""
    cdef HostTable *groups = groups_of(listener, calls)
    cdef Group *group
    cdef uint32_t i, k
    if hosts_get(groups, hostname) != NULL:
        return 0
    group = group_new(hostname, world.rules_count)
    for i in range(world.rules_count):
        if world.homes[i] == home and world.rules[i].calls == calls and slices_equal(&world.hostnames[i], &hostname):
            group_take(group, &world.rules[i])
            for k in range(world.rules[i].matches_count):
                while group_widen(group, &world.matches[i][k]):
                    pass
                group_add(group, &world.matches[i][k])
    hosts_put(groups, group.hostname, &group.grave)
    group_unref(group)
    return 0


cdef Routes *build(World *world) except NULL:
    cdef Routes *routes = routes_new(SOCKETS)
    cdef Slice label = Slice(b"x", 1)
    cdef Listener *listener
    cdef uint32_t home, i
    for home in range(world.listeners_count):
        listener = listener_new(label, label, world.listeners[home].hostname, <uint16_t> (home + 1), NULL, MODE_HTTP)
        for i in range(world.rules_count):
            if world.homes[i] == home:
                add_group(world, listener, home, world.hostnames[i], world.rules[i].calls)
        routes_put(routes, world.listeners[home].socket, listener)
        listener_unref(listener)
    return routes


cdef void take_down(World *world, Routes *routes) noexcept nogil:
    cdef uint32_t i
    routes_unref(routes)
    for i in range(world.rules_count):
        rule_unref(&world.rules[i])
    while collect_for(1000):
        pass


cdef uint32_t room_for(const World *world) noexcept nogil:
    """Exactly what facts_room promises to suffice."""
    cdef HeadLimits limits = HeadLimits(0, 0, world.message.fields_count, False, False)
    cdef uint32_t i
    limits.target = world.message.path.size + world.message.query.size + 1
    for i in range(world.message.fields_count):
        limits.head += world.message.fields[i].name.size + world.message.fields[i].value.size + 4
    return facts_room(&limits)


cdef const char *compare(const World *world, const Decision *decision) noexcept nogil:
    cdef uint32_t listener
    cdef const Match *match = search(world, &listener)
    if decision.reason == REASON_OVERLOADED:
        return b"facts_room is too small"
    if (decision.reason == REASON_NO_LISTENER) != (listener == world.listeners_count):
        return b"the listener differs"
    if decision.listener is not NULL and decision.listener_port != listener + 1:
        return b"the listener differs"
    if (match is NULL) != (decision.rule is NULL):
        return b"only one of tables and search finds a rule"
    if match is NULL:
        return NULL
    if decision.rule is not match.rule or decision.match != match.index:
        return b"the rule or match differs"
    if decision.prefix != (match.path.size if match.path_type == PATH_PREFIX else 0):
        return b"the prefix differs"
    return NULL


cdef const char *fuzz_routes(const uint8_t *data, size_t size) noexcept nogil:
    cdef Input input = Input(data, data + size)
    cdef World *world = <World *> malloc(sizeof(World))
    cdef Routes *routes
    cdef Decision decision
    cdef Arena arena
    cdef const char *broken
    world_read(world, &input)
    with gil:
        routes = build(world)
    arena.size = room_for(world)
    arena.used = 0
    arena.base = <char *> malloc(arena.size)
    find_rule(routes, world.socket, NULL, &world.message, &arena, &decision)
    broken = compare(world, &decision)
    take_down(world, routes)
    free(arena.base)
    free(world)
    return broken
