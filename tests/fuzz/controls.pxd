# What the kernel reports with a datagram: the address of its sender, and control data, which may say to which address it
# was sent. The first byte of an input is the family (odd: IPv6), the next 22 are port, scope and address, the rest is
# control data.

from libc.stdint cimport uint8_t

cdef const char *fuzz_control(const uint8_t *data, size_t size) noexcept nogil
