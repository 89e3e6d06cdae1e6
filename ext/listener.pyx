"""Listening sockets; see listener.pxd."""

from libc.errno cimport EAGAIN, EMFILE, ENFILE, ENOBUFS, ENOMEM, errno
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport realloc

from fastroute.ext.connection cimport (
    SIDE_LISTENER, STATE_LEAVING, STATE_LISTENING, handle_of, slab_find, slab_take,
)
from fastroute.ext.downstream cimport downstream_adopt
from fastroute.ext.reactor cimport close_connection, queue, set_deadline

cdef extern from "<netinet/in.h>" nogil:
    cdef struct in_addr:
        uint32_t s_addr
    cdef struct in6_addr:
        uint8_t s6_addr[16]
    cdef struct sockaddr_in:
        uint16_t sin_port
        in_addr sin_addr
    cdef struct sockaddr_in6:
        uint16_t sin6_port
        in6_addr sin6_addr
    int IPPROTO_TCP
    uint16_t ntohs(uint16_t value)

cdef extern from "<netinet/tcp.h>" nogil:
    int TCP_NODELAY

cdef extern from "<sys/socket.h>" nogil:
    cdef struct sockaddr:
        pass
    cdef struct sockaddr_storage:
        uint16_t ss_family
    int AF_INET, AF_INET6, SOCK_NONBLOCK, SOCK_CLOEXEC, SOL_SOCKET, SO_KEEPALIVE
    int accept4(int fd, sockaddr *address, uint32_t *size, int flags)
    int setsockopt(int fd, int level, int name, const void *value, uint32_t size)

cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        uint64_t u64
    cdef struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_ctl(int epoll, int operation, int fd, epoll_event *event)
    int EPOLL_CTL_ADD, EPOLL_CTL_MOD
    uint32_t EPOLLIN

cdef enum:
    ACCEPT_MOST = 64        # connections taken in one visit
    PAUSE = 100             # milliseconds without accepting after descriptors ran out


cdef int set_interest(Reactor r, Connection *l, int operation, uint32_t events) noexcept nogil:
    cdef epoll_event event
    event.events = events
    event.data.u64 = handle_of(l)
    return epoll_ctl(r.epoll, operation, l.fd, &event)


cdef int listener_open(Reactor r, int fd, uint32_t index) noexcept nogil:
    cdef int on = 1
    cdef uint64_t *listeners
    cdef Connection *l
    listeners = <uint64_t *> realloc(r.listeners, (r.listeners_count + 1) * sizeof(uint64_t))
    if listeners is NULL:
        return -1
    r.listeners = listeners
    l = slab_take(&r.slab)
    if l is NULL:
        return -1
    l.side = SIDE_LISTENER
    l.state = STATE_LISTENING
    l.listener = index
    l.requests = 1
    l.fd = fd
    # Accepted sockets inherit these: two system calls less for each.
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(int))
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(int))
    if set_interest(r, l, EPOLL_CTL_ADD, 0 if r.full else EPOLLIN) < 0:
        l.fd = -1
        close_connection(r, l)
        return -1
    r.listeners[r.listeners_count] = handle_of(l)
    r.listeners_count += 1
    return 0


cdef void pause(Reactor r) noexcept nogil:
    """No listener announces anything until listeners_resume."""
    cdef uint32_t i
    cdef Connection *l
    r.full = True
    for i in range(r.listeners_count):
        l = slab_find(&r.slab, r.listeners[i])
        if l is not NULL:
            set_interest(r, l, EPOLL_CTL_MOD, 0)


cdef void listeners_resume(Reactor r) noexcept nogil:
    cdef uint32_t i
    cdef Connection *l
    r.full = False
    for i in range(r.listeners_count):
        l = slab_find(&r.slab, r.listeners[i])
        if l is not NULL:
            set_interest(r, l, EPOLL_CTL_MOD, EPOLLIN)
            if l.state == STATE_LEAVING:
                queue(r, l)


cdef void listener_accept(Reactor r, Connection *l) noexcept nogil:
    cdef sockaddr_storage address
    cdef uint32_t size
    cdef int fd, i
    cdef int most = ACCEPT_MOST if l.state == STATE_LEAVING else <int> l.requests
    for i in range(most):
        if r.downstreams >= r.max_connections and l.state != STATE_LEAVING:
            pause(r)
            return
        size = sizeof(sockaddr_storage)
        fd = accept4(l.fd, <sockaddr *> &address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC)
        if fd < 0:
            refused(r, l, i)
            return
        adopt(r, l, fd, &address)
    l.requests = ACCEPT_MOST if most * 2 > ACCEPT_MOST else most * 2
    if l.state == STATE_LEAVING:
        queue(r, l)


cdef void refused(Reactor r, Connection *l, int accepted) noexcept nogil:
    """accept4 gave none: the queue is empty, or there is no room for another descriptor."""
    if errno == EAGAIN:
        l.requests = accepted if accepted > 1 else 1
        if l.state == STATE_LEAVING:
            forget(r, l)
    elif errno == EMFILE or errno == ENFILE or errno == ENOBUFS or errno == ENOMEM:
        if l.state != STATE_LEAVING:
            pause(r)
        set_deadline(r, l, r.milliseconds + PAUSE)
    elif l.state == STATE_LEAVING:
        queue(r, l)


cdef void adopt(Reactor r, Connection *l, int fd, const sockaddr_storage *address) noexcept nogil:
    cdef const sockaddr_in *four = <const sockaddr_in *> address
    cdef const sockaddr_in6 *six = <const sockaddr_in6 *> address
    if address.ss_family == AF_INET6:
        downstream_adopt(r, l, fd, AF_INET6, <const uint8_t *> &six.sin6_addr, ntohs(six.sin6_port))
    else:
        downstream_adopt(r, l, fd, address.ss_family, <const uint8_t *> &four.sin_addr, ntohs(four.sin_port))


cdef void listener_leave(Reactor r, Connection *l) noexcept nogil:
    l.state = STATE_LEAVING
    queue(r, l)


cdef void forget(Reactor r, Connection *l) noexcept nogil:
    """Closes the listener and takes it off the list."""
    cdef uint32_t i
    for i in range(r.listeners_count):
        if r.listeners[i] == handle_of(l):
            r.listeners_count -= 1
            r.listeners[i] = r.listeners[r.listeners_count]
            break
    close_connection(r, l)
