# The host names of a certificate. They are indexed when the certificate is loaded, so that a handshake need not search.
#
# Only DNS names in the subjectAltName count, as for clients (RFC 9525). A wildcard stands for one label; a wildcard
# directly below a top-level domain matches nothing.

from libc.stdint cimport uint32_t

from fastroute.ext.memory.bytemap cimport ByteMap
from fastroute.ext.tls.openssl cimport X509


cdef enum:
    NAMES_MOST = 1000           # alternative names of a certificate, of all kinds

cdef struct Names:
    ByteMap map                 # its keys are in `bytes`
    char *bytes                 # NULL: no names

# The names of the certificate. Returns 0, or -1 if it has more than NAMES_MOST. MemoryError.
cdef int names_load(Names *names, X509 *leaf) except? -1
# Whether the certificate is for the host `name`, which is in lower case.
cdef bint names_have(const Names *names, const char *name, uint32_t size) noexcept nogil
cdef void names_free(Names *names) noexcept nogil
