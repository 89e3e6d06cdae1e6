"""Methods; see method.pxd."""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcmp

from fastroute.ext.message.message cimport (
    METHOD_CONNECT, METHOD_DELETE, METHOD_GET, METHOD_HEAD, METHOD_OPTIONS, METHOD_OTHER, METHOD_PATCH, METHOD_POST,
    METHOD_PUT, METHOD_TRACE,
)

cdef struct Method:
    const char *text
    uint8_t size
    uint8_t name

cdef Method[9] METHODS = [
    Method(b"GET", 3, METHOD_GET), Method(b"POST", 4, METHOD_POST), Method(b"HEAD", 4, METHOD_HEAD),
    Method(b"PUT", 3, METHOD_PUT), Method(b"DELETE", 6, METHOD_DELETE), Method(b"PATCH", 5, METHOD_PATCH),
    Method(b"OPTIONS", 7, METHOD_OPTIONS), Method(b"CONNECT", 7, METHOD_CONNECT), Method(b"TRACE", 5, METHOD_TRACE),
]


cdef uint8_t method_of(Slice method) noexcept nogil:
    cdef uint32_t i
    for i in range(sizeof(METHODS) // sizeof(Method)):
        if METHODS[i].size == method.size and memcmp(METHODS[i].text, method.data, method.size) == 0:
            return METHODS[i].name
    return METHOD_OTHER
