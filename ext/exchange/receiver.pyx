"""What the kernel of a peer may hold; see receiver.pxd."""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from fastroute.ext.reactor.inet cimport IPPROTO_TCP, TCP_INFO, getsockopt, tcp_info


cdef uint32_t receiver_step(const Connection *c) noexcept nogil:
    cdef tcp_info found
    cdef uint32_t size = sizeof(tcp_info)
    cdef uint64_t held
    memset(&found, 0, sizeof(tcp_info))
    if getsockopt(c.fd, IPPROTO_TCP, TCP_INFO, &found, &size) < 0:
        return 0
    if found.tcpi_probes >= UNANSWERED:
        return 0
    held = min(found.tcpi_bytes_acked, <uint64_t> 131072 << found.tcpi_snd_wscale, <uint64_t> HELD_MOST)
    return <uint32_t> min(held, held // 16 + <uint64_t> STEP_MORE)
