# PEM that libcrypto reads bit by bit.

from fastroute.ext.tls.openssl cimport BIO

cdef class Text:
    cdef BIO *bio
    cdef bytes text

# Refuses an encrypted key: there is no way to enter a password.
cdef int no_password(char *into, int size, int writing, void *data) noexcept nogil
