"""Verifying the certificates of clients; see admission.pxd.

A client determines what the verification costs, before it has shown that it knows a key. So the certificates are
counted and measured first, and only keys of usual sizes are used: then a verification costs less than a millisecond.
All of it happens in the turn of the handshake, which has a budget (exchange/handshake.pyx).
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uintptr_t
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec

from fastroute.ext.tls.keycost cimport is_large, is_unusual
from fastroute.ext.tls.namecost cimport are_names_costly
from fastroute.ext.tls.openssl cimport (
    ASN1_STRING_length, ERR_GET_REASON, ERR_clear_error, Return, SSL_CTX_get0_param, SSL_CTX_set0_CA_list, SSL_CTX_set_cert_verify_callback,
    SSL_CTX_set_max_cert_list, SSL_CTX_set_session_ticket_cb, SSL_CTX_set_verify, SSL_CTX_set_verify_depth,
    SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, SSL_SESSION, SSL_SESSION_get0_peer, SSL_SESSION_get0_ticket_appdata,
    SSL_SESSION_set1_ticket_appdata, SSL_TICKET_RETURN_IGNORE_RENEW, SSL_TICKET_RETURN_USE, SSL_TICKET_RETURN_USE_RENEW,
    SSL_TICKET_SUCCESS, SSL_TICKET_SUCCESS_RENEW, SSL_VERIFY_FAIL_IF_NO_PEER_CERT, SSL_VERIFY_PEER,
    SSL_get0_peer_certificate, SSL_get_peer_cert_chain, SSL_get_ex_data, SSL_get_ex_data_X509_STORE_CTX_idx,
    SSL_get_security_level, SSL_get_session, SSL_get_verify_result,
    SSL_session_reused, Status, X509, X509_EXTENSION_get_data, X509_NAME, X509_NAME_STACK, X509_NAME_dup, X509_NAME_entry_count, X509_NAME_free,
    X509_OBJECT_STACK, X509_OBJECT_get0_X509, X509_STACK, X509_STORE, X509_STORE_CTX, X509_STORE_CTX_free,
    X509_STORE_CTX_get0_param, X509_STORE_CTX_get0_untrusted, X509_STORE_CTX_get_error, X509_STORE_CTX_get_ex_data,
    X509_STORE_CTX_init,
    X509_STORE_CTX_new, X509_STORE_CTX_set_default, X509_STORE_CTX_set_error, X509_STORE_get0_objects,
    X509_VERIFY_PARAM, X509_VERIFY_PARAM_set_auth_level, X509_VERIFY_PARAM_set_depth, X509_VERIFY_PARAM_set_flags,
    X509_V_ERR_APPLICATION_VERIFICATION, X509_V_ERR_CERT_HAS_EXPIRED, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
    X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,
    X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_UNSPECIFIED,
    X509_V_FLAG_PARTIAL_CHAIN, X509_V_OK, X509_cmp_current_time, X509_get0_notAfter, X509_get0_pubkey, X509_get_ext,
    X509_get_ext_count, X509_get_issuer_name, X509_get_subject_name, X509_verify_cert, i2d_X509, i2d_X509_NAME,
    sk_X509_NAME_new_null, sk_X509_NAME_pop_free, sk_X509_NAME_push, sk_X509_OBJECT_num, sk_X509_OBJECT_value,
    sk_X509_num, sk_X509_value,
)

cdef enum:
    DEPTH = 5                   # certificates of issuers in a chain, without the anchor
    LEAF_MOST = 8192            # bytes of the client's own certificate, which is part of its tickets
    EXTENSIONS_MOST = 64        # of a certificate
    ENTRIES_MOST = 64           # of a subject or issuer
    NAMED_MOST = 12288          # bytes of the names of CAs that are sent to clients; if they are longer, none are sent
    EXTENDED_MOST = 4096        # bytes of the extensions of all certificates
    # Bytes of memory for each byte of a certificate that was made to need much, as measured with OpenSSL 3.0. After a
    # verification libcrypto keeps the parsed extensions: an empty name, which has 2 bytes, needs 108.
    EXTENDED_MEMORY = 56
    OTHER_MEMORY = 16
    RESUMED_FOR = 3600          # seconds after a certificate was verified for which its session is resumed


cdef int64_t seconds_now() noexcept nogil:
    cdef timespec time
    clock_gettime(CLOCK_REALTIME, &time)
    return time.tv_sec


# --- settings


cdef int admission_set(SSL_CTX *context, Anchors anchors, Clients clients) except -1:
    cdef int insists = SSL_VERIFY_FAIL_IF_NO_PEER_CERT if clients == CLIENTS_REQUIRED else 0
    name_anchors(context, anchors)
    # A CA that is named as an anchor needs no issuer.
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN)
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | insists, NULL)
    SSL_CTX_set_verify_depth(context, DEPTH)
    SSL_CTX_set_max_cert_list(context, SHOWN_MOST)
    SSL_CTX_set_cert_verify_callback(context, verify, <void *> <uintptr_t> clients)
    if SSL_CTX_set_session_ticket_cb(context, ticket_made, ticket_opened, NULL) != 1:
        raise MemoryError
    return 0


cdef int name_anchors(SSL_CTX *context, Anchors anchors) except -1:
    """The names of the CAs, which are sent in the CertificateRequest, so that a client can choose its certificate."""
    cdef X509_OBJECT_STACK *objects = X509_STORE_get0_objects(anchors.store)
    cdef X509_NAME_STACK *names
    cdef X509_NAME *name
    cdef long size = 0
    cdef int i
    for i in range(sk_X509_OBJECT_num(objects)):
        size += 2 + i2d_X509_NAME(X509_get_subject_name(X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i))), NULL)
    names = sk_X509_NAME_new_null()
    if names is NULL:
        raise MemoryError
    if size <= NAMED_MOST:
        for i in range(sk_X509_OBJECT_num(objects)):
            name = X509_NAME_dup(X509_get_subject_name(X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i))))
            if name is NULL or sk_X509_NAME_push(names, name) <= 0:
                X509_NAME_free(name)
                sk_X509_NAME_pop_free(names, X509_NAME_free)
                raise MemoryError
    SSL_CTX_set0_CA_list(context, names)
    return 0


# --- the certificate of a client


cdef int verify(X509_STORE_CTX *chain, void *data) noexcept nogil:
    """Called by libssl instead of X509_verify_cert, in each full handshake with a certificate. 1: go on. `data`: the
    Clients."""
    cdef const SSL *ssl = <const SSL *> X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx())
    cdef uint32_t *shown = <uint32_t *> SSL_get_ex_data(ssl, SHOWN)
    if is_costly(chain):
        ERR_clear_error()
        X509_STORE_CTX_set_error(chain, X509_V_ERR_APPLICATION_VERIFICATION)
        return 0
    shown[0] = memory_of(X509_STORE_CTX_get0_untrusted(chain))
    if X509_verify_cert(chain) == 1 and X509_STORE_CTX_get_error(chain) == X509_V_OK:
        return 1
    if X509_STORE_CTX_get_error(chain) == X509_V_OK:
        X509_STORE_CTX_set_error(chain, X509_V_ERR_UNSPECIFIED)     # out of memory
    if <uintptr_t> data != CLIENTS_OPTIONAL:
        return 0
    ERR_clear_error()
    return 1


cdef uint32_t extended(const X509 *certificate) noexcept nogil:
    """Bytes of its extensions."""
    cdef uint32_t size = 0
    cdef int i
    for i in range(X509_get_ext_count(certificate)):
        size += <uint32_t> ASN1_STRING_length(X509_EXTENSION_get_data(X509_get_ext(certificate, i)))
    return size


cdef uint32_t admission_memory(const X509 *certificate) noexcept nogil:
    cdef uint32_t parsed = extended(certificate)
    return parsed * EXTENDED_MEMORY + (<uint32_t> i2d_X509(certificate, NULL) - parsed) * OTHER_MEMORY


cdef uint32_t memory_of(const X509_STACK *shown) noexcept nogil:
    cdef uint32_t size = 0
    cdef int i
    for i in range(sk_X509_num(shown)):
        size += admission_memory(sk_X509_value(shown, i))
    return size


cdef bint is_costly(const X509_STORE_CTX *chain) noexcept nogil:
    """Whether the certificates are too many or too complex, or their keys too large or of unusual kinds, or their names too
    many for the name constraints."""
    cdef X509_STACK *shown = X509_STORE_CTX_get0_untrusted(chain)
    cdef X509 *one
    cdef uint32_t size = 0
    cdef int i
    if shown is NULL or sk_X509_num(shown) > DEPTH + 1:
        return True
    for i in range(sk_X509_num(shown)):
        one = sk_X509_value(shown, i)
        if (X509_get_ext_count(one) > EXTENSIONS_MOST or X509_NAME_entry_count(X509_get_subject_name(one)) > ENTRIES_MOST
                or X509_NAME_entry_count(X509_get_issuer_name(one)) > ENTRIES_MOST
                or is_large(X509_get0_pubkey(one)) or is_unusual(X509_get0_pubkey(one))
                or (i == 0 and i2d_X509(one, NULL) > LEAF_MOST)):
            return True
        size += extended(one)
    return size > EXTENDED_MOST or are_names_costly(chain)


cdef bint admission_holds(const SSL *ssl, X509_STORE *anchors) noexcept nogil:
    cdef X509 *leaf = SSL_get0_peer_certificate(ssl)
    cdef X509_STORE_CTX *chain = X509_STORE_CTX_new() if leaf is not NULL else NULL
    cdef X509_VERIFY_PARAM *rules
    cdef bint holds = False
    # As libssl does it in a handshake. A resumed session has no certificates of issuers.
    if chain is not NULL and X509_STORE_CTX_init(chain, anchors, leaf, SSL_get_peer_cert_chain(ssl)) == 1 \
            and X509_STORE_CTX_set_default(chain, "ssl_client") == 1:
        rules = X509_STORE_CTX_get0_param(chain)
        X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_PARTIAL_CHAIN)
        X509_VERIFY_PARAM_set_depth(rules, DEPTH)
        X509_VERIFY_PARAM_set_auth_level(rules, SSL_get_security_level(ssl))
        holds = not are_names_costly(chain) and X509_verify_cert(chain) == 1
    X509_STORE_CTX_free(chain)
    ERR_clear_error()
    return holds


cdef const char *admission_fault(const SSL *ssl, uint8_t clients, unsigned long error) noexcept nogil:
    cdef long verified = SSL_get_verify_result(ssl)
    if clients == CLIENTS_OPTIONAL and verified != X509_V_ERR_APPLICATION_VERIFICATION:
        return NULL             # such a certificate alone does not end the handshake
    if verified == X509_V_OK:
        if error != 0 and ERR_GET_REASON(error) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
            return b"client_certificate_missing"
        return NULL
    if verified == X509_V_ERR_CERT_HAS_EXPIRED:
        return b"client_certificate_expired"
    if verified in (X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,
                    X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
                    X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN):
        return b"client_certificate_untrusted"
    return b"client_certificate_invalid"


# --- sessions


cdef int ticket_made(SSL *ssl, void *data) noexcept nogil:
    """Called by libssl before it makes a ticket, to which the time of the verification is added. 1: make it."""
    cdef int64_t now
    if SSL_session_reused(ssl) == 1:
        return 1                # the session still has the time of its full handshake
    now = seconds_now()
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), &now, sizeof(now))


cdef Return ticket_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t size, Status status,
                          void *data) noexcept nogil:
    """Called by libssl with the session of a ticket. Decides whether it is resumed."""
    if (status != SSL_TICKET_SUCCESS and status != SSL_TICKET_SUCCESS_RENEW) or not is_recent(session):
        return SSL_TICKET_RETURN_IGNORE_RENEW
    return SSL_TICKET_RETURN_USE if status == SSL_TICKET_SUCCESS else SSL_TICKET_RETURN_USE_RENEW


cdef bint is_recent(SSL_SESSION *session) noexcept nogil:
    cdef X509 *leaf = SSL_SESSION_get0_peer(session)
    cdef int64_t *verified = NULL
    cdef size_t size = 0
    cdef int64_t age
    if SSL_SESSION_get0_ticket_appdata(session, <void **> &verified, &size) != 1 or size != sizeof(int64_t):
        return False
    age = seconds_now() - verified[0]
    return 0 <= age < RESUMED_FOR and (leaf is NULL or X509_cmp_current_time(X509_get0_notAfter(leaf)) > 0)
