"""PEM; see pem.pxd."""

from fastroute.ext.tls.openssl cimport BIO_free, BIO_new_mem_buf


cdef int no_password(char *into, int size, int writing, void *data) noexcept nogil:
    return -1


cdef class Text:
    def __cinit__(self, bytes text):
        self.text = text
        self.bio = BIO_new_mem_buf(<const char *> text, <int> len(text))
        if self.bio is NULL:
            raise MemoryError

    def __dealloc__(self):
        BIO_free(self.bio)
