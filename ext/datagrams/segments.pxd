# Several datagrams of one flow with one system call, which the kernel divides late or not at all (UDP_SEGMENT, udp(7)). All
# but the last one must have the same size, and the last one may not be larger.
#
# The kernel refuses it if a datagram is larger than the MTU of its path, or the device cannot calculate checksums. The flow
# then remembers it (Flow.single), and its datagrams are sent one by one.

from libc.stdint cimport uint32_t

from fastroute.ext.reactor.batch cimport Batch
from fastroute.ext.reactor.inet cimport msghdr


# How many of these parts of the batch can be sent together, at least 1.
cdef uint32_t segments_fit(const Batch *batch, uint32_t first, uint32_t most) noexcept nogil
# Makes `message` consist of `count` parts from `first` on. It must have room for control data after its own (Control).
cdef void segments_join(Batch *batch, msghdr *message, uint32_t first, uint32_t count) noexcept nogil
# Whether this error says that the kernel cannot divide the datagrams.
cdef bint is_indivisible(int error) noexcept nogil
