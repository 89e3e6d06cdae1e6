"""TLS towards backends; see verification.pxd."""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, strlen
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec

from fastroute.ext.memory.address cimport AF_INET, AF_INET6, inet_pton
from fastroute.ext.message.protocol cimport PROTOCOL_HTTP2_BACKEND, PROTOCOL_RAW
from fastroute.ext.tls.certificate cimport Parsed, parse
from fastroute.ext.tls.context cimport client_context_new
from fastroute.ext.tls.keycost cimport is_large
from fastroute.ext.tls.namecost cimport are_names_costly
from fastroute.ext.tls.openssl cimport (
    ASN1_STRING, GENERAL_NAMES, GEN_URI, NID_subject_alt_name, SSL_SESS_CACHE_CLIENT, SSL_SESS_CACHE_NO_INTERNAL,
    SSL_VERIFY_PEER, X509, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
    X509_CHECK_FLAG_SINGLE_LABEL_SUBDOMAINS, X509_STACK, X509_STORE_CTX, X509_VERIFY_PARAM,
    X509_V_ERR_APPLICATION_VERIFICATION, X509_V_ERR_HOSTNAME_MISMATCH, X509_V_FLAG_PARTIAL_CHAIN, ASN1_STRING_get0_data, ASN1_STRING_length, ERR_clear_error, GENERAL_NAMES_free,
    GENERAL_NAME_get0_value, SSL_CTX_free, SSL_CTX_get0_param, SSL_CTX_sess_set_new_cb, SSL_CTX_set1_cert_store,
    SSL_CTX_set_alpn_protos, SSL_CTX_set_cert_verify_callback, SSL_CTX_set_max_cert_list,
    SSL_CTX_set_session_cache_mode, SSL_CTX_set_verify, SSL_CTX_set_verify_depth, SSL_CTX_use_cert_and_key,
    SSL_SESSION_free, SSL_SESSION_get0_peer, SSL_SESSION_is_resumable, SSL_free, SSL_get_ex_data,
    SSL_get_ex_data_X509_STORE_CTX_idx, SSL_new, SSL_set_connect_state, SSL_set_ex_data, SSL_set_session,
    SSL_set_tlsext_host_name, X509_STORE_CTX_get0_cert, X509_STORE_CTX_get0_untrusted, X509_STORE_CTX_get_ex_data,
    X509_STORE_CTX_set_error,
    X509_VERIFY_PARAM_set1_host, X509_VERIFY_PARAM_set1_ip_asc, X509_VERIFY_PARAM_set_flags,
    X509_VERIFY_PARAM_set_hostflags, X509_check_host, X509_cmp_current_time, X509_get0_notAfter, X509_get0_pubkey,
    X509_get_ext_d2i, X509_verify_cert, sk_GENERAL_NAME_num, sk_GENERAL_NAME_value, sk_X509_num, sk_X509_value,
)

cdef enum:
    DEPTH = 10                  # certificates of a chain
    CHAIN_MOST = 65536          # bytes of them
    RESUMED_FOR = 3600          # seconds after a certificate was verified for which its session is resumed
    OURS = 0                    # index of the application's data of a libssl connection

cdef const char *ALPN = b"\x08http/1.1"
cdef const char *ALPN_HTTP2 = b"\x02h2"


cdef int64_t seconds_now() noexcept nogil:
    cdef timespec time
    clock_gettime(CLOCK_REALTIME, &time)
    return time.tv_sec


# --- creation


cdef char *copied(char **at, bytes text) except NULL:
    cdef char *start = at[0]
    memcpy(start, <const char *> text, len(text) + 1)
    at[0] += len(text) + 1
    return start


cdef Verification *verification_without() except NULL:
    cdef Verification *verification = <Verification *> calloc(1, sizeof(Verification))
    if verification is NULL:
        raise MemoryError
    return verification


cdef Verification *verification_new(tls, Anchors anchors, uint8_t protocol) except NULL:
    cdef list hosts = [host_rule(each) for each in tls.subject_names]
    cdef list uris = [plain(uri) for uri in tls.subject_uris]
    cdef bytes server_name = plain(tls.server_name)
    cdef size_t pointers = (len(hosts) + len(uris)) * sizeof(char *)
    cdef size_t size = sizeof(Verification) + pointers + sum(len(each) + 1 for each in [*hosts, *uris, server_name])
    cdef Verification *verification = <Verification *> calloc(1, size)
    cdef char *at
    if verification is NULL:
        raise MemoryError
    verification.hosts = <char **> (verification + 1)
    verification.uris = verification.hosts + len(hosts)
    at = <char *> (verification.uris + len(uris))
    try:
        for one in hosts:
            verification.hosts[verification.hosts_count] = copied(&at, one)
            verification.hosts_count += 1
        for one in uris:
            verification.uris[verification.uris_count] = copied(&at, one)
            verification.uris_count += 1
        verification.http2 = protocol == PROTOCOL_HTTP2_BACKEND
        verification.server_name = copied(&at, server_name)
        verification.context = client_context_new()
        set_rules(verification, anchors)
        if protocol != PROTOCOL_RAW:
            offer_protocol(verification)
        if tls.client_certificate is not None:
            show(verification, parse(tls.client_certificate.chain, tls.client_certificate.key))
    except BaseException:
        verification_free(verification)
        ERR_clear_error()
        raise
    return verification


cdef bytes plain(str text):
    """ValueError: it is empty, or has characters that no name has."""
    cdef bytes encoded = text.encode("ascii")
    if not encoded or min(encoded) <= 32:
        raise ValueError(f"{text!r} is no name")
    return encoded


cdef bytes host_rule(str name):
    """A name with a wildcard as X509_check_host wants it: `.example.com` is any name with one label before that."""
    return plain(name[1:] if name.startswith("*.") else name)


cdef int set_rules(Verification *verification, Anchors anchors) except -1:
    cdef X509_VERIFY_PARAM *rules = SSL_CTX_get0_param(verification.context)
    cdef bint named = verification.hosts_count + verification.uris_count == 0
    cdef int known = 1
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS)
    # A CA that is named as an anchor needs no issuer.
    X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_PARTIAL_CHAIN)
    if is_address(verification.server_name):
        if named:
            known = X509_VERIFY_PARAM_set1_ip_asc(rules, verification.server_name)
        verification.server_name = NULL     # RFC 6066 section 3
    elif named:
        known = X509_VERIFY_PARAM_set1_host(rules, verification.server_name, 0)
    if known != 1:
        raise MemoryError
    SSL_CTX_set1_cert_store(verification.context, anchors.store)
    SSL_CTX_set_verify(verification.context, SSL_VERIFY_PEER, NULL)
    SSL_CTX_set_verify_depth(verification.context, DEPTH)
    SSL_CTX_set_max_cert_list(verification.context, CHAIN_MOST)
    SSL_CTX_set_cert_verify_callback(verification.context, verify, NULL)
    SSL_CTX_set_session_cache_mode(verification.context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL)
    SSL_CTX_sess_set_new_cb(verification.context, keep_session)
    return 0


cdef int offer_protocol(Verification *verification) except -1:
    """Offers the protocol by ALPN. (What is in bytes that are passed on unread is not known.)"""
    cdef const char *alpn = ALPN_HTTP2 if verification.http2 else ALPN
    if SSL_CTX_set_alpn_protos(verification.context, <const unsigned char *> alpn, <unsigned int> strlen(alpn)) != 0:
        raise MemoryError
    return 0


cdef bint is_address(const char *name) noexcept nogil:
    cdef char[16] address
    return inet_pton(AF_INET, name, address) == 1 or inet_pton(AF_INET6, name, address) == 1


cdef int show(Verification *verification, Parsed own) except -1:
    """Presents the gateway's certificate to backends that ask for one."""
    if SSL_CTX_use_cert_and_key(verification.context, own.leaf, own.key, own.chain, 1) != 1:
        raise ValueError("the client certificate is refused")
    return 0


cdef void verification_free(Verification *verification) noexcept nogil:
    cdef uint32_t i
    if verification is NULL:
        return
    for i in range(<uint32_t> SESSIONS):
        SSL_SESSION_free(verification.kept[i].session)
    SSL_CTX_free(verification.context)
    free(verification)


# --- the certificate of the backend


cdef int verify(X509_STORE_CTX *chain, void *data) noexcept nogil:
    """Called by libssl instead of X509_verify_cert, in each full handshake. 1: the certificate is valid."""
    cdef SSL *ssl = <SSL *> X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx())
    cdef Dialogue *dialogue = <Dialogue *> SSL_get_ex_data(ssl, OURS)
    if is_costly(chain):
        X509_STORE_CTX_set_error(chain, X509_V_ERR_APPLICATION_VERIFICATION)
        return 0
    if X509_verify_cert(chain) != 1:
        return 0
    if not has_subject(dialogue.verification, X509_STORE_CTX_get0_cert(chain)):
        X509_STORE_CTX_set_error(chain, X509_V_ERR_HOSTNAME_MISMATCH)
        return 0
    dialogue.verified = seconds_now()
    return 1


cdef bint is_costly(const X509_STORE_CTX *chain) noexcept nogil:
    """Whether a certificate has a key with which a verification takes milliseconds, in one step of the engine, or its names
    do. The control plane has examined the keys of the anchors of ConfigMaps. Keys of unusual kinds are allowed: the path to
    an anchor may avoid them."""
    cdef X509_STACK *shown = X509_STORE_CTX_get0_untrusted(chain)
    cdef int i
    for i in range(sk_X509_num(shown)):
        if is_large(X509_get0_pubkey(sk_X509_value(shown, i))):
            return True
    return are_names_costly(chain)


cdef bint has_subject(const Verification *verification, X509 *leaf) noexcept nogil:
    """Whether the certificate has one of the subject names, if there are any."""
    cdef unsigned int flags = (X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS
                               | X509_CHECK_FLAG_SINGLE_LABEL_SUBDOMAINS)
    cdef uint32_t i
    if verification.hosts_count + verification.uris_count == 0:
        return True
    for i in range(verification.hosts_count):
        if X509_check_host(leaf, verification.hosts[i], 0, flags, NULL) == 1:
            return True
    return verification.uris_count != 0 and has_uri(verification, leaf)


cdef bint has_uri(const Verification *verification, X509 *leaf) noexcept nogil:
    cdef GENERAL_NAMES *names = <GENERAL_NAMES *> X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL)
    cdef bint found = False
    cdef int i
    if names is NULL:
        ERR_clear_error()
        return False
    for i in range(sk_GENERAL_NAME_num(names)):
        found = found or is_uri(verification, names, i)
    GENERAL_NAMES_free(names)
    return found


cdef bint is_uri(const Verification *verification, GENERAL_NAMES *names, int index) noexcept nogil:
    cdef int kind
    cdef void *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, index), &kind)
    cdef size_t size
    cdef uint32_t i
    if kind != GEN_URI:
        return False
    size = <size_t> ASN1_STRING_length(<ASN1_STRING *> value)
    for i in range(verification.uris_count):
        if strlen(verification.uris[i]) == size and memcmp(
                verification.uris[i], ASN1_STRING_get0_data(<ASN1_STRING *> value), size) == 0:
            return True
    return False


# --- connections and their sessions


cdef inline Kept *slot_of(const Dialogue *dialogue) noexcept nogil:
    return &dialogue.verification.kept[dialogue.endpoint % SESSIONS]


cdef int keep_session(SSL *ssl, SSL_SESSION *session) noexcept nogil:
    """Called by libssl for each new session. 1: the session is now owned here."""
    cdef const Dialogue *dialogue = <const Dialogue *> SSL_get_ex_data(ssl, OURS)
    cdef Kept *kept = slot_of(dialogue)
    if dialogue.verified == 0 or SSL_SESSION_is_resumable(session) != 1:
        return 0
    SSL_SESSION_free(kept.session)
    kept.session = session
    kept.endpoint = dialogue.endpoint
    kept.verified = dialogue.verified
    return 1


cdef void drop(Kept *kept) noexcept nogil:
    SSL_SESSION_free(kept.session)
    kept.session = NULL


cdef bint is_good(const Kept *kept) noexcept nogil:
    cdef int64_t age = seconds_now() - kept.verified
    cdef X509 *leaf = SSL_SESSION_get0_peer(kept.session)
    return (0 <= age < RESUMED_FOR and SSL_SESSION_is_resumable(kept.session) == 1 and leaf is not NULL
            and X509_cmp_current_time(X509_get0_notAfter(leaf)) > 0)


cdef void offer(SSL *ssl, Dialogue *dialogue) noexcept nogil:
    """Offers the session of the endpoint, if there is a usable one."""
    cdef Kept *kept = slot_of(dialogue)
    if kept.session is NULL or kept.endpoint != dialogue.endpoint:
        return
    if not is_good(kept):
        drop(kept)
    elif SSL_set_session(ssl, kept.session) == 1:
        dialogue.verified = kept.verified


cdef SSL *verification_open(Dialogue *dialogue) noexcept nogil:
    cdef const Verification *verification = dialogue.verification
    cdef SSL *ssl = SSL_new(verification.context) if verification.context is not NULL else NULL
    if ssl is NULL or SSL_set_ex_data(ssl, OURS, dialogue) != 1 or (
            verification.server_name is not NULL and SSL_set_tlsext_host_name(ssl, verification.server_name) != 1):
        ERR_clear_error()
        SSL_free(ssl)
        return NULL
    SSL_set_connect_state(ssl)
    offer(ssl, dialogue)
    return ssl


cdef void verification_forget(Dialogue *dialogue) noexcept nogil:
    cdef Kept *kept = slot_of(dialogue)
    if kept.endpoint == dialogue.endpoint:
        drop(kept)
