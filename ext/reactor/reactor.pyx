"""The state of one engine, its clock, and its sockets; see reactor.pxd.

Sockets of traffic are watched edge-triggered for their whole life: one epoll_ctl per connection, none per request.
`readable` and `writable` of a Connection record the edges. A short read or write shows that the edge is used up, except
for a short read after a FIN or an error: one more read finds the end. A read also ends at the mark of urgent data, so
after an event about them (EPOLLPRI) only EAGAIN shows that. Urgent data are read as all other bytes (RFC 6093 section 6).

TLS and streams are below `receive` and `transmit` (Layer). With them, `readable` is also set if bytes have been
received but not used yet.
"""

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec
from posix.unistd cimport close

from fastroute.ext.memory.buffer cimport buffer_append, buffer_bytes, buffer_consume, buffer_free, buffer_size
from fastroute.ext.memory.clock cimport microseconds_now
from fastroute.ext.memory.entropy cimport entropy_close
from fastroute.ext.message.forwarded cimport trusted_proxies_free
from fastroute.ext.reactor.clients cimport clients_free, clients_leave
from fastroute.ext.reactor.connection cimport (
    LAYER_SOCKET, LAYER_STREAM, LAYERS, handle_of, slab_at, slab_bury, slab_find, slab_free, slab_take,
)
from fastroute.ext.reactor.epoll cimport (
    EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLLET, EPOLLIN, EPOLLOUT, EPOLLPRI, EPOLLRDHUP, epoll_ctl, epoll_event,
)
from fastroute.ext.reactor.exchange cimport exchanges_free
from fastroute.ext.reactor.failures cimport failures_free
from fastroute.ext.reactor.flow cimport flows_free
from fastroute.ext.reactor.inet cimport (
    MSG_DONTWAIT, MSG_MORE, MSG_NOSIGNAL, MSG_PEEK, MSG_TRUNC, SHUT_WR, SIOCOUTQ, SO_LINGER, SO_OOBINLINE, SOL_SOCKET, ioctl, linger,
    msghdr, recv, send, sendmsg, setsockopt, shutdown,
)
from fastroute.ext.reactor.linked cimport link_of, list_append, list_remove
from fastroute.ext.reactor.order cimport order_add, order_remove
from fastroute.ext.reactor.shares cimport shares_close
from fastroute.ext.reactor.timer cimport timer_remove, timer_set
from fastroute.ext.reactor.waiting cimport waiting_close
from fastroute.ext.routing.tables cimport rule_unref
from fastroute.ext.tls.tls cimport pipe_free

cdef enum:
    HURRY = 1               # milliseconds without waits after trio got work

cdef uint32_t[5] EVENTS         # by Interest
EVENTS[:] = [0, EPOLLIN, EPOLLIN | EPOLLET, EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET,
             EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET]

cdef Layer[<int> LAYERS] _layers


cdef class Reactor:

    def __cinit__(self):
        self.epoll = -1
        self.timer = -1
        self.date_second = -1

    def __dealloc__(self):
        if self.timer >= 0:
            close(self.timer)
        if self.epoll >= 0:
            close(self.epoll)
        slab_free(&self.slab)
        exchanges_free(&self.spare)
        clients_free(&self.clients)
        flows_free(&self.flows)
        failures_free(&self.failures)
        trusted_proxies_free(self.trusted)
        entropy_close(self.entropy)
        pipe_free(&self.pipe)
        free(self.sweep.held)
        waiting_close(&self.waiting)
        shares_close(&self.mirrors)
        free(self.sealed)
        free(self.record)
        free(self.scratch)
        free(self.outgoing)
        free(self.arena.base)
        free(self.copies.arena.base)
        free(self.upstreams_of)
        free(self.resting_of)
        free(self.sockets)
        free(self.greetings)
        free(self.listeners)


cdef void read_clock(Reactor r) noexcept nogil:
    if r.held == 0:
        r.now = microseconds_now()
    else:
        r.held += r.look
        r.now = r.held
    r.milliseconds = r.now // MILLISECOND


cdef bint turn_is_over(Reactor r) noexcept nogil:
    read_clock(r)
    return r.now - r.begun > BUDGET


cdef void hurry(Reactor r) noexcept nogil:
    read_clock(r)
    r.hurried = r.milliseconds + HURRY


cdef void read_wall_clock(Reactor r) noexcept nogil:
    cdef timespec time
    clock_gettime(CLOCK_REALTIME, &time)
    r.wall = <int64_t> time.tv_sec * 1000000 + time.tv_nsec // 1000 - <int64_t> r.now


# --- the layers


cdef Layer *layer_at(uint8_t kind) noexcept nogil:
    return &_layers[kind]


cdef long receive(Reactor r, Connection *c, char *into, uint32_t room) noexcept nogil:
    return receive_sealed(r, c, into, room) if c.layer == LAYER_SOCKET else _layers[c.layer].receive(r, c, into, room)


cdef int transmit(Reactor r, Connection *c, iovec *parts, int count) noexcept nogil:
    return (transmit_sealed(r, c, parts, count) if c.layer == LAYER_SOCKET
            else _layers[c.layer].transmit(r, c, parts, count))


cdef int put(Reactor r, Connection *c, const char *data, uint32_t size) noexcept nogil:
    return _layers[c.layer].put(r, c, data, size)


cdef int flush(Reactor r, Connection *c) noexcept nogil:
    return flush_sealed(r, c) if c.layer == LAYER_SOCKET else _layers[c.layer].flush(r, c)


cdef uint32_t untaken(Reactor r, const Connection *c) noexcept nogil:
    return _layers[c.layer].untaken(r, c)


cdef bint is_quiet(Reactor r, Connection *c) noexcept nogil:
    return _layers[c.layer].is_quiet(r, c)


cdef bint say_end(Reactor r, Connection *c) noexcept nogil:
    return c.layer == LAYER_SOCKET or _layers[c.layer].say_end(r, c)


cdef bint end_writing(Reactor r, Connection *c) noexcept nogil:
    if not say_end(r, c):
        return False
    _layers[c.layer].half_close(r, c)
    return True


cdef void break_down(Reactor r, Connection *c) noexcept nogil:
    _layers[c.layer].break_down(r, c)
    c.failed = True


# --- a socket


cdef long receive_sealed(Reactor r, Connection *c, char *into, uint32_t room) noexcept nogil:
    return take(c, into, room, 0)


cdef long skip(Connection *c, uint32_t room) noexcept nogil:
    return take(c, NULL, room, MSG_TRUNC)


cdef long take(Connection *c, char *into, uint32_t room, int flags) noexcept nogil:
    cdef ssize_t size
    while True:
        size = recv(c.fd, into, room, flags)
        if size > 0:
            if size < room and not c.ended and not c.failed and not c.urgent:
                c.readable = False
            return size
        if size == 0:
            c.ended = True
            c.readable = False
            return -1
        if errno == EINTR:
            continue
        c.readable = False
        if errno == EAGAIN:
            c.urgent = False
            return 0
        c.failed = True
        return -2


cdef void note_urgent(Connection *c) noexcept nogil:
    cdef int on = 1
    c.urgent = True
    setsockopt(c.fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(int))


cdef ssize_t send_parts(Connection *c, iovec *parts, int count) noexcept nogil:
    """One system call. Returns the number of bytes accepted (0: none now), or -1 if the connection is broken."""
    cdef msghdr message
    cdef ssize_t size
    cdef int flags = MSG_NOSIGNAL | MSG_MORE if c.ending else MSG_NOSIGNAL
    while True:
        if count == 1:
            size = send(c.fd, parts[0].iov_base, parts[0].iov_len, flags)
        else:
            memset(&message, 0, sizeof(msghdr))
            message.msg_iov = parts
            message.msg_iovlen = count
            size = sendmsg(c.fd, &message, flags)
        if size >= 0:
            return size
        if errno == EINTR:
            continue
        if errno == EAGAIN:
            return 0
        c.failed = True
        return -1


cdef int transmit_sealed(Reactor r, Connection *c, iovec *parts, int count) noexcept nogil:
    cdef ssize_t size = 0
    cdef int i
    if c.writable and buffer_size(&c.output) != 0 and flush_sealed(r, c) < 0:
        return -1
    if c.writable and buffer_size(&c.output) == 0:
        size = send_parts(c, parts, count)
        if size < 0:
            return -1
    for i in range(count):
        if <size_t> size >= parts[i].iov_len:
            size -= parts[i].iov_len
            continue
        await_room(r, c)
        if buffer_append(&c.output, <char *> parts[i].iov_base + size, parts[i].iov_len - size) < 0:
            return -1
        size = 0
    return 0


cdef void await_room(Reactor r, Connection *c) noexcept nogil:
    """The kernel does not accept more bytes now. Most connections of clients never need the events of EPOLLOUT, so epoll
    reports them only from then on: the first one would come at once, without meaning."""
    c.writable = False
    if not c.watched:
        c.watched = True
        watch(r, c, INTEREST_TRAFFIC)


cdef int flush_sealed(Reactor r, Connection *c) noexcept nogil:
    cdef iovec part
    cdef ssize_t size
    part.iov_base = buffer_bytes(&c.output)
    part.iov_len = buffer_size(&c.output)
    if part.iov_len == 0:
        return 0
    size = send_parts(c, &part, 1)
    if size < 0:
        return -1
    if <size_t> size < part.iov_len:
        await_room(r, c)
    buffer_consume(&c.output, size)
    return 0


cdef int put_sealed(Reactor r, Connection *c, const char *data, uint32_t size) noexcept nogil:
    return buffer_append(&c.output, data, size)


cdef uint32_t untaken_sealed(Reactor r, const Connection *c) noexcept nogil:
    cdef int size = 0
    return <uint32_t> size if ioctl(c.fd, SIOCOUTQ, &size) == 0 and size > 0 else 0


cdef bint is_quiet_sealed(Reactor r, Connection *c) noexcept nogil:
    cdef char byte
    return recv(c.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 and errno == EAGAIN


cdef bint has_ended(const Connection *c) noexcept nogil:
    cdef char byte
    cdef ssize_t size = recv(c.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT)
    return size == 0 or (size < 0 and errno != EAGAIN)


cdef bint say_end_sealed(Reactor r, Connection *c) noexcept nogil:
    return True


cdef void half_close_sealed(Reactor r, Connection *c) noexcept nogil:
    shutdown(c.fd, SHUT_WR)


cdef void break_down_sealed(Reactor r, Connection *c) noexcept nogil:
    cdef linger abruptly
    abruptly.l_onoff = 1
    abruptly.l_linger = 0
    setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &abruptly, sizeof(linger))


cdef void forget_sealed(Reactor r, Connection *c) noexcept nogil:
    pass


_layers[<int> LAYER_SOCKET] = Layer(
    receive=receive_sealed, transmit=transmit_sealed, put=put_sealed, flush=flush_sealed, untaken=untaken_sealed,
    is_quiet=is_quiet_sealed, say_end=say_end_sealed, half_close=half_close_sealed, break_down=break_down_sealed,
    forget=forget_sealed,
)


# --- the ready list, deadlines, the end


cdef Connection *carrier(Reactor r, const Connection *c) noexcept nogil:
    """The parent of a stream; NULL if it is no stream, or the parent has ended."""
    return slab_find(&r.slab, c.stream.parent) if c.layer == LAYER_STREAM else NULL


cdef void queue(Reactor r, Connection *c) noexcept nogil:
    cdef Connection *parent
    if c.queued:
        return
    parent = carrier(r, c)
    if parent is NULL:
        order_add(&r.order, &r.slab, c, r.now)
        return
    c.queued = True
    list_append(&r.slab, &parent.parent.ready, c, link_of)
    if not parent.queued:
        order_add(&r.order, &r.slab, parent, r.now)


cdef void dequeue(Reactor r, Connection *c) noexcept nogil:
    cdef Connection *parent
    if not c.queued:
        return
    parent = carrier(r, c)
    if parent is NULL:
        order_remove(&r.order, &r.slab, c)
        return
    list_remove(&r.slab, &parent.parent.ready, c, link_of)
    c.queued = False


cdef Connection *unqueue(Reactor r, Connection *parent) noexcept nogil:
    cdef Connection *s
    if parent.parent.ready.first == 0:
        return NULL
    s = slab_at(&r.slab, parent.parent.ready.first)
    list_remove(&r.slab, &parent.parent.ready, s, link_of)
    s.queued = False
    return s


cdef void note_payer(Reactor r, Connection *c, uint16_t payer) noexcept nogil:
    cdef Connection *parent = carrier(r, c)
    c.payer = payer
    if parent is not NULL:
        parent.payer = payer


cdef int control(Reactor r, int operation, const Connection *c, Interest interest) noexcept nogil:
    cdef epoll_event event
    event.events = EVENTS[<int> interest]
    event.data.u64 = handle_of(c)
    return epoll_ctl(r.epoll, operation, c.fd, &event)


cdef Connection *open_connection(Reactor r, int fd, uint8_t side, Interest interest) noexcept nogil:
    cdef Connection *c = slab_take(&r.slab)
    if c is NULL:
        return NULL
    c.fd = fd
    c.side = side
    c.watched = interest != INTEREST_CLIENT
    if interest != INTEREST_NONE and control(r, EPOLL_CTL_ADD, c, interest) < 0:
        c.fd = -1
        slab_bury(&r.slab, c)
        return NULL
    return c


cdef void watch(Reactor r, const Connection *c, Interest interest) noexcept nogil:
    control(r, EPOLL_CTL_MOD, c, interest)


cdef void unwatch(Reactor r, const Connection *c) noexcept nogil:
    control(r, EPOLL_CTL_DEL, c, INTEREST_NONE)


cdef void set_deadline(Reactor r, Connection *c, uint64_t milliseconds) noexcept nogil:
    timer_set(&r.wheel, &r.slab, c, milliseconds)


cdef void close_connection(Reactor r, Connection *c) noexcept nogil:
    dequeue(r, c)
    timer_remove(&r.wheel, &r.slab, c)
    if c.counted:
        clients_leave(&r.clients, c.peer.family, c.peer.address)
    if c.rule is not NULL:
        rule_unref(c.rule)
    if c.layer != LAYER_SOCKET:
        _layers[c.layer].forget(r, c)
    buffer_free(&c.input)
    buffer_free(&c.output)
    buffer_free(&c.frames.section)
    if c.fd >= 0:
        close(c.fd)
        c.fd = -1
    slab_bury(&r.slab, c)
