"""Trust anchors; see anchors.pxd. The control plane judges them by the same code by which workers load them."""

from fastroute.ext.tls.pem cimport Text, no_password
from fastroute.ext.tls.keycost cimport is_large
from fastroute.ext.tls.openssl cimport (
    ERR_GET_LIB, ERR_GET_REASON, ERR_LIB_PEM, ERR_clear_error, ERR_peek_error, ERR_reason_error_string,
    PEM_R_NO_START_LINE, PEM_read_bio_X509, X509, X509_STORE_add_cert, X509_STORE_free, X509_STORE_new, X509_free,
    X509_get0_pubkey,
)

cdef enum:
    ANCHORS = 1024

ANCHORS_MOST = ANCHORS


cdef class Anchors:
    def __cinit__(self, bytes pem):
        self.store = X509_STORE_new()
        if self.store is NULL:
            raise MemoryError
        self.text = Text(pem)

    def __dealloc__(self):
        X509_STORE_free(self.store)

    cdef bint read(self) except -1:
        cdef unsigned long error
        cdef int added
        cdef X509 *read
        ERR_clear_error()
        read = PEM_read_bio_X509(self.text.bio, NULL, no_password, NULL)
        if read is NULL:
            error = ERR_peek_error()
            if self.count == 0 or ERR_GET_LIB(error) != ERR_LIB_PEM or ERR_GET_REASON(error) != PEM_R_NO_START_LINE:
                raise refusal(f"CA certificate {self.count + 1} cannot be read")
            ERR_clear_error()       # the end of the text
            self.text = None
            return False
        added = X509_STORE_add_cert(self.store, read)       # has a reference of its own
        X509_free(read)
        if added != 1:
            raise refusal(f"CA certificate {self.count + 1} is refused")
        self.count += 1
        if self.count > ANCHORS:
            raise refusal(f"there are more than {ANCHORS} CA certificates")
        return True


cdef object refusal(str text):
    cdef const char *word = ERR_reason_error_string(ERR_peek_error())
    ERR_clear_error()
    return ValueError(text if word is NULL else f"{text}: {word.decode()}")


def judge_anchors(bytes pem not None) -> int:
    """The number of CA certificates of the PEM. ValueError: there is none, or one cannot be used."""
    cdef Anchors anchors = Anchors(pem)
    while anchors.read():
        pass
    return anchors.count


def are_costly(bytes pem not None) -> bool:
    """Whether a signature of one of the CA certificates is expensive to verify (keycost.pxd)."""
    cdef Text text = Text(pem)
    cdef X509 *read = PEM_read_bio_X509(text.bio, NULL, no_password, NULL)
    cdef bint found = False
    while read is not NULL and not found:
        found = is_large(X509_get0_pubkey(read))
        X509_free(read)
        read = PEM_read_bio_X509(text.bio, NULL, no_password, NULL)
    X509_free(read)
    ERR_clear_error()
    return found
