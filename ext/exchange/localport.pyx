"""Local ports of connections to backends; see localport.pxd."""

from libc.errno cimport EADDRNOTAVAIL, errno
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

from fastroute.ext.memory.address cimport AF_INET
from fastroute.ext.memory.clock cimport microseconds_now
from fastroute.ext.memory.random cimport random_below
from fastroute.ext.reactor.inet cimport (
    IPPROTO_IP, IP_LOCAL_PORT_RANGE, connect, htons, setsockopt, sockaddr, sockaddr_in, sockaddr_in6, sockaddr_storage,
)

cdef enum:
    LONG = 500              # microseconds; usually a connect takes less than 50
    SCARCE = 60000          # milliseconds: as long as the kernel keeps the port of a closed connection
    PART = 64               # ports that a socket may use
    PARTS = 4               # that are tried
    PAUSE = 100             # milliseconds between two searches of all ports


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


cdef void note_scarce_ports(Reactor r) noexcept nogil:
    if r.ports.last - r.ports.first >= PART:
        r.ports.scarce_until = r.milliseconds + SCARCE


cdef bint ports_are_scarce(Reactor r) noexcept nogil:
    return r.ports.scarce_until > r.milliseconds


cdef bint allow_all(int fd) noexcept nogil:
    """False: the kernel does not know parts."""
    cdef uint32_t all_ = 0
    return setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &all_, sizeof(all_)) == 0


cdef void allow_part(Reactor r, int fd) noexcept nogil:
    cdef uint32_t first = r.ports.first + random_below(&r.random, r.ports.last - r.ports.first + 2 - PART)
    cdef uint32_t part = (first + PART - 1) << 16 | first
    setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &part, sizeof(part))


cdef int connect_to_endpoint(Reactor r, int fd, const Endpoint *endpoint) noexcept nogil:
    cdef sockaddr_storage address
    cdef uint32_t size = socket_address(endpoint, &address)
    cdef uint64_t begun
    cdef int failed
    cdef int _
    if not ports_are_scarce(r) or not allow_all(fd):
        begun = microseconds_now()
        failed = connect(fd, <const sockaddr *> &address, size)
        if microseconds_now() - begun >= LONG:
            note_scarce_ports(r)
        return failed
    for _ in range(PARTS):
        allow_part(r, fd)
        failed = connect(fd, <const sockaddr *> &address, size)
        if not failed or errno != EADDRNOTAVAIL:
            return failed
    if r.milliseconds < r.ports.search_at:
        return failed
    r.ports.search_at = r.milliseconds + PAUSE
    allow_all(fd)
    return connect(fd, <const sockaddr *> &address, size)
