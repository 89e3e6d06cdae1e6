# The tables of the router: built from arbitrary listeners and rules, and asked for one request (world.pxd).

from libc.stdint cimport uint8_t

cdef const char *fuzz_routes(const uint8_t *data, size_t size) noexcept nogil
