"""Connections to endpoints and their pools; see upstream.pxd."""

from libc.errno cimport EAGAIN, EINPROGRESS, EINTR, EMFILE, ENFILE, errno
from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memset
from posix.unistd cimport close

from fastroute.ext.http1.head cimport Head
from fastroute.ext.memory.buffer cimport buffer_free
from fastroute.ext.message.message cimport METHOD_HEAD
from fastroute.ext.reactor.connection cimport (
    CHUNK, SIDE_UPSTREAM, STATE_ACTIVE, STATE_CONNECTING, STATE_POOLED, slab_at, slab_take,
)
from fastroute.ext.reactor.counters cimport FIXED_UPSTREAM_ACTIVE, FIXED_UPSTREAM_IDLE, gauge_add
from fastroute.ext.reactor.inet cimport (
    AF_INET, IPPROTO_TCP, MSG_DONTWAIT, MSG_PEEK, SEND_BUFFER, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM, SOL_SOCKET,
    SO_ERROR, SO_KEEPALIVE, SO_SNDBUF, TCP_NODELAY, connect, getsockopt, htons, recv, setsockopt, sockaddr,
    sockaddr_in, sockaddr_in6, sockaddr_storage, socket,
)
from fastroute.ext.reactor.reactor cimport close_connection, set_deadline, watch
from fastroute.ext.routing.balancer cimport endpoint_failed
from fastroute.ext.routing.tables cimport endpoint_ref, endpoint_unref

cdef enum:
    SPARE = 16          # idle connections that are closed if no file descriptor is left


cdef uint32_t socket_address(const Endpoint *endpoint, sockaddr_storage *address) noexcept nogil:
    """Fills in the socket address of an endpoint; returns its size."""
    cdef sockaddr_in *four = <sockaddr_in *> address
    cdef sockaddr_in6 *six = <sockaddr_in6 *> address
    memset(address, 0, sizeof(sockaddr_storage))
    if endpoint.family == AF_INET:
        four.sin_family = endpoint.family
        four.sin_port = htons(endpoint.port)
        memcpy(&four.sin_addr, endpoint.address, 4)
        return sizeof(sockaddr_in)
    six.sin6_family = endpoint.family
    six.sin6_port = htons(endpoint.port)
    memcpy(&six.sin6_addr, endpoint.address, 16)
    return sizeof(sockaddr_in6)


cdef void close_idle(Reactor r) noexcept nogil:
    """Closes up to SPARE idle connections, of any endpoints."""
    cdef uint32_t end = r.pooled - SPARE if r.pooled > <uint32_t> SPARE else 0
    cdef Connection *u
    cdef uint32_t i
    for i in range(1, r.slab.chunks_count * CHUNK):
        if r.pooled == end:
            return
        u = slab_at(&r.slab, i)
        if u.state == STATE_POOLED:
            upstream_close(r, u)


cdef int open_socket(Reactor r, uint16_t family) noexcept nogil:
    """Returns -1 if there is no file descriptor, even without idle connections."""
    cdef int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
    if fd < 0 and r.pooled and (errno == EMFILE or errno == ENFILE):
        close_idle(r)
        fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)
    if fd < 0:
        r.connect_shortage.count += 1
        r.connect_shortage.error = errno
    return fd


cdef Connection *upstream_connect(Reactor r, Endpoint *endpoint) noexcept nogil:
    cdef sockaddr_storage address
    cdef uint32_t size = socket_address(endpoint, &address)
    cdef int on = 1
    cdef int most_sent = SEND_BUFFER
    cdef int fd = open_socket(r, endpoint.family)
    cdef Connection *u
    cdef int failed
    if fd < 0:
        return NULL
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(int))
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(int))
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &most_sent, sizeof(int))
    failed = connect(fd, <sockaddr *> &address, size)
    if failed and errno != EINPROGRESS and errno != EINTR:
        endpoint_failed(endpoint, r.milliseconds, &r.random)
        close(fd)
        return NULL
    u = slab_take(&r.slab)
    if u is NULL:
        close(fd)
        return NULL
    u.fd = fd
    u.side = SIDE_UPSTREAM
    u.state = STATE_CONNECTING if failed else STATE_ACTIVE
    u.writable = not failed
    if watch(r, u) < 0:
        close_connection(r, u)
        return NULL
    u.started = r.now
    u.endpoint = endpoint
    endpoint_ref(endpoint)
    endpoint.connections += 1
    r.upstream_connections += 1
    gauge_add(r.counters, FIXED_UPSTREAM_ACTIVE, 1)
    return u


cdef int upstream_connected(Reactor r, Connection *u) noexcept nogil:
    cdef int error = 0
    cdef uint32_t size = sizeof(int)
    if not u.writable and not u.failed:
        return 0
    if getsockopt(u.fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 or error != 0 or not u.writable:
        return -1
    u.state = STATE_ACTIVE
    return 1


cdef void leave_pool(Reactor r, Connection *u) noexcept nogil:
    cdef Endpoint *endpoint = u.endpoint
    if u.previous != 0:
        slab_at(&r.slab, u.previous).next = u.next
    else:
        endpoint.idle_head = u.next
    if u.next != 0:
        slab_at(&r.slab, u.next).previous = u.previous
    u.next = u.previous = 0
    endpoint.idle_count -= 1
    r.pooled -= 1
    u.state = STATE_ACTIVE
    gauge_add(r.counters, FIXED_UPSTREAM_IDLE, -1)
    gauge_add(r.counters, FIXED_UPSTREAM_ACTIVE, 1)


cdef bint upstream_is_quiet(const Connection *u) noexcept nogil:
    cdef char byte
    return recv(u.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 and errno == EAGAIN


cdef Connection *upstream_reuse(Reactor r, Endpoint *endpoint, uint8_t method, bint certainly) noexcept nogil:
    cdef Connection *u
    cdef uint32_t index = endpoint.idle_head
    while index != 0:
        u = slab_at(&r.slab, index)
        index = u.next
        if u.held > r.milliseconds and method != METHOD_HEAD:
            continue
        leave_pool(r, u)
        if (not certainly and u.held == 0) or upstream_is_quiet(u):
            return u
        upstream_close(r, u)
    return NULL


cdef void upstream_note(Reactor r, Connection *u, const Head *head) noexcept nogil:
    u.held = 0
    if head.withheld:
        u.held = r.milliseconds + (0 if head.message.status == 304 else HELD_TIME)


cdef void upstream_release(Reactor r, Connection *u) noexcept nogil:
    cdef Endpoint *endpoint = u.endpoint
    if u.readable and upstream_is_quiet(u):
        u.readable = False
    if endpoint.gone or r.draining or u.readable or u.ended or u.failed \
            or endpoint.idle_count >= <uint32_t> (HELD_MOST if u.held > r.milliseconds else POOL_MOST):
        upstream_close(r, u)
        return
    buffer_free(&u.input)       # only bytes of this answer, with which the next one must not begin
    u.owner = 0
    u.requests += 1
    u.state = STATE_POOLED
    u.previous = 0
    u.next = endpoint.idle_head
    if u.next != 0:
        slab_at(&r.slab, u.next).previous = u.index
    endpoint.idle_head = u.index
    endpoint.idle_count += 1
    r.pooled += 1
    gauge_add(r.counters, FIXED_UPSTREAM_ACTIVE, -1)
    gauge_add(r.counters, FIXED_UPSTREAM_IDLE, 1)
    set_deadline(r, u, r.milliseconds + r.times.upstream_idle)


cdef void upstream_close(Reactor r, Connection *u) noexcept nogil:
    cdef Endpoint *endpoint = u.endpoint
    if u.state == STATE_POOLED:
        leave_pool(r, u)
    endpoint.connections -= 1
    endpoint_unref(endpoint)
    r.upstream_connections -= 1
    gauge_add(r.counters, FIXED_UPSTREAM_ACTIVE, -1)
    close_connection(r, u)


cdef void upstream_forget(Reactor r, Endpoint *endpoint) noexcept nogil:
    while endpoint.idle_head != 0:
        upstream_close(r, slab_at(&r.slab, endpoint.idle_head))
