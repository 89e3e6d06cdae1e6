"""Local ports of connections to backends; see localport.pxd."""

from libc.errno cimport EADDRNOTAVAIL, errno
from libc.stdint cimport uint32_t, uint64_t

from fastroute.ext.memory.clock cimport microseconds_now
from fastroute.ext.memory.random cimport random_below
from fastroute.ext.reactor.inet cimport IPPROTO_IP, IP_LOCAL_PORT_RANGE, connect, setsockopt, sockaddr

cdef enum:
    LONG = 500              # microseconds; usually a connect takes less than 50
    SCARCE = 60000          # milliseconds: as long as the kernel keeps the port of a closed connection
    PART = 64               # ports that a socket may use
    PARTS = 4               # that are tried


cdef void note_scarce_ports(Reactor r) noexcept nogil:
    if r.ports.last - r.ports.first >= PART:
        r.ports.scarce_until = r.milliseconds + SCARCE


cdef bint ports_are_scarce(Reactor r) noexcept nogil:
    return r.ports.scarce_until > r.milliseconds


cdef void restrict(Reactor r, int fd) noexcept nogil:
    cdef uint32_t first = r.ports.first + random_below(&r.random, r.ports.last - r.ports.first + 2 - PART)
    cdef uint32_t part = (first + PART - 1) << 16 | first
    setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &part, sizeof(part))


cdef int connect_socket_to(Reactor r, int fd, const sockaddr_storage *address, uint32_t size) noexcept nogil:
    cdef uint64_t begun
    cdef int failed
    cdef int _
    if not ports_are_scarce(r):
        begun = microseconds_now()
        failed = connect(fd, <const sockaddr *> address, size)
        if microseconds_now() - begun >= LONG:
            note_scarce_ports(r)
        return failed
    for _ in range(PARTS):
        restrict(r, fd)
        failed = connect(fd, <const sockaddr *> address, size)
        if not failed or errno != EADDRNOTAVAIL:
            return failed
    return failed
