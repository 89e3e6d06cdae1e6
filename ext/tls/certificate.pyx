"""Certificates and their keys; see certificate.pxd. Keys stay in the memory of this process: no message contains one.

This module alone decides whether a certificate is usable: the control plane calls `judge` before it publishes a
certificate, and workers load it with the same `parsing`. Only `judge` tests a signature of the key, which costs as much
as a handshake.

Workers must not keep traffic waiting. So `parsing` is a generator whose steps read one certificate or key each, and
what a `commit` replaces is freed by `release`, one certificate per step. libssl has one queue of errors per thread,
which handshakes use as well: every step empties it.
"""

from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free

from fastroute.ext.tls.admission cimport CLIENTS_OPTIONAL, CLIENTS_REQUIRED, CLIENTS_UNASKED, Clients, admission_set
from fastroute.ext.tls.anchors cimport Anchors
from fastroute.ext.tls.context cimport context_new
from fastroute.ext.tls.names cimport NAMES_MOST, Names, names_free, names_load
from fastroute.ext.tls.pem cimport Text, no_password
from fastroute.ext.tls.openssl cimport (
    ERR_GET_LIB, ERR_GET_REASON, ERR_LIB_PEM, ERR_clear_error, ERR_peek_error, ERR_reason_error_string, EVP_Digest,
    EVP_DigestSign, EVP_DigestSignInit, EVP_DigestVerify, EVP_DigestVerifyInit, EVP_MD_CTX, EVP_MD_CTX_free,
    EVP_MD_CTX_new, EVP_PKEY_CTX, EVP_PKEY_CTX_set_rsa_pss_saltlen, EVP_PKEY_RSA_PSS, EVP_PKEY_free,
    EVP_PKEY_get_base_id, EVP_PKEY_get_bits, EVP_sha256, PEM_R_NO_START_LINE, PEM_read_bio_PrivateKey,
    PEM_read_bio_X509, RSA_PSS_SALTLEN_DIGEST, SSL, SSL_CTX_free, SSL_free, SSL_new, SSL_use_cert_and_key,
    X509_STORE_free, X509_STORE_up_ref, X509_check_private_key, X509_free, X509_get0_pubkey, i2d_X509, sk_X509_new_null,
    sk_X509_num, sk_X509_pop_free, sk_X509_push,
)

cdef enum:
    CONTEXTS_MOST = 64          # unused contexts that are kept for the next listener with the same settings
    KEY_MOST = 4096             # bits; a signature of such an RSA key takes 3 ms, of one of 16,384 bits 230 ms
    CERTIFICATES = 10           # in a chain
    CHAIN_BYTES = 65536         # of all its certificates, as they are sent
    SIGNATURE_MOST = 512        # bytes: the size of a signature of such a key

CHAIN, KEY, PAIR, SIZE, STRENGTH = "chain", "key", "pair", "size", "strength"
CERTIFICATES_MOST, CHAIN_BYTES_MOST, ALTERNATIVES_MOST = CERTIFICATES, CHAIN_BYTES, NAMES_MOST


class CertificateError(ValueError):
    """An error with the text of libssl. `part` must be fixed: CHAIN, KEY, PAIR (they do not match), SIZE (of the
    chain or of its names) or STRENGTH."""

    def __init__(self, part: str, text: str) -> None:
        super().__init__(text)
        self.part = part


cdef class Parsed:
    """One certificate as parsed by libssl."""

    def __dealloc__(self):
        names_free(&self.names)
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
    cdef Context *context
    cdef bytes authorities      # PEM; None: clients are not asked for certificates

    def __cinit__(self, tls):
        self.context = <Context *> calloc(1, sizeof(Context))
        if self.context is NULL:
            raise MemoryError
        self.context.refs = 1
        self.context.ssl = context_new(tls.min_version, tls.max_version, tls.ciphers, alpn_of(tls))

    def __dealloc__(self):
        if self.context is not NULL:
            context_unref(self.context)

    cdef int ask(self, tls, Anchors anchors) except -1:
        """Asks clients for certificates, as a snapshot.ListenerTLS says. `anchors`: its CAs."""
        cdef bytes pem = tls.clients.trust_anchors
        self.authorities = pem
        self.context.clients = clients_of(tls)
        admission_set(self.context.ssl, anchors, <Clients> self.context.clients)
        X509_STORE_up_ref(anchors.store)
        self.context.store = anchors.store
        if EVP_Digest(<const char *> pem, len(pem), self.context.digest, NULL, EVP_sha256(), NULL) != 1:
            raise MemoryError
        return 0


cdef int clients_of(tls) except -1:
    if tls is None or tls.clients is None:
        return CLIENTS_UNASKED
    return CLIENTS_OPTIONAL if tls.clients.optional else CLIENTS_REQUIRED


cdef void context_unref(Context *context) noexcept nogil:
    context.refs -= 1
    if context.refs == 0:
        SSL_CTX_free(context.ssl)
        X509_STORE_free(context.store)
        free(context)


cdef void clear(Credential *credential) noexcept nogil:
    names_free(&credential.names)
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
    """The certificates of a worker by id. Changes take effect at `commit`."""

    def __init__(self):
        self.held, self.pending, self.contexts, self.asking = {}, {}, {}, {}
        self.anchors, self.ready, self.old = {}, [], []

    def __len__(self):
        return len(self.held)

    @property
    def validations(self) -> int:
        """The number of contexts that ask clients for certificates."""
        return len(self.asking)

    def put(self, str id not None, certificate) -> None:
        """Adds or replaces a snapshot.Certificate. ValueError contains the error of libssl; the certificate is then not
        usable."""
        for _ in self.putting(id, certificate):
            pass

    def putting(self, str id not None, certificate):
        """`put` in steps."""
        cdef Parsed parsed = Parsed()
        self.pending[id] = None
        yield from parsing(parsed, certificate.chain, certificate.key)
        self.pending[id] = parsed

    def remove(self, str id not None) -> None:
        """Removes a certificate: it is no longer used in handshakes."""
        self.pending[id] = None

    def prepare(self):
        """Prepares a short `commit`, in steps."""
        for id, parsed in self.pending.items():
            handle = self.held.get(id)
            if handle is None and parsed is not None:
                handle = self.held[id] = CredentialHandle()
            if handle is not None:
                self.ready.append((handle, Parsed() if parsed is None else parsed))
            yield
        self.pending = {}

    def commit(self) -> None:
        """Makes the changes effective for new handshakes."""
        cdef CredentialHandle handle
        cdef Parsed parsed
        for _ in self.prepare():
            pass
        for handle, parsed in self.ready:
            exchange(handle.credential, parsed)
        self.old, self.ready = self.ready, self.old

    def preparing(self, tls):
        """Makes the context for the settings of a snapshot.ListenerTLS in steps, so that a listener with them can be put
        in one step. ValueError: its CAs cannot be loaded; no client of such a listener is served."""
        cdef ContextHandle handle
        cdef Anchors anchors
        if tls is None or tls.clients is None or settings_of(tls) in self.asking:
            return
        anchors = self.anchors.get(tls.clients.trust_anchors)
        if anchors is None:
            anchors = Anchors(tls.clients.trust_anchors)
            while anchors.read():
                yield
            self.anchors[tls.clients.trust_anchors] = anchors
        handle = ContextHandle(tls)
        handle.ask(tls, anchors)
        self.asking[settings_of(tls)] = handle

    def release(self):
        """Frees what the last `commit` replaced, in steps."""
        changed = bool(self.old)
        for settings in list(self.asking):
            if is_unused(self.asking[settings]):
                del self.asking[settings]
            yield
        used = {authorities_of(handle) for handle in self.asking.values()}
        for pem in [pem for pem in self.anchors if pem not in used]:
            del self.anchors[pem]
            yield
        while self.old:
            self.old.pop()
            yield
        if not changed:
            return
        for id, handle in list(self.held.items()):
            if not is_of_use(handle):
                del self.held[id]
            yield
        if len(self.contexts) > CONTEXTS_MOST:
            self.contexts, unused = {}, list(self.contexts.values())
            while unused:
                unused.pop()
                yield

    def forget(self) -> None:
        """Forgets the changes since the last commit."""
        self.pending, self.ready = {}, []

    cdef Credential *credential(self, str id) except NULL:
        cdef CredentialHandle handle = self.held.get(id)
        if handle is None:
            handle = self.held[id] = CredentialHandle()
        handle.credential.refs += 1
        return handle.credential

    cdef Context *context(self, tls) except NULL:
        cdef dict contexts = self.contexts if tls.clients is None else self.asking
        cdef ContextHandle handle = contexts.get(settings_of(tls))
        if handle is None and tls.clients is not None:
            for _ in self.preparing(tls):
                pass
            handle = self.asking[settings_of(tls)]
        elif handle is None:
            handle = contexts[settings_of(tls)] = ContextHandle(tls)
        handle.context.refs += 1
        return handle.context


cdef tuple settings_of(tls):
    """All that determines a context."""
    return (tls.min_version, tls.max_version, tls.ciphers, alpn_of(tls), tls.clients)


cdef tuple alpn_of(tls):
    """The protocols that are offered: none if the decrypted bytes are passed on unread."""
    return tls.alpn if tls.protocol == "http" else ()


cdef bint is_unused(ContextHandle handle) noexcept:
    """Whether no listener has these settings."""
    return handle.context.refs == 1


cdef bytes authorities_of(ContextHandle handle):
    return handle.authorities


cdef bint is_of_use(CredentialHandle handle) noexcept:
    """Whether the slot has a usable certificate, or a listener waits for one."""
    return handle.credential.leaf is not NULL or handle.credential.refs > 1


cdef int exchange(Credential *credential, Parsed parsed) except -1:
    """Moves the parsed certificate, or nothing, into the slot, and what was there before into `parsed`."""
    cdef X509 *leaf = credential.leaf
    cdef X509_STACK *chain = credential.chain
    cdef EVP_PKEY *key = credential.key
    cdef Names names = credential.names
    credential.leaf, credential.chain, credential.key = parsed.leaf, parsed.chain, parsed.key
    credential.names = parsed.names
    credential.size = parsed.size
    if parsed.key is not NULL:
        credential.kind = EVP_PKEY_get_base_id(parsed.key)
    parsed.leaf = leaf
    parsed.chain = chain
    parsed.key = key
    parsed.names = names
    return 0


def judge(certificate, *, bint sign) -> int:
    """The number of certificates of the chain that are sent, including the server's own. CertificateError: there is
    none, or, with `sign`, the key produces no signature that clients accept."""
    cdef Parsed parsed = parse(certificate.chain, certificate.key)
    if (sign or is_pss(parsed.key)) and not signs(parsed):
        raise refusal(PAIR, "the private key cannot make a signature that its certificate verifies")
    return 1 + (0 if parsed.chain is NULL else sk_X509_num(parsed.chain))


cdef Parsed parse(bytes chain, bytes key):
    """Raises CertificateError if the certificate is not usable."""
    cdef Parsed parsed = Parsed()
    for _ in parsing(parsed, chain, key):
        pass
    return parsed


def parsing(Parsed parsed, bytes chain, bytes key):
    """Fills `parsed` in steps. Raises CertificateError if the certificate is not usable."""
    cdef Text text = Text(chain)
    while read_certificate(parsed, text):
        yield
    if names_load(&parsed.names, parsed.leaf) < 0:
        raise refusal(SIZE, f"the certificate has more than {NAMES_MOST} names")
    yield
    parsed.key = read_key(key)
    yield
    if EVP_PKEY_get_bits(parsed.key) > KEY_MOST:
        raise refusal(STRENGTH, f"the private key has more than {KEY_MOST} bits")
    ERR_clear_error()
    if X509_check_private_key(parsed.leaf, parsed.key) != 1:
        raise refusal(PAIR, "the private key is not that of the certificate")
    if not taken(parsed):
        raise refusal(STRENGTH, "the certificate is refused")


cdef object refusal(str part, str text):
    """Adds the error of libssl, which never contains its input."""
    cdef const char *word = ERR_reason_error_string(ERR_peek_error())
    ERR_clear_error()
    return CertificateError(part, text if word is NULL else f"{text}: {word.decode()}")


cdef bint keep_certificate(Parsed parsed, X509 *read) except -1:
    """Owns `read` from now on. CertificateError: there are too many, or they are too large."""
    cdef bint kept = True
    parsed.size += <uint32_t> max(0, i2d_X509(read, NULL))
    if parsed.leaf is NULL:
        parsed.leaf = read
    else:
        if parsed.chain is NULL:
            parsed.chain = sk_X509_new_null()
        kept = parsed.chain is not NULL and sk_X509_push(parsed.chain, read) > 0
    if not kept:
        X509_free(read)
        raise MemoryError
    if parsed.size > CHAIN_BYTES or (parsed.chain is not NULL and sk_X509_num(parsed.chain) >= CERTIFICATES):
        raise refusal(SIZE, f"the chain has more than {CERTIFICATES} certificates or {CHAIN_BYTES} bytes")
    return True


cdef bint read_certificate(Parsed parsed, Text text) except -1:
    """Reads the next certificate of the PEM: the first one, or one of the others. False: there are no more.
    CertificateError: there is none, or it cannot be parsed."""
    cdef int count = 0 if parsed.leaf is NULL else 1
    cdef X509 *read
    cdef unsigned long error
    ERR_clear_error()
    read = PEM_read_bio_X509(text.bio, NULL, no_password, NULL)
    if read is not NULL:
        return keep_certificate(parsed, read)
    if parsed.chain is not NULL:
        count += sk_X509_num(parsed.chain)
    error = ERR_peek_error()
    if count == 0 or ERR_GET_LIB(error) != ERR_LIB_PEM or ERR_GET_REASON(error) != PEM_R_NO_START_LINE:
        raise refusal(CHAIN, f"certificate {count + 1} of the chain cannot be read")
    ERR_clear_error()               # the end of the text
    return False


cdef EVP_PKEY *read_key(bytes pem) except NULL:
    """CertificateError: it cannot be read."""
    cdef Text text = Text(pem)
    cdef EVP_PKEY *key
    ERR_clear_error()
    key = PEM_read_bio_PrivateKey(text.bio, NULL, no_password, NULL)
    if key is NULL:
        raise refusal(KEY, "the private key cannot be read")
    ERR_clear_error()
    return key


cdef bint taken(Parsed parsed) except -1:
    """Whether libssl would use it: False for a short key, a weak hash, or a kind of key that TLS does not have."""
    global _usual
    cdef SSL *ssl
    cdef bint fits
    if _usual is NULL:
        _usual = context_new("1.2", "1.3", "", ())
    ssl = SSL_new(_usual)
    if ssl is NULL:
        raise MemoryError
    fits = SSL_use_cert_and_key(ssl, parsed.leaf, parsed.key, parsed.chain, 1) == 1
    SSL_free(ssl)
    return fits

cdef SSL_CTX *_usual = NULL     # a context that no connection uses, created at its first use


cdef bint is_pss(EVP_PKEY *key) noexcept:
    """Whether the key may be restricted to a salt length that TLS does not use (RFC 8446, section 4.2.3)."""
    return EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA_PSS


cdef bint signs(Parsed parsed) except -1:
    """Whether the public key of the certificate verifies a signature of the key."""
    cdef unsigned char signature[SIGNATURE_MOST]
    cdef size_t size = SIGNATURE_MOST
    cdef const unsigned char *text = b"fastroute"
    cdef EVP_MD_CTX *signing = EVP_MD_CTX_new()
    cdef EVP_MD_CTX *checking = EVP_MD_CTX_new()
    cdef EVP_PKEY_CTX *how = NULL
    cdef bint agreed = False
    if signing is not NULL and checking is not NULL:
        agreed = (EVP_DigestSignInit(signing, &how, NULL, NULL, parsed.key) == 1
                  and (not is_pss(parsed.key) or EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST) == 1)
                  and EVP_DigestSign(signing, signature, &size, text, 9) == 1
                  and EVP_DigestVerifyInit(checking, NULL, NULL, NULL, X509_get0_pubkey(parsed.leaf)) == 1
                  and EVP_DigestVerify(checking, signature, size, text, 9) == 1)
    EVP_MD_CTX_free(signing)
    EVP_MD_CTX_free(checking)
    return agreed
