"""What the kernel of a peer may hold; see receiver.pxd."""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from fastroute.ext.reactor.connection cimport LAYER_STREAM
from fastroute.ext.reactor.inet cimport IPPROTO_TCP, TCP_INFO, getsockopt, tcp_info
from fastroute.ext.reactor.parent cimport parent_room
from fastroute.ext.reactor.stream cimport parent_of


cdef inline bint find(const Connection *c, tcp_info *found) noexcept nogil:
    cdef uint32_t size = sizeof(tcp_info)
    memset(found, 0, sizeof(tcp_info))
    return getsockopt(c.fd, IPPROTO_TCP, TCP_INFO, found, &size) == 0


cdef uint32_t receiver_step(Reactor r, const Connection *c) noexcept nogil:
    cdef const Connection *p
    cdef uint32_t window
    if c.layer != LAYER_STREAM:
        return kernel_step(c)
    p = parent_of(r, c)
    if p is NULL:
        return 0
    window = c.stream.untaken // 2 if parent_room(p) else 0     # without room, the window does not matter
    return min(window + kernel_step(p), <uint32_t> HELD_MOST)


cdef uint64_t receiver_acknowledged(Reactor r, const Connection *s) noexcept nogil:
    cdef const Connection *p = parent_of(r, s)
    cdef tcp_info found
    return found.tcpi_bytes_acked if p is not NULL and find(p, &found) else 0


cdef uint32_t kernel_step(const Connection *c) noexcept nogil:
    cdef tcp_info found
    cdef uint64_t held
    if not find(c, &found) or found.tcpi_probes >= UNANSWERED:
        return 0
    held = min(found.tcpi_bytes_acked, <uint64_t> 131072 << found.tcpi_snd_wscale, <uint64_t> HELD_MOST)
    return <uint32_t> min(held, held // 16 + <uint64_t> STEP_MORE)
