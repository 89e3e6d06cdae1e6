"""The state of one engine, its clock, and its sockets; see reactor.pxd.

Sockets are watched edge-triggered for their whole life: one epoll_ctl per connection, none per request. `readable` and
`writable` of a Connection record the edges. A short read or write shows that the edge is used up, except for a short
read after a FIN or an error: one more read finds the end.

TLS is handled within `receive` and `transmit`: their callers see plaintext, while `output` holds encrypted bytes.
`readable` is also set if bytes have been received but not used yet.
"""

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec
from posix.unistd cimport close

from fastroute.ext.http1.forwarded cimport trusted_proxies_free
from fastroute.ext.memory.buffer cimport buffer_append, buffer_bytes, buffer_consume, buffer_free, buffer_size
from fastroute.ext.memory.clock cimport microseconds_now
from fastroute.ext.memory.entropy cimport entropy_close
from fastroute.ext.reactor.clients cimport clients_leave
from fastroute.ext.reactor.clients cimport clients_free
from fastroute.ext.reactor.connection cimport SIDE_LISTENER, handle_of, slab_at, slab_bury, slab_free
from fastroute.ext.reactor.epoll cimport (
    EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLLET, EPOLLIN, EPOLLOUT, EPOLLRDHUP, epoll_ctl, epoll_event,
)
from fastroute.ext.reactor.exchange cimport exchanges_free
from fastroute.ext.reactor.inet cimport (
    MSG_MORE, MSG_NOSIGNAL, MSG_TRUNC, SHUT_WR, SIOCOUTQ, ioctl, msghdr, recv, send, sendmsg, shutdown,
)
from fastroute.ext.reactor.shares cimport shares_close
from fastroute.ext.reactor.timer cimport timer_remove, timer_set
from fastroute.ext.reactor.waiting cimport waiting_close, waiting_remove
from fastroute.ext.tls.tls cimport (
    PIPE_ROOM, PROGRESS_CLOSED, RECORD, RECORD_ROOM, Tls, pipe_free, tls_close, tls_free, tls_read, tls_write,
)

cdef enum:
    OWED_MOST = 1048576     # unsent bytes above which reading fails the connection: more than any answer puts there


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
        free(self.sockets)
        free(self.listeners)


cdef void read_clock(Reactor r) noexcept nogil:
    if r.held == 0:
        r.now = microseconds_now()
    else:
        r.held += r.look
        r.now = r.held
    r.milliseconds = r.now // MILLISECOND


cdef void read_wall_clock(Reactor r) noexcept nogil:
    cdef timespec time
    clock_gettime(CLOCK_REALTIME, &time)
    r.wall = <int64_t> time.tv_sec * 1000000 + time.tv_nsec // 1000 - <int64_t> r.now


cdef long receive(Reactor r, Connection *c, char *into, uint32_t room) noexcept nogil:
    return receive_sealed(r, c, into, room) if c.tls is NULL else receive_opened(r, c, into, room)


cdef long receive_sealed(Reactor r, Connection *c, char *into, uint32_t room) noexcept nogil:
    return take(c, into, room, 0)


cdef long skip(Connection *c, uint32_t room) noexcept nogil:
    return take(c, NULL, room, MSG_TRUNC)


cdef long take(Connection *c, char *into, uint32_t room, int flags) noexcept nogil:
    cdef ssize_t size
    while True:
        size = recv(c.fd, into, room, flags)
        if size > 0:
            if size < room and not c.ended and not c.failed:
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
            return 0
        c.failed = True
        return -2


cdef long receive_opened(Reactor r, Connection *c, char *into, uint32_t room) noexcept nogil:
    """`receive` with TLS: continues until there is plaintext, or no more input."""
    cdef Tls *tls = c.tls
    cdef long size
    cdef uint32_t held
    while tls.over == 0:
        held = buffer_size(&tls.input)
        r.pipe.input = buffer_bytes(&tls.input)
        r.pipe.input_size = held
        if held == 0 and not tls.more:
            size = receive_sealed(r, c, r.sealed, room if room < SCRATCH else SCRATCH)
            if size <= 0:
                return size
            r.pipe.input = r.sealed
            r.pipe.input_size = <uint32_t> size
        size = tls_read(tls, &r.pipe, into, room)
        if not keep_input(r, tls, held) or ship(r, c) < 0 or buffer_size(&c.output) > OWED_MOST:
            c.failed = True
            return -2
        if buffer_size(&tls.input) or tls.more or tls.over:
            lend_readable(c)
        elif tls.lent:
            tls.lent = False
            c.readable = c.ended or c.failed
        if size > 0:
            return size
        if tls.over == 0 and not c.readable and buffer_size(&tls.input) == 0:
            return 0
    c.readable = False
    if tls.over == PROGRESS_CLOSED:
        c.ended = True
    else:
        c.failed = True
    return tls.over


cdef void lend_readable(Connection *c) noexcept nogil:
    if not c.readable:
        c.readable = c.tls.lent = True


cdef bint keep_input(Reactor r, Tls *tls, uint32_t held) noexcept nogil:
    """Keeps input that libssl did not take for the next read. `held`: bytes kept before. False: out of memory."""
    if held:
        buffer_consume(&tls.input, held - r.pipe.input_size)
        return True
    return buffer_append(&tls.input, r.pipe.input, r.pipe.input_size) == 0


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


cdef int transmit(Reactor r, Connection *c, iovec *parts, int count) noexcept nogil:
    return transmit_sealed(r, c, parts, count) if c.tls is NULL else transmit_opened(r, c, parts, count)


cdef int transmit_opened(Reactor r, Connection *c, iovec *parts, int count) noexcept nogil:
    """`transmit` with TLS: makes records as large as possible, regardless of the sizes of the parts."""
    cdef uint32_t used = 0
    cdef size_t left, piece
    cdef const char *at
    cdef int i
    for i in range(count):
        at = <const char *> parts[i].iov_base
        left = parts[i].iov_len
        while left:
            piece = RECORD - used if left > RECORD - used else left
            if used == 0 and (piece == RECORD or i + 1 == count):
                if seal(r, c, at, <uint32_t> piece) < 0:    # alone in its record: not copied
                    return -1
            else:
                memcpy(r.record + used, at, piece)
                used += <uint32_t> piece
            if used == RECORD:
                if seal(r, c, r.record, used) < 0:
                    return -1
                used = 0
            at += piece
            left -= piece
    if used and seal(r, c, r.record, used) < 0:
        return -1
    return ship(r, c)


cdef int seal(Reactor r, Connection *c, const char *data, uint32_t size) noexcept nogil:
    """Adds one record to the pipe. Returns 0, or -1 if the connection is broken."""
    if PIPE_ROOM - r.pipe.output_size < RECORD_ROOM and ship(r, c) < 0:
        return -1
    if tls_write(c.tls, data, size) < 0:
        r.pipe.output_size = 0
        c.failed = True
        return -1
    return 0


cdef int put(Reactor r, Connection *c, const char *data, uint32_t size) noexcept nogil:
    cdef uint32_t piece
    cdef int kept = 0
    if c.tls is NULL:
        return buffer_append(&c.output, data, size)
    while size and kept == 0:
        piece = size if size < RECORD else RECORD
        kept = tls_write(c.tls, data, piece)
        if kept == 0:
            kept = buffer_append(&c.output, r.pipe.output, r.pipe.output_size)
        r.pipe.output_size = 0
        data += piece
        size -= piece
    return kept


cdef int ship(Reactor r, Connection *c) noexcept nogil:
    cdef iovec part
    part.iov_base = r.pipe.output
    part.iov_len = r.pipe.output_size
    r.pipe.output_size = 0
    return transmit_sealed(r, c, &part, 1) if part.iov_len else 0


cdef void end_tls(Reactor r, Connection *c) noexcept nogil:
    if c.tls is NULL:
        return
    if not c.tls.handshaking and not c.failed:
        c.ending = True
        tls_close(c.tls)
        ship(r, c)
    forget_tls(r, c)


cdef void forget_tls(Reactor r, Connection *c) noexcept nogil:
    if c.tls is not NULL:
        if c.tls.handshaking:
            handshake_leave(r, c)
        tls_free(c.tls)
        c.tls = NULL


cdef void handshake_enter(Reactor r, Connection *c) noexcept nogil:
    c.tls.handshaking = True
    c.tls.before = r.handshakes_last
    if r.handshakes_last:
        slab_at(&r.slab, r.handshakes_last).tls.after = c.index
    else:
        r.handshakes_first = c.index
    r.handshakes_last = c.index
    r.handshakes += 1


cdef void handshake_leave(Reactor r, Connection *c) noexcept nogil:
    if c.grouped:
        waiting_remove(&r.waiting, &r.slab, c)
    r.handshakes_unread -= c.tls.unread
    c.tls.unread = 0
    if c.tls.before:
        slab_at(&r.slab, c.tls.before).tls.after = c.tls.after
    else:
        r.handshakes_first = c.tls.after
    if c.tls.after:
        slab_at(&r.slab, c.tls.after).tls.before = c.tls.before
    else:
        r.handshakes_last = c.tls.before
    c.tls.handshaking = False
    r.handshakes -= 1


cdef int transmit_sealed(Reactor r, Connection *c, iovec *parts, int count) noexcept nogil:
    cdef ssize_t size = 0
    cdef int i
    if c.writable and buffer_size(&c.output) != 0 and flush(r, c) < 0:
        return -1
    if c.writable and buffer_size(&c.output) == 0:
        size = send_parts(c, parts, count)
        if size < 0:
            return -1
    for i in range(count):
        if <size_t> size >= parts[i].iov_len:
            size -= parts[i].iov_len
            continue
        c.writable = False
        if buffer_append(&c.output, <char *> parts[i].iov_base + size, parts[i].iov_len - size) < 0:
            return -1
        size = 0
    return 0


cdef int flush(Reactor r, Connection *c) noexcept nogil:
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
        c.writable = False
    buffer_consume(&c.output, size)
    return 0


cdef uint32_t untaken(const Connection *c) noexcept nogil:
    cdef int size = 0
    return <uint32_t> size if ioctl(c.fd, SIOCOUTQ, &size) == 0 and size > 0 else 0


cdef bint say_end(Reactor r, Connection *c) noexcept nogil:
    if c.tls is NULL:
        return True
    c.ending = True
    tls_close(c.tls)
    ship(r, c)
    return c.failed or buffer_size(&c.output) == 0


cdef bint end_writing(Reactor r, Connection *c) noexcept nogil:
    if not say_end(r, c):
        return False
    shutdown(c.fd, SHUT_WR)
    return True


cdef void queue(Reactor r, Connection *c) noexcept nogil:
    if c.queued:
        return
    c.queued = True
    c.next = 0
    c.previous = r.ready_last
    if r.ready_last != 0:
        slab_at(&r.slab, r.ready_last).next = c.index
    else:
        r.ready_first = c.index
    r.ready_last = c.index


cdef void take_out(Reactor r, Connection *c) noexcept nogil:
    """Removes a queued connection from the ready list."""
    if c.previous != 0:
        slab_at(&r.slab, c.previous).next = c.next
    else:
        r.ready_first = c.next
    if c.next != 0:
        slab_at(&r.slab, c.next).previous = c.previous
    else:
        r.ready_last = c.previous
    c.next = c.previous = 0
    c.queued = False


cdef void dequeue(Reactor r, Connection *c) noexcept nogil:
    if c.queued:
        take_out(r, c)


cdef Connection *unqueue(Reactor r) noexcept nogil:
    """Removes and returns the first connection of the ready list; NULL if the list is empty."""
    cdef Connection *c
    if r.ready_first == 0:
        return NULL
    c = slab_at(&r.slab, r.ready_first)
    take_out(r, c)
    return c


cdef int watch(Reactor r, Connection *c) noexcept nogil:
    cdef epoll_event event
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET
    event.data.u64 = handle_of(c)
    return epoll_ctl(r.epoll, EPOLL_CTL_ADD, c.fd, &event)


cdef void set_deadline(Reactor r, Connection *c, uint64_t milliseconds) noexcept nogil:
    timer_set(&r.wheel, &r.slab, c, milliseconds)


cdef void close_connection(Reactor r, Connection *c) noexcept nogil:
    if c.queued:
        take_out(r, c)
    timer_remove(&r.wheel, &r.slab, c)
    if c.counted:
        clients_leave(&r.clients, c.peer.family, c.peer.address)
    forget_tls(r, c)
    buffer_free(&c.input)
    buffer_free(&c.output)
    if c.fd >= 0:
        if c.side == SIDE_LISTENER:     # the main process has a copy of the socket: close alone does not end the watch
            epoll_ctl(r.epoll, EPOLL_CTL_DEL, c.fd, NULL)
        close(c.fd)
        c.fd = -1
    slab_bury(&r.slab, c)
