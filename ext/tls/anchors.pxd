# Trust anchors: CA certificates by which certificates of backends are verified.

from fastroute.ext.tls.pem cimport Text
from fastroute.ext.tls.openssl cimport X509_STORE


cdef class Anchors:
    cdef X509_STORE *store
    cdef Text text              # what is not read yet
    cdef unsigned int count     # certificates
    # Reads one more certificate of the PEM. False: there are no more. ValueError: it cannot be read, there are too many,
    # or there is none.
    cdef bint read(self) except -1
