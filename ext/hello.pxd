# A TLS client's first message, read without libssl: only the name it asks for, which says who serves it.
#
# Nothing is kept: bytes in, an answer out. A ClientHello may be cut into several records (RFC 8446 section 5.1).

from libc.stdint cimport uint32_t


cdef enum:
    HELLO_MOST = 16640          # bytes of the records of a ClientHello; more is refused
    NAME_MOST = 255             # bytes of a host name (RFC 1035)

cdef struct Hello:
    uint32_t size               # bytes of `name`; 0: it asks for none
    char name[NAME_MOST]        # in lower case, without a final dot

# Returns 1 when all of it is here, 0 when more bytes are needed, -1 when it is none or too long. `room`: HELLO_MOST
# bytes to put its pieces together.
cdef int hello_read(Hello *hello, const char *data, uint32_t size, char *room) noexcept nogil
