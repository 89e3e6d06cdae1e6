"""Listening sockets; see listener.pxd."""

from libc.errno cimport EAGAIN, EBADF, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOTSOCK, errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport realloc

from fastroute.ext.exchange.crowd cimport make_room
from fastroute.ext.exchange.downstream cimport downstream_adopt
from fastroute.ext.memory.address cimport AF_INET6
from fastroute.ext.reactor.connection cimport (
    SIDE_LISTENER, STATE_LEAVING, STATE_LISTENING, handle_of, slab_at, slab_find,
)
from fastroute.ext.reactor.inet cimport (
    IPPROTO_TCP, SEND_BUFFER, SO_ACCEPTCONN, SO_KEEPALIVE, SO_OOBINLINE, SO_SNDBUF, SOCK_CLOEXEC, SOCK_NONBLOCK, SOL_SOCKET,
    TCP_NODELAY, accept4, getsockopt, ntohs, setsockopt, sockaddr, sockaddr_in, sockaddr_in6, sockaddr_storage,
)
from fastroute.ext.reactor.linked cimport link_of, list_append, list_remove
from fastroute.ext.reactor.reactor cimport (
    INTEREST_CLIENTS, INTEREST_NONE, close_connection, open_connection, queue, set_deadline, unwatch, watch,
)

cdef extern from *:
    """
    #define fastroute_set_errno(value) (errno = (value))
    """
    void set_errno "fastroute_set_errno"(int value) noexcept nogil

cdef enum:
    ACCEPT_MOST = 16        # connections accepted per visit
    ACCEPT_TIME = 200       # microseconds after which a visit accepts no further connection
    PAUSE = 100             # milliseconds without accepting after descriptors ran out, or no connection could end
    RESUME_MOST = 16        # listeners from which one call of listeners_resume accepts


cdef bint is_listening(int fd) noexcept nogil:
    """Whether the socket is a listening socket: epoll would report any other one continuously. False with errno."""
    cdef int found = 0
    cdef uint32_t size = sizeof(int)
    if getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &found, &size) < 0:
        return False
    set_errno(EINVAL)
    return found == 1


cdef int add_listener(Reactor r, int fd, uint32_t index) noexcept nogil:
    """Returns 0, or -1 with errno."""
    cdef uint64_t *listeners = <uint64_t *> realloc(r.listeners, (r.listeners_count + 1) * sizeof(uint64_t))
    cdef Connection *listener
    if listeners is NULL:
        return -1
    r.listeners = listeners
    listener = open_connection(r, fd, SIDE_LISTENER, INTEREST_CLIENTS)
    if listener is NULL:
        return -1
    listener.state = STATE_LISTENING
    listener.listener = index
    listener.requests = 1
    listener.watched = True
    r.listeners[r.listeners_count] = handle_of(listener)
    r.listeners_count += 1
    return 0


cdef int listener_open(Reactor r, int fd, uint32_t index) noexcept nogil:
    cdef int on = 1
    cdef int most_sent = SEND_BUFFER
    if not is_listening(fd):
        return -1
    # Accepted sockets inherit these options: four system calls less for each.
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(int))
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(int))
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &most_sent, sizeof(int))
    setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(int))
    return add_listener(r, fd, index)


cdef void pause(Reactor r, Connection *listener) noexcept nogil:
    """Stops its events, and adds it to those that must wait."""
    if listener.paused:
        return
    if listener.watched:
        listener.watched = False
        watch(r, listener, INTEREST_NONE)
    listener.paused = True
    list_append(&r.slab, &r.paused, listener, link_of)


cdef void unpause(Reactor r, Connection *listener) noexcept nogil:
    """Removes it from those that must wait; its events stay off."""
    if not listener.paused:
        return
    list_remove(&r.slab, &r.paused, listener, link_of)
    listener.paused = False


cdef void listeners_resume(Reactor r) noexcept nogil:
    cdef Connection *listener
    cdef uint64_t handle
    cdef uint64_t until = r.now + ACCEPT_TIME
    cdef int _
    for _ in range(RESUME_MOST):
        if r.now > until or not listeners_can_resume(r):
            return
        listener = slab_at(&r.slab, r.paused.first)
        handle = handle_of(listener)
        unpause(r, listener)
        listener_accept(r, listener)
        if slab_find(&r.slab, handle) is NULL or listener.paused:
            continue
        if has_room(r) or is_full(r):
            listener.watched = True
            watch(r, listener, INTEREST_CLIENTS)
        else:
            pause(r, listener)


cdef bint is_full(Reactor r) noexcept nogil:
    """Whether all connections are in use, and descriptors are not missing."""
    return r.downstreams >= r.max_connections and r.milliseconds >= r.paused_until


cdef void listener_expired(Reactor r, Connection *listener) noexcept nogil:
    if listener.state == STATE_LEAVING:
        listener_accept(r, listener)
    elif listener.paused and is_full(r) and not make_room(r):
        set_deadline(r, listener, r.milliseconds + PAUSE)


cdef void listener_accept(Reactor r, Connection *listener) noexcept nogil:
    cdef sockaddr_storage address
    cdef uint32_t size
    cdef int fd, i
    cdef int most = ACCEPT_MOST if listener.state == STATE_LEAVING else <int> listener.requests
    cdef uint64_t until = r.now + ACCEPT_TIME
    for i in range(most):
        if not has_room(r) and listener.state != STATE_LEAVING:
            if not is_full(r):
                pause(r, listener)
                return
            if i > 0:           # its event is reported again if another client waits
                return
            if not make_room(r):
                pause(r, listener)
                set_deadline(r, listener, r.milliseconds + PAUSE)
                return
        size = sizeof(sockaddr_storage)
        fd = accept4(listener.fd, <sockaddr *> &address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC)
        if fd < 0:
            refused(r, listener, i)
            return
        adopt(r, listener, fd, &address)
        if r.now > until:       # its event is reported again
            break
    listener.requests = ACCEPT_MOST if most * 2 > ACCEPT_MOST else most * 2
    if listener.state == STATE_LEAVING:
        queue(r, listener)


cdef void refused(Reactor r, Connection *listener, int accepted) noexcept nogil:
    """accept4 returned an error: the queue is empty, or there is no room for another descriptor."""
    if errno == EAGAIN:
        listener.requests = accepted if accepted > 1 else 1
        if listener.state == STATE_LEAVING:
            listener_close(r, listener)
    elif errno == EMFILE or errno == ENFILE or errno == ENOBUFS or errno == ENOMEM:
        r.accept_shortage.count += 1
        r.accept_shortage.error = errno
        if listener.state != STATE_LEAVING:
            pause(r, listener)
        r.paused_until = r.milliseconds + PAUSE
        set_deadline(r, listener, r.paused_until)
    elif errno == EBADF or errno == EINVAL or errno == ENOTSOCK:
        listener_close(r, listener)     # another process shut the socket down
    elif listener.state == STATE_LEAVING:
        queue(r, listener)      # that one connection is gone, there may be others


cdef void adopt(Reactor r, Connection *listener, int fd, const sockaddr_storage *address) noexcept nogil:
    cdef const sockaddr_in *four = <const sockaddr_in *> address
    cdef const sockaddr_in6 *six = <const sockaddr_in6 *> address
    if address.ss_family == AF_INET6:
        downstream_adopt(r, listener, fd, AF_INET6, <const uint8_t *> &six.sin6_addr, ntohs(six.sin6_port))
    else:
        downstream_adopt(r, listener, fd, address.ss_family, <const uint8_t *> &four.sin_addr, ntohs(four.sin_port))


cdef void listener_leave(Reactor r, Connection *listener) noexcept nogil:
    unpause(r, listener)
    listener.state = STATE_LEAVING
    queue(r, listener)


cdef void listener_close(Reactor r, Connection *listener) noexcept nogil:
    cdef uint32_t i
    for i in range(r.listeners_count):
        if r.listeners[i] == handle_of(listener):
            r.listeners_count -= 1
            r.listeners[i] = r.listeners[r.listeners_count]
            break
    unpause(r, listener)
    unwatch(r, listener)        # the main process has a copy of the socket: close alone does not end the watch
    close_connection(r, listener)
