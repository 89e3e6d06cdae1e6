"""How an HTTPS listener terminates TLS; see secure.pxd."""

from libc.stdint cimport uint16_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from fastroute.ext.memory.bytemap cimport bytes_hash, process_seed
from fastroute.ext.memory.owner cimport owner_of
from fastroute.ext.tls.admission cimport CLIENTS_UNASKED
from fastroute.ext.tls.certificate cimport DIGEST, clients_of, context_unref, credential_unref
from fastroute.ext.tls.names cimport names_have
from fastroute.ext.tls.openssl cimport (
    ERR_clear_error, EVP_Digest, EVP_sha256, SSL_free, SSL_new, SSL_set1_verify_cert_store, SSL_set_accept_state,
    SSL_set_session_id_context, SSL_use_cert_and_key,
)

cdef enum:
    KINDS_MOST = 4              # kinds of keys: RSA, RSA-PSS, ECDSA, Ed25519

cdef struct Choice:             # the certificate for one kind of key
    const Credential *credential
    bint named                  # it has the name that the client asks for


cdef Secure *secure_new(listener, Certificates certificates) except NULL:
    cdef tuple ids = () if listener.tls is None else listener.tls.certificates
    cdef Secure *secure = <Secure *> calloc(1, sizeof(Secure) + len(ids) * sizeof(Credential *))
    cdef bytes identity = f"{listener.gateway}|{listener.name}|{listener.hostname}".encode()
    if secure is NULL:
        raise MemoryError
    secure.refs = 1
    secure.credentials = <Credential **> (secure + 1)
    secure.flow = <uint16_t> (bytes_hash(identity, <uint32_t> len(identity), process_seed()) % FLOWS)
    secure.owner = owner_of(namespace_of(listener))
    secure.clients = clients_of(listener.tls)
    try:
        for id in ids:
            secure.credentials[secure.count] = certificates.credential(id)
            secure.count += 1
        if ids:
            secure.context = certificates.context(listener.tls)
        if secure.context is not NULL and secure.clients != CLIENTS_UNASKED:
            memcpy(secure.digest, secure.context.digest, DIGEST)
            identity += b"|%d|" % secure.clients + secure.digest[:DIGEST]
    except ValueError:
        pass
    except BaseException:
        secure_unref(secure)
        raise
    EVP_Digest(<const char *> identity, len(identity), secure.session_context, NULL, EVP_sha256(), NULL)
    return secure


cdef str namespace_of(listener):
    """The namespace of the Gateway or ListenerSet that has the listener; the name of a ListenerSet's is
    `namespace/set/listener`."""
    return (listener.name if "/" in listener.name else listener.gateway).partition("/")[0]


cdef void secure_unref(Secure *secure) noexcept nogil:
    cdef uint32_t i
    secure.refs -= 1
    if secure.refs:
        return
    for i in range(secure.count):
        credential_unref(secure.credentials[i])
    if secure.context is not NULL:
        context_unref(secure.context)
    free(secure)


cdef uint32_t choose(const Secure *secure, const char *name, uint32_t size, Choice *choices) noexcept nogil:
    """The certificates for this client, one of each kind of key. Returns their number."""
    cdef const Credential *credential
    cdef uint32_t count = 0
    cdef uint32_t i, kind
    cdef bint named
    for i in range(secure.count):
        credential = secure.credentials[i]
        if credential.leaf is NULL:
            continue
        kind = 0
        while kind < count and choices[kind].credential.kind != credential.kind:
            kind += 1
        if kind == KINDS_MOST or (kind < count and choices[kind].named):
            continue
        named = names_have(&credential.names, name, size)
        if kind == count or named:
            choices[kind].credential = credential
            choices[kind].named = named
        if kind == count:
            count += 1
    return count


cdef SSL *secure_open(const Secure *secure, const char *name, uint32_t size, uint32_t *longest) noexcept nogil:
    cdef Choice choices[KINDS_MOST]
    cdef const Credential *credential
    cdef uint32_t i
    cdef bint shown = False
    cdef SSL *ssl = NULL
    longest[0] = 0
    if secure.context is not NULL:
        ssl = SSL_new(secure.context.ssl)
    if ssl is NULL:
        ERR_clear_error()
        return NULL
    for i in range(choose(secure, name, size, choices)):
        credential = choices[i].credential
        longest[0] = max(longest[0], credential.size)
        shown = SSL_use_cert_and_key(ssl, credential.leaf, credential.key, credential.chain, 1) == 1 or shown
    if secure.clients != CLIENTS_UNASKED:
        SSL_set1_verify_cert_store(ssl, secure.context.store)
    if not shown or SSL_set_session_id_context(ssl, secure.session_context, SESSION_CONTEXT) != 1:
        ERR_clear_error()
        SSL_free(ssl)
        return NULL
    SSL_set_accept_state(ssl)
    return ssl
