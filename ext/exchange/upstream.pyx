"""Connections to endpoints and their pools; see upstream.pxd."""

from libc.errno cimport EADDRNOTAVAIL, EINPROGRESS, EINTR, EMFILE, ENFILE, errno
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memset
from posix.unistd cimport close

from fastroute.ext.exchange.fault cimport note_fault, note_faults
from fastroute.ext.exchange.idle cimport idle_is_usable, idle_stays, idle_takes
from fastroute.ext.exchange.localport cimport connect_to_endpoint, ports_are_scarce
from fastroute.ext.exchange.proxy_protocol cimport PREFACE_WRITTEN, write_preface
from fastroute.ext.memory.address cimport AF_INET, AF_INET6
from fastroute.ext.memory.buffer cimport buffer_free
from fastroute.ext.memory.list cimport Link
from fastroute.ext.message.forwarded cimport Peer, peer_set
from fastroute.ext.message.message cimport BODY_LENGTH, BODY_NONE
from fastroute.ext.message.protocol cimport PROTOCOL_RAW, has_streams
from fastroute.ext.reactor.connection cimport (
    LAYER_SEALING, LAYER_STREAM, LAYER_TLS, SIDE_UPSTREAM, STATE_ACTIVE, STATE_CONNECTING, STATE_PARENT, STATE_POOLED,
    slab_at, slab_find,
)
from fastroute.ext.reactor.counters cimport FIXED_UPSTREAM_ACTIVE, gauge_add
from fastroute.ext.reactor.encryption cimport end_tls
from fastroute.ext.reactor.inet cimport (
    IPPROTO_TCP, MSG_NOSIGNAL, SEND_BUFFER, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM, SOL_SOCKET, SO_ERROR, SO_KEEPALIVE,
    SO_SNDBUF, TCP_NODELAY, getsockname, getsockopt, ntohs, send, setsockopt, sockaddr, sockaddr_in, sockaddr_in6,
    sockaddr_storage, socket,
)
from fastroute.ext.reactor.linked cimport link_of, list_append, list_remove
from fastroute.ext.reactor.parent cimport parent_begin, parent_has_room, protocol_at
from fastroute.ext.reactor.reactor cimport (
    INTEREST_TRAFFIC, close_connection, dequeue, end_writing, has_ended, open_connection, set_deadline,
)
from fastroute.ext.reactor.resting cimport resting_add, resting_oldest, resting_oldest_of, resting_remove
from fastroute.ext.reactor.sealing cimport sealing_advance, sealing_begin
from fastroute.ext.reactor.stream cimport parent_of, stream_open, streams_end
from fastroute.ext.routing.balancer cimport endpoint_failed
from fastroute.ext.routing.endpoint cimport IdlePool
from fastroute.ext.routing.poolkey cimport key_ref, key_unref
from fastroute.ext.routing.pools cimport pool_of
from fastroute.ext.routing.tables cimport endpoint_ref, endpoint_unref

cdef enum:
    GREED = 8           # connections that a namespace may have for each free descriptor
    SPARE = 16          # idle connections that are closed if no descriptor is left
    KEPT_ALIVE = 7200000    # milliseconds without traffic after which the kernel looks (tcp_keepalive_time, if not changed)
    UNUSABLE_MOST = 16  # unusable connections that a request closes
    PARENTS_MOST = 256  # connections that carry streams, to one endpoint and with one key
    FORGOTTEN = 16      # connections that no backend may use and that a turn closes


cdef bint has_share(Reactor r, uint16_t payer) noexcept nogil:
    """Whether the namespace may have one more connection. Flows use at most half of the descriptors (share_descriptors)."""
    cdef int64_t left = <int64_t> r.max_upstreams - r.upstream_connections - r.flows.open - r.listeners_count
    return <int64_t> r.upstreams_of[payer] < left * GREED


cdef bint makes_room(Reactor r, uint16_t payer) noexcept nogil:
    """Closes idle connections of a namespace that has its share. Whether it may have one more connection then."""
    cdef Connection *u
    cdef int _
    for _ in range(SPARE):
        if has_share(r, payer):
            return True
        u = resting_oldest_of(r, payer)
        if u is NULL:
            return False
        upstream_close(r, u)
    return has_share(r, payer)


cdef void close_idle(Reactor r) noexcept nogil:
    """Closes the oldest idle connections, up to SPARE."""
    cdef Connection *u
    cdef int _
    for _ in range(SPARE):
        u = resting_oldest(r)
        if u is NULL:
            return
        upstream_close(r, u)


cdef int new_socket(uint16_t family) noexcept nogil:
    """The negative errno if the kernel has none."""
    cdef int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
    return fd if fd >= 0 else -errno


cdef int open_socket(Reactor r, uint16_t family, uint16_t payer) noexcept nogil:
    """-1: no descriptor. A namespace that has its share closes idle connections of its own; if the kernel has none left,
    the oldest idle connections of all are closed."""
    cdef int fd
    if not makes_room(r, payer):
        r.share_shortage.count += 1
        r.share_shortage.error = EMFILE
        return -1
    fd = new_socket(family)
    if r.pooled and (fd == -EMFILE or fd == -ENFILE):
        close_idle(r)
        fd = new_socket(family)
    if fd < 0:
        note_shortage(r, -fd)
        return -1
    return fd


cdef void note_shortage(Reactor r, int error) noexcept nogil:
    r.connect_shortage.count += 1
    r.connect_shortage.error = error


cdef void charge(Reactor r, Connection *u, uint16_t payer) noexcept nogil:
    r.upstreams_of[u.payer] -= 1
    u.payer = payer
    r.upstreams_of[payer] += 1


cdef void tune(int fd, bint watched) noexcept nogil:
    """`watched`: the kernel finds out whether a peer that says nothing is alive."""
    cdef int on = 1
    cdef int most_sent = SEND_BUFFER
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(int))
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &most_sent, sizeof(int))
    if watched:
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(int))


cdef void upstream_tune(Connection *u) noexcept nogil:
    u.untuned = False
    tune(u.fd, False)


cdef bint is_tuned_later(Reactor r, const PoolKey *key) noexcept nogil:
    """Whether its options are set before the second write. Then the limit of the time without traffic comes before the
    kernel would look whether the peer is alive."""
    return (key.protocol == PROTOCOL_RAW and key.verification is NULL and not key.announces
            and r.times.tunnel_idle < KEPT_ALIVE)


cdef Connection *connect_socket(Reactor r, Endpoint *endpoint, PoolKey *key, uint16_t payer,
                                Obstacle *obstacle) noexcept nogil:
    """Starts a connection of its own. Like upstream_connect."""
    cdef int fd = open_socket(r, endpoint.family, payer)
    cdef Connection *u
    cdef bint later = is_tuned_later(r, key)
    cdef int failed
    if fd < 0:
        obstacle[0] = OBSTACLE_DESCRIPTOR
        return NULL
    if not later:
        tune(fd, True)
    failed = connect_to_endpoint(r, fd, endpoint)
    if failed and errno != EINPROGRESS and errno != EINTR:
        if errno == EADDRNOTAVAIL and (endpoint.family == AF_INET or ports_are_scarce(r)):
            note_shortage(r, errno)
            obstacle[0] = OBSTACLE_ROOM
        else:
            endpoint_failed(endpoint, r.milliseconds, &r.random)
            obstacle[0] = OBSTACLE_ENDPOINT
        close(fd)
        return NULL
    u = open_connection(r, fd, SIDE_UPSTREAM, INTEREST_TRAFFIC)
    if u is NULL:
        obstacle[0] = OBSTACLE_DESCRIPTOR
        close(fd)
        return NULL
    u.state = STATE_CONNECTING if failed or key.verification is not NULL or key.announces else STATE_ACTIVE
    u.writable = not failed
    u.untuned = later
    if key.verification is not NULL:
        sealing_begin(u)
    u.payer = payer
    u.started = r.now
    u.protocol = upstream_speaks(key)
    u.endpoint = endpoint
    endpoint_ref(endpoint)
    u.key = key
    key_ref(key)
    r.upstream_connections += 1
    r.upstreams_of[payer] += 1
    gauge_add(r.counters, FIXED_UPSTREAM_ACTIVE, 1)
    return u


cdef uint8_t upstream_speaks(const PoolKey *key) noexcept nogil:
    return protocol_at(key.protocol).messages if has_streams(key.protocol) else key.protocol


cdef Connection *upstream_connect(Reactor r, Endpoint *endpoint, PoolKey *key, uint16_t payer,
                                  Obstacle *obstacle) noexcept nogil:
    obstacle[0] = OBSTACLE_ROOM
    if has_streams(key.protocol):
        return stream_to(r, endpoint, key, any_parent(r, endpoint, key, payer, obstacle), obstacle)
    return connect_socket(r, endpoint, key, payer, obstacle)


cdef bint is_open(Reactor r, Connection *p) noexcept nogil:
    """Whether the peer has not closed the connection. Asks the kernel once per turn: many streams may begin in one."""
    if p.parent.open_in == r.turn:
        return True
    if has_ended(p):
        return False
    p.parent.open_in = r.turn
    return True


cdef Connection *find_parent(Reactor r, const Endpoint *endpoint, const PoolKey *key, uint8_t state,
                             bint certainly) noexcept nogil:
    """A parent in that state with room for another stream; NULL if there is none. Like upstream_reuse."""
    cdef uint32_t index = endpoint.parents.last      # the newest first
    cdef Connection *p
    while index != 0:
        p = slab_at(&r.slab, index)
        index = p.parent.sibling.before
        if p.key == key and p.state == state and parent_has_room(p) and (not certainly or is_open(r, p)):
            return p
    return NULL


cdef uint32_t count_parents(Reactor r, const Endpoint *endpoint, const PoolKey *key) noexcept nogil:
    """Those with this key."""
    cdef uint32_t index = endpoint.parents.first
    cdef uint32_t count = 0
    cdef const Connection *p
    while index != 0:
        p = slab_at(&r.slab, index)
        index = p.parent.sibling.after
        count += p.key == key
    return count


cdef Connection *any_parent(Reactor r, Endpoint *endpoint, PoolKey *key, uint16_t payer,
                            Obstacle *obstacle) noexcept nogil:
    """A parent with room, established if possible, or else a new one. Like upstream_connect."""
    cdef Connection *p = find_parent(r, endpoint, key, STATE_PARENT, True)
    if p is NULL:
        p = find_parent(r, endpoint, key, STATE_CONNECTING, False)
    if p is not NULL or count_parents(r, endpoint, key) >= <uint32_t> (PARENTS_MOST if endpoint.streams else 1):
        return p
    p = connect_socket(r, endpoint, key, payer, obstacle)
    if p is NULL:
        return NULL
    if parent_begin(r, p, key.protocol) < 0:
        obstacle[0] = OBSTACLE_DESCRIPTOR
        upstream_close(r, p)
        return NULL
    begin_parent(r, p)
    if p.state == STATE_CONNECTING:
        set_deadline(r, p, r.milliseconds + r.times.connect)
    return p


cdef Connection *stream_to(Reactor r, Endpoint *endpoint, PoolKey *key, Connection *p,
                           Obstacle *obstacle) noexcept nogil:
    """A new stream on the parent, which has room for it; NULL if memory is exhausted, or if `p` is NULL."""
    cdef Connection *u
    if p is NULL:
        return NULL
    u = stream_open(r, p)
    if u is NULL:
        obstacle[0] = OBSTACLE_DESCRIPTOR
        return NULL
    u.started = r.now
    u.endpoint = endpoint
    endpoint_ref(endpoint)
    u.key = key
    key_ref(key)
    return u


cdef inline Link *sibling_link(Connection *p) noexcept nogil:
    return &p.parent.sibling


cdef inline Link *parent_link(Connection *p) noexcept nogil:
    return &p.parent.link


cdef void begin_parent(Reactor r, Connection *p) noexcept nogil:
    """Adds a parent to the list of its endpoint, and to the list of all."""
    list_append(&r.slab, &p.endpoint.parents, p, sibling_link)
    list_append(&r.slab, &r.upstream_parents, p, parent_link)
    p.parent.listed = True


cdef void end_parent(Reactor r, Connection *p) noexcept nogil:
    """Ends the streams of a parent that is about to be closed."""
    if p.state == STATE_CONNECTING:
        note_faults(r, p)
    if p.parent.listed:
        list_remove(&r.slab, &p.endpoint.parents, p, sibling_link)
        list_remove(&r.slab, &r.upstream_parents, p, parent_link)
    streams_end(r, p)


cdef Opening upstream_connected(Reactor r, Connection *u) noexcept nogil:
    cdef int error = 0
    cdef uint32_t size = sizeof(int)
    cdef int sealed
    cdef const Connection *p
    if u.layer == LAYER_STREAM:
        p = parent_of(r, u)
        if p is NULL:
            return OPENING_FAILED
        if p.state == STATE_CONNECTING:
            return OPENING_GOES_ON
        u.state = STATE_ACTIVE
        return OPENING_DONE
    if u.tls is NULL:
        if not u.writable and not u.failed:
            return OPENING_GOES_ON
        if u.failed and (getsockopt(u.fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 or error != 0 or not u.writable):
            return OPENING_FAILED       # epoll reports errors: without one, it is connected
        if u.key.announces and not announce(r, u):
            return OPENING_FAILED
    if u.layer == LAYER_SEALING:
        sealed = sealing_advance(r, u)
        if sealed == 0:
            return OPENING_GOES_ON
        if sealed < 0:
            note_fault(r, u)
            return OPENING_FAILED
    u.state = STATE_ACTIVE
    return OPENING_DONE


cdef bint announce(Reactor r, Connection *u) noexcept nogil:
    """Says who the client is, before TLS and all other bytes: some backends speak first, but not before that. False: the
    connection is broken. A new socket has room for it."""
    cdef const Connection *c = slab_find(&r.slab, u.owner)
    cdef char header[PREFACE_WRITTEN]
    cdef sockaddr_storage own
    cdef const sockaddr_in *four = <const sockaddr_in *> &own
    cdef const sockaddr_in6 *six = <const sockaddr_in6 *> &own
    cdef Peer at
    cdef uint32_t size = sizeof(sockaddr_storage)
    memset(&at, 0, sizeof(Peer))
    if c is not NULL and getsockname(c.fd, <sockaddr *> &own, &size) == 0:
        if own.ss_family == AF_INET6:
            peer_set(&at, r.trusted, AF_INET6, <const uint8_t *> &six.sin6_addr, ntohs(six.sin6_port))
        else:
            peer_set(&at, r.trusted, own.ss_family, <const uint8_t *> &four.sin_addr, ntohs(four.sin_port))
    size = write_preface(header, &c.peer if c is not NULL else &at, at.family, at.address, at.port)
    return send(u.fd, header, size, MSG_NOSIGNAL) == size


cdef void enter_pool(Reactor r, Connection *u, IdlePool *pool) noexcept nogil:
    dequeue(r, u)               # a connection is in one list only; a long handshake may have put it into the ready list
    list_append(&r.slab, &pool.idle, u, link_of)
    pool.count += 1
    u.state = STATE_POOLED
    resting_add(r, u)


cdef void leave_pool(Reactor r, Connection *u) noexcept nogil:
    cdef IdlePool *pool = pool_of(r.upstreams.pools, u.endpoint, u.key)
    list_remove(&r.slab, &pool.idle, u, link_of)
    pool.count -= 1
    u.state = STATE_ACTIVE
    resting_remove(r, u)


cdef Connection *upstream_reuse(Reactor r, Endpoint *endpoint, PoolKey *key, uint8_t method,
                                bint certainly, uint16_t payer) noexcept nogil:
    cdef const IdlePool *pool = pool_of(r.upstreams.pools, endpoint, key)
    cdef uint32_t index = pool.idle.last if pool is not NULL else 0
    cdef uint32_t closed = 0
    cdef Obstacle obstacle
    cdef Connection *u
    if has_streams(key.protocol):
        return stream_to(r, endpoint, key, find_parent(r, endpoint, key, STATE_PARENT, certainly), &obstacle)
    while index != 0 and closed < UNUSABLE_MOST:
        u = slab_at(&r.slab, index)
        index = u.link.before
        if not idle_takes(r, u, method):
            continue
        leave_pool(r, u)
        if idle_is_usable(r, u, certainly):
            charge(r, u, payer)
            return u
        upstream_close(r, u)
        closed += 1
    return NULL


cdef void upstream_note(Reactor r, Connection *u, const Message *message) noexcept nogil:
    u.held = 0
    if message.has_body or message.declared == BODY_NONE:
        return
    if message.declared != BODY_LENGTH or message.content_length != 0:
        u.held = r.milliseconds + (0 if message.status == 304 else HELD_TIME)


cdef void upstream_release(Reactor r, Connection *u) noexcept nogil:
    cdef IdlePool *pool
    if u.layer == LAYER_STREAM:
        end_writing(r, u)
        upstream_close(r, u)
        return
    pool = pool_of(r.upstreams.pools, u.endpoint, u.key)
    if r.draining or u.ended or u.failed or (u.readable and not idle_stays(r, u)) or pool is NULL or pool.listed == 0 \
            or pool.count >= <uint32_t> (HELD_MOST if u.held > r.milliseconds else POOL_MOST):
        upstream_close(r, u)
        return
    buffer_free(&u.input)       # only bytes of this answer, with which the next one must not begin
    buffer_free(&u.frames.section)
    u.owner = 0
    u.requests += 1
    enter_pool(r, u, pool)
    set_deadline(r, u, r.milliseconds + r.times.upstream_idle)


cdef void upstream_close(Reactor r, Connection *u) noexcept nogil:
    cdef Endpoint *endpoint = u.endpoint
    cdef PoolKey *key = u.key       # its TLS must outlive the connection
    if u.state == STATE_POOLED:
        leave_pool(r, u)
    elif u.parent is not NULL:
        end_parent(r, u)
    if u.layer != LAYER_STREAM:
        r.upstream_connections -= 1
        r.upstreams_of[u.payer] -= 1
        gauge_add(r.counters, FIXED_UPSTREAM_ACTIVE, -1)
    if u.layer == LAYER_TLS:
        end_tls(r, u)           # without close_notify, libssl would not resume the session
    close_connection(r, u)
    endpoint_unref(endpoint)
    key_unref(key)


cdef bint upstream_is_listed(Reactor r, const Connection *p) noexcept nogil:
    cdef const IdlePool *pool = pool_of(r.upstreams.pools, p.endpoint, p.key)
    return pool is not NULL and pool.listed != 0


cdef void upstream_forget(Reactor r) noexcept nogil:
    cdef const IdlePool *pool
    for _ in range(FORGOTTEN):
        pool = r.upstreams.pools.first_unused()
        if pool is NULL:
            return
        upstream_close(r, slab_at(&r.slab, pool.idle.first))
