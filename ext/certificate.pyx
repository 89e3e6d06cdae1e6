"""Certificates and their keys; see certificate.pxd. Keys stay in this process's memory: no message here shows any."""

from libc.stdlib cimport calloc, free

from fastroute.ext.context cimport context_new
from fastroute.ext.openssl cimport (
    BIO, BIO_free, BIO_new_mem_buf, ERR_clear_error, ERR_peek_error, ERR_reason_error_string, EVP_PKEY_free,
    EVP_PKEY_get_base_id, PEM_read_bio_PrivateKey, PEM_read_bio_X509, SSL_CTX_free, SSL_CTX_up_ref,
    SSL_CTX_use_cert_and_key, X509_check_private_key, X509_free, sk_X509_new_null, sk_X509_num, sk_X509_pop_free,
    sk_X509_push,
)

cdef enum:
    CONTEXTS_MOST = 64          # settings that nobody has, kept for the next listener that does


cdef int no_password(char *into, int size, int writing, void *data) noexcept nogil:
    """An encrypted key is refused: nobody is asked for its password."""
    return -1


cdef class Parsed:
    """One certificate as libssl has it."""
    cdef X509 *leaf
    cdef X509_STACK *chain
    cdef EVP_PKEY *key

    def __dealloc__(self):
        X509_free(self.leaf)
        EVP_PKEY_free(self.key)
        if self.chain is not NULL:
            sk_X509_pop_free(self.chain, X509_free)


cdef class CredentialHandle:
    cdef Credential *credential

    def __cinit__(self):
        self.credential = <Credential *> calloc(1, sizeof(Credential))
        if self.credential is NULL:
            raise MemoryError
        self.credential.refs = 1

    def __dealloc__(self):
        if self.credential is not NULL:
            credential_unref(self.credential)


cdef class ContextHandle:
    cdef SSL_CTX *context

    def __dealloc__(self):
        SSL_CTX_free(self.context)


cdef void clear(Credential *credential) noexcept nogil:
    X509_free(credential.leaf)
    EVP_PKEY_free(credential.key)
    if credential.chain is not NULL:
        sk_X509_pop_free(credential.chain, X509_free)
    credential.leaf = NULL
    credential.key = NULL
    credential.chain = NULL


cdef void credential_unref(Credential *credential) noexcept nogil:
    credential.refs -= 1
    if credential.refs == 0:
        clear(credential)
        free(credential)


cdef class Certificates:
    """The certificates of a worker by id. What is put or removed holds from `commit` on."""

    def __init__(self):
        self.held, self.pending, self.contexts = {}, {}, {}

    def __len__(self):
        return len(self.held)

    def put(self, str id not None, certificate) -> None:
        """A snapshot.Certificate, new or changed. ValueError says what libssl refuses; then there is nothing to show."""
        self.pending[id] = None
        self.pending[id] = parse(certificate.chain, certificate.key)

    def remove(self, str id not None) -> None:
        """Nobody is to be shown it any more."""
        self.pending[id] = None

    def commit(self) -> None:
        """From now on handshakes show what was put."""
        cdef CredentialHandle handle
        if not self.pending:
            return
        for id, parsed in self.pending.items():
            if parsed is None and id not in self.held:
                continue
            handle = self.held.get(id) or self.held.setdefault(id, CredentialHandle())
            clear(handle.credential)
            if parsed is not None:
                give(handle.credential, parsed)
        self.pending = {}
        self.held = {id: handle for id, handle in self.held.items() if is_of_use(handle)}
        if len(self.contexts) > CONTEXTS_MOST:
            self.contexts = {}

    def forget(self) -> None:
        """What was put since the last commit."""
        self.pending = {}

    cdef Credential *credential(self, str id) except NULL:
        cdef CredentialHandle handle = self.held.get(id)
        if handle is None:
            handle = self.held[id] = CredentialHandle()
        handle.credential.refs += 1
        return handle.credential

    cdef SSL_CTX *context(self, tls) except NULL:
        cdef ContextHandle handle
        key = (tls.min_version, tls.max_version, tls.ciphers, tls.alpn)
        handle = self.contexts.get(key)
        if handle is None:
            handle = ContextHandle()
            handle.context = context_new(tls.min_version, tls.max_version, tls.ciphers, tls.alpn)
            self.contexts[key] = handle
        SSL_CTX_up_ref(handle.context)
        return handle.context


cdef bint is_of_use(CredentialHandle handle) noexcept:
    """Whether it has something to show, or somebody waits for that."""
    return handle.credential.leaf is not NULL or handle.credential.refs > 1


cdef int give(Credential *credential, Parsed parsed) except -1:
    """Moves what was parsed into its place."""
    credential.leaf, credential.chain, credential.key = parsed.leaf, parsed.chain, parsed.key
    credential.kind = EVP_PKEY_get_base_id(parsed.key)
    parsed.leaf = NULL
    parsed.chain = NULL
    parsed.key = NULL
    return 0


cdef Parsed parse(bytes chain, bytes key):
    """ValueError when it cannot be shown."""
    cdef Parsed parsed = Parsed()
    parsed.leaf = read_chain(chain, &parsed.chain)
    if parsed.leaf is NULL:
        raise refusal("the certificate cannot be read")
    parsed.key = read_key(key)
    if parsed.key is NULL:
        raise refusal("the private key cannot be read")
    if X509_check_private_key(parsed.leaf, parsed.key) != 1:
        raise refusal("the private key is not that of the certificate")
    return checked(parsed)


cdef object refusal(str text):
    """A ValueError with libssl's word for it, which never quotes what it read."""
    cdef const char *word = ERR_reason_error_string(ERR_peek_error())
    ERR_clear_error()
    return ValueError(text if word is NULL else f"{text}: {word.decode()}")


cdef X509 *read_chain(bytes text, X509_STACK **chain) except? NULL:
    """The first certificate of the PEM, the others in `chain`. NULL: there is none, or the chain is cut."""
    cdef BIO *bio = BIO_new_mem_buf(<const char *> text, <int> len(text))
    cdef X509 *leaf
    cdef X509 *signer
    chain[0] = sk_X509_new_null()
    if bio is NULL or chain[0] is NULL:
        BIO_free(bio)
        raise MemoryError
    leaf = PEM_read_bio_X509(bio, NULL, no_password, NULL)
    while leaf is not NULL:
        signer = PEM_read_bio_X509(bio, NULL, no_password, NULL)
        if signer is NULL:
            ERR_clear_error()       # the end of the text
            break
        if sk_X509_push(chain[0], signer) == 0:
            X509_free(signer)
            break
    BIO_free(bio)
    if sk_X509_num(chain[0]) == 0:
        sk_X509_pop_free(chain[0], X509_free)
        chain[0] = NULL
    return leaf


cdef EVP_PKEY *read_key(bytes text) except? NULL:
    cdef BIO *bio = BIO_new_mem_buf(<const char *> text, <int> len(text))
    cdef EVP_PKEY *key
    if bio is NULL:
        raise MemoryError
    key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL)
    BIO_free(bio)
    return key


cdef Parsed checked(Parsed parsed):
    """ValueError when libssl would not show it: a key too short, a hash too weak."""
    cdef SSL_CTX *context = context_new("1.2", "1.3", "", ())
    cdef int fits = SSL_CTX_use_cert_and_key(context, parsed.leaf, parsed.key, parsed.chain, 1)
    SSL_CTX_free(context)
    if fits != 1:
        raise refusal("the certificate is refused")
    return parsed
