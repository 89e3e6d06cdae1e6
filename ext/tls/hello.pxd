# The ClientHello of a TLS client, parsed without libssl: only its server name, which selects the listener.
#
# Stateless: takes bytes, returns a result. A ClientHello may be split into several records (RFC 8446 section 5.1).

from libc.stdint cimport uint32_t


cdef enum:
    HELLO_MOST = 16640          # bytes of the records of a ClientHello; a longer one is refused
    NAME_MOST = 255             # bytes of a host name (RFC 1035)

cdef struct Hello:
    uint32_t size               # bytes of `name`; 0: there is no server name
    char name[NAME_MOST]        # in lower case, without a trailing dot

# Returns 1 if it is complete, 0 if more bytes are needed, -1 if it is not a ClientHello or too long. `room`: HELLO_MOST
# bytes to assemble its fragments.
cdef int hello_read(Hello *hello, const char *data, uint32_t size, char *room) noexcept nogil
