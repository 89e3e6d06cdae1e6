# What comes before the first request of a connection: the header of the PROXY protocol, and the ClientHello. The bytes
# of an input are these.

from libc.stdint cimport uint8_t

cdef const char *fuzz_preface(const uint8_t *data, size_t size) noexcept nogil
cdef const char *fuzz_hello(const uint8_t *data, size_t size) noexcept nogil
