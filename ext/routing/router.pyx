# Finds the rule for a request. A request belongs to the most specific listener of its port, and to no other; within it,
# the most specific hostname group with a rule that accepts the request is used: for a call of gRPC first among the rules
# that take only calls, then among the others.

from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from fastroute.ext.memory.graveyard cimport grave_unref
from fastroute.ext.memory.slice cimport slices_equal
from fastroute.ext.message.grpc cimport CALL_NONE, call_of, grpc_method
from fastroute.ext.message.reason cimport (
    REASON_MISDIRECTED, REASON_NO_LISTENER, REASON_NO_RULE, REASON_NONE, REASON_OVERLOADED,
)
from fastroute.ext.routing.chain cimport filters_share
from fastroute.ext.routing.cors cimport cors_asks_for_call
from fastroute.ext.routing.facts cimport Facts, facts_start
from fastroute.ext.routing.group cimport group_find
from fastroute.ext.routing.hosts cimport (
    HostTable, HostWalk, host_next, hosts_are_empty, hosts_get, hosts_put, hosts_release, hosts_remove, hosts_share,
    hosts_start, walk_start,
)
from fastroute.ext.routing.rule cimport PATH_PREFIX, Match
from fastroute.ext.routing.sampling cimport sampling_unref
from fastroute.ext.tls.secure cimport secure_unref

# --- allocation and release


cdef char *_keep(Slice *kept, Slice text, char *into) noexcept nogil:
    """Copies `text` to `into`; returns the end of the copy."""
    memcpy(into, text.data, text.size)
    kept.data, kept.size = into, text.size
    return into + text.size


cdef Listener *listener_new(Slice gateway, Slice name, Slice hostname, uint16_t spec_port, Secure *secure,
                           uint8_t mode) except NULL:
    cdef Listener *listener = <Listener *> calloc(1, sizeof(Listener) + gateway.size + name.size + hostname.size)
    cdef char *into = <char *> (listener + 1)
    if listener == NULL:
        raise MemoryError
    listener.grave.refs = 1
    listener.grave.dismantle = _dismantle_listener
    listener.spec_port = spec_port
    listener.secure = secure
    listener.mode = mode
    listener.groups_left = True
    into = _keep(&listener.gateway, gateway, into)
    into = _keep(&listener.name, name, into)
    _keep(&listener.hostname, hostname, into)
    hosts_start(&listener.groups)
    hosts_start(&listener.calls)
    return listener


cdef void listener_ref(Listener *listener) noexcept nogil:
    listener.grave.refs += 1


cdef void listener_unref(Listener *listener) noexcept nogil:
    grave_unref(&listener.grave)


cdef bint _dismantle_listener(Grave *grave) noexcept nogil:
    cdef Listener *listener = <Listener *> grave
    if listener.groups_left:
        if not hosts_release(&listener.groups, &grave.cursor):
            return False
        listener.groups_left = False
        grave.cursor = 0
    if not hosts_release(&listener.calls, &grave.cursor):
        return False
    if listener.secure != NULL:
        secure_unref(listener.secure)
    sampling_unref(listener.sampling)
    free(listener)
    return True


cdef Routes *routes_new(uint32_t count) except NULL:
    cdef Routes *routes = <Routes *> calloc(1, sizeof(Routes) + count * sizeof(Site))
    cdef uint32_t i
    if routes == NULL:
        raise MemoryError
    routes.grave.refs = 1
    routes.grave.dismantle = _dismantle_routes
    routes.sites = <Site *> (routes + 1)
    routes.count = count
    for i in range(count):
        hosts_start(&routes.sites[i].listeners)
    return routes


cdef int routes_share(Routes *routes, uint32_t index, const Routes *other) except -1:
    hosts_share(&routes.sites[index].listeners, &other.sites[index].listeners)
    routes.sites[index].listeners_count = other.sites[index].listeners_count
    routes.sites[index].tls_count = other.sites[index].tls_count
    routes.sites[index].named_count = other.sites[index].named_count
    routes.sites[index].raw_count = other.sites[index].raw_count
    return 0


cdef inline bint _takes_tls(const Listener *listener) noexcept nogil:
    return listener.secure != NULL or listener.mode == MODE_PASSTHROUGH


cdef void _count(Site *site, const Listener *listener, int by) noexcept nogil:
    cdef bint passes = listener.mode == MODE_RAW or listener.mode == MODE_PASSTHROUGH
    site.listeners_count += by
    if _takes_tls(listener):
        site.tls_count += by
        site.named_count += by if passes else 0
    elif passes:
        site.raw_count += by


cdef int routes_put(Routes *routes, uint32_t index, Listener *listener) except -1:
    cdef Site *site = &routes.sites[index]
    if hosts_get(&site.listeners, listener.hostname) != NULL:
        return False
    hosts_put(&site.listeners, listener.hostname, &listener.grave)
    _count(site, listener, 1)
    return True


cdef int routes_remove(Routes *routes, uint32_t index, Listener *listener) except -1:
    cdef Site *site = &routes.sites[index]
    if hosts_get(&site.listeners, listener.hostname) == listener:
        hosts_remove(&site.listeners, listener.hostname)
        _count(site, listener, -1)
    return 0


cdef void routes_unref(Routes *routes) noexcept nogil:
    grave_unref(&routes.grave)


cdef bint _dismantle_routes(Grave *grave) noexcept nogil:
    """Goes from the last place to the first; the cursor is the position within a place."""
    cdef Routes *routes = <Routes *> grave
    if routes.count == 0:
        free(routes)
        return True
    if hosts_release(&routes.sites[routes.count - 1].listeners, &grave.cursor):
        routes.count -= 1
        grave.cursor = 0
    return False


# --- lookup


cdef Listener *find_listener(const Routes *routes, uint32_t socket, Slice host) noexcept nogil:
    cdef HostWalk walk
    if socket >= routes.count:
        return NULL
    walk_start(&walk, &routes.sites[socket].listeners, host)
    return <Listener *> host_next(&walk)


cdef bint is_secure(const Routes *routes, uint32_t socket) noexcept nogil:
    return socket < routes.count and routes.sites[socket].tls_count


cdef bint is_named(const Routes *routes, uint32_t socket) noexcept nogil:
    return socket < routes.count and routes.sites[socket].named_count


cdef bint passes_bytes(const Routes *routes, uint32_t socket) noexcept nogil:
    return socket < routes.count and routes.sites[socket].raw_count


cdef Rule *find_route(const Listener *listener, Slice name) noexcept nogil:
    cdef HostWalk walk
    cdef const Group *group
    walk_start(&walk, &listener.groups, name)
    group = <const Group *> host_next(&walk)
    return group.rules[0] if group != NULL else NULL


cdef const Match *search(const HostTable *groups, Slice host, Facts *facts) noexcept nogil:
    """The match that takes the request, of the most specific hostname that has one; NULL if there is none."""
    cdef HostWalk walk
    cdef const Group *group
    cdef const Match *match = NULL
    walk_start(&walk, groups, host)
    while match == NULL and not facts.failed:
        group = <const Group *> host_next(&walk)
        if group == NULL:
            break
        match = group_find(group, facts)
    return match


cdef const Match *find_call(const HostTable *calls, const Message *message, Facts *facts) noexcept nogil:
    """The match of a call of gRPC, or of a preflight before one: only rules that name origins answer that."""
    cdef bint asks = call_of(message) == CALL_NONE
    cdef const Match *match
    if asks and not cors_asks_for_call(message):
        return NULL
    facts.method = grpc_method(message)
    match = search(calls, message.host, facts)
    facts.method = message.method
    return NULL if asks and match != NULL and not filters_share(match.rule.filters) else match


cdef void find_rule(const Routes *routes, uint32_t socket, const Slice *asked, const Message *message, Arena *arena,
                    Decision *decision) noexcept nogil:
    cdef Facts facts
    cdef uint32_t used = arena.used
    cdef Listener *listener = find_listener(routes, socket, message.host)
    cdef Listener *meant
    cdef const Match *match = NULL
    decision.rule = NULL
    decision.listener = NULL
    decision.reason = REASON_NO_LISTENER
    decision.listener_port = 0
    decision.prefix = decision.match = 0
    if listener == NULL or _takes_tls(listener) != (asked != NULL):
        return
    if asked != NULL:
        meant = listener if slices_equal(asked, &message.host) else find_listener(routes, socket, asked[0])
        if meant != listener or listener.mode != MODE_HTTP:
            decision.listener = meant
            decision.reason = REASON_MISDIRECTED
            return
    elif listener.mode != MODE_HTTP:
        return
    decision.listener = listener
    decision.reason = REASON_NO_RULE
    decision.listener_port = listener.spec_port
    facts_start(&facts, message, arena)
    if not hosts_are_empty(&listener.calls):
        match = find_call(&listener.calls, message, &facts)
    if match == NULL:
        match = search(&listener.groups, message.host, &facts)
    arena.used = used
    if facts.failed:
        decision.reason = REASON_OVERLOADED
        return
    if match == NULL:
        return
    decision.rule = match.rule
    decision.reason = REASON_NONE
    decision.match = match.index
    if match.path_type == PATH_PREFIX:
        decision.prefix = match.path.size
