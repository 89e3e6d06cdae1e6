"""How an HTTPS listener terminates TLS; see secure.pxd."""

from libc.stdlib cimport calloc, free

from fastroute.ext.certificate cimport credential_unref
from fastroute.ext.openssl cimport (
    ERR_clear_error, EVP_Digest, EVP_sha256, SSL_CTX_free, SSL_free, SSL_new, SSL_set_accept_state,
    SSL_set_session_id_context, SSL_use_cert_and_key, X509_check_host,
)


cdef Secure *secure_new(listener, Certificates certificates) except NULL:
    cdef tuple ids = () if listener.tls is None else listener.tls.certificates
    cdef Secure *secure = <Secure *> calloc(1, sizeof(Secure) + len(ids) * sizeof(Credential *))
    cdef bytes identity = f"{listener.gateway}|{listener.name}|{listener.hostname}".encode()
    if secure is NULL:
        raise MemoryError
    secure.refs = 1
    secure.credentials = <Credential **> (secure + 1)
    EVP_Digest(<const char *> identity, len(identity), secure.session_context, NULL, EVP_sha256(), NULL)
    try:
        for id in ids:
            secure.credentials[secure.count] = certificates.credential(id)
            secure.count += 1
        if ids:
            secure.context = certificates.context(listener.tls)
    except ValueError:
        pass
    except BaseException:
        secure_unref(secure)
        raise
    return secure


cdef void secure_unref(Secure *secure) noexcept nogil:
    cdef uint32_t i
    secure.refs -= 1
    if secure.refs:
        return
    for i in range(secure.count):
        credential_unref(secure.credentials[i])
    SSL_CTX_free(secure.context)
    free(secure)


cdef bint has_name(const Credential *credential, const char *name, uint32_t size) noexcept nogil:
    return size != 0 and X509_check_host(credential.leaf, name, size, 0, NULL) == 1


cdef const Credential *better(const Secure *secure, uint32_t index, const char *name, uint32_t size) noexcept nogil:
    """The certificate at this index; NULL if it is empty, or if another one of its kind is used instead."""
    cdef const Credential *credential = secure.credentials[index]
    cdef const Credential *other
    cdef bint named
    cdef uint32_t i
    if credential.leaf is NULL:
        return NULL
    if secure.count == 1:
        return credential
    named = has_name(credential, name, size)
    for i in range(secure.count):
        other = secure.credentials[i]
        if i == index or other.leaf is NULL or other.kind != credential.kind:
            continue
        if has_name(other, name, size):
            if not named or i < index:
                return NULL
        elif not named and i < index:
            return NULL
    return credential


cdef SSL *secure_open(const Secure *secure, const char *name, uint32_t size) noexcept nogil:
    cdef const Credential *credential
    cdef uint32_t i
    cdef bint shown = False
    cdef SSL *ssl = NULL
    if secure.context is not NULL:
        ssl = SSL_new(<SSL_CTX *> secure.context)
    if ssl is NULL:
        ERR_clear_error()
        return NULL
    for i in range(secure.count):
        credential = better(secure, i, name, size)
        if credential is not NULL:
            shown = SSL_use_cert_and_key(ssl, credential.leaf, credential.key, credential.chain, 1) == 1 or shown
    if not shown or SSL_set_session_id_context(ssl, secure.session_context, SESSION_CONTEXT) != 1:
        ERR_clear_error()
        SSL_free(ssl)
        return NULL
    SSL_set_accept_state(ssl)
    return ssl
