"""Creating libssl contexts; see context.pxd.

Disabled: compression (also of certificates), renegotiation, early data, the session cache (tickets are used,
ticket.pxd), groups and hashes below 112 bits, and building chains in each handshake (clients get the content of the
Secret). The client chooses the group of the key exchange, so expensive groups are not offered: with ffdhe8192, a
handshake costs 11 ms. ALPN: the order of the
server decides (RFC 7301 section 3.2); a client that offers only other protocols is refused. PROTOCOLS is the table of
the protocols that the engine supports.
"""

from libc.stdint cimport uint64_t, uintptr_t
from libc.string cimport memcmp, strlen

from fastroute.ext.tls.openssl cimport (
    SSL, ERR_clear_error, OPENSSL_init_ssl, SSL_CTX_clear_mode, SSL_CTX_free, SSL_CTX_new, SSL_CTX_set_alpn_select_cb,
    SSL_CTX_set1_groups_list, SSL_CTX_set_cipher_list, SSL_CTX_set_ciphersuites, SSL_CTX_set_max_early_data,
    SSL_CTX_set_max_proto_version, SSL_CTX_set_min_proto_version, SSL_CTX_set_mode, SSL_CTX_set_num_tickets,
    SSL_CTX_set_options, SSL_CTX_set_security_level, SSL_CTX_set_session_cache_mode, SSL_CTX_set_timeout,
    SSL_CTX_set_tlsext_ticket_key_evp_cb, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER, SSL_MODE_AUTO_RETRY,
    SSL_MODE_ENABLE_PARTIAL_WRITE, SSL_MODE_NO_AUTO_CHAIN, SSL_MODE_RELEASE_BUFFERS, SSL_OP_CIPHER_SERVER_PREFERENCE,
    SSL_OP_NO_COMPRESSION, SSL_OP_NO_RENEGOTIATION, SSL_OP_NO_TX_CERTIFICATE_COMPRESSION,
    SSL_OP_NO_RX_CERTIFICATE_COMPRESSION, SSL_OP_PRIORITIZE_CHACHA, SSL_SESS_CACHE_OFF, SSL_TLSEXT_ERR_ALERT_FATAL,
    SSL_TLSEXT_ERR_OK, TLS1_2_VERSION, TLS1_3_VERSION, TLS_client_method, TLS_server_method,
)
from fastroute.ext.tls.ticket cimport ticket_key

cdef enum:
    SECURITY_LEVEL = 2          # 112 bits: RSA from 2048, no SHA-1
    TICKET_LIFE = 7200          # seconds that a ticket is valid (supervisor/tickets.py keeps its key that long)
    PROTOCOLS_MOST = 8          # per context: one byte each in the pointer that libssl keeps for us

cdef const char *PROTOCOLS[2]   # by number, from 1
PROTOCOLS[:] = [b"http/1.1", b"h2"]

VERSIONS = {"1.2": TLS1_2_VERSION, "1.3": TLS1_3_VERSION}
CIPHERS = ("ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
           "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305")

cdef const char *GROUPS = b"X25519:P-256:P-384"
cdef const char *HYBRID_GROUPS = b"X25519MLKEM768:X25519:P-256:P-384"       # since OpenSSL 3.5
SUITES = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"


def load_libssl() -> None:
    """Initialises libssl and libcrypto, which read their configuration file."""
    if OPENSSL_init_ssl(0, NULL) != 1:
        ERR_clear_error()
        raise OSError("OpenSSL cannot be initialised: see its configuration file")


cdef int select_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_size,
                         const unsigned char *offered, unsigned int size, void *data) noexcept nogil:
    """The first of our protocols that the client offers. `data`: protocol numbers, one byte each, the first in the
    lowest byte."""
    cdef uint64_t ours = <uint64_t> <uintptr_t> data
    cdef unsigned int at
    cdef const char *name
    while ours:
        name = PROTOCOLS[(ours & 0xFF) - 1]
        at = 0
        while at < size and offered[at] < size - at:
            if offered[at] == strlen(name) and memcmp(offered + at + 1, name, offered[at]) == 0:
                chosen[0] = offered + at + 1
                chosen_size[0] = offered[at]
                return SSL_TLSEXT_ERR_OK
            at += 1 + offered[at]
        ours >>= 8
    return SSL_TLSEXT_ERR_ALERT_FATAL


cdef uint64_t numbers(tuple names) except? 0:
    """The protocols in the format of `select_protocol`."""
    cdef uint64_t packed = 0
    cdef list known = [name.decode() for name in PROTOCOLS]
    if len(names) > PROTOCOLS_MOST:
        raise ValueError(f"at most {PROTOCOLS_MOST} protocols")
    for name in reversed(names):
        if name not in known:
            raise ValueError(f"protocol {name!r} is not spoken")
        packed = packed << 8 | <uint64_t> (known.index(name) + 1)
    return packed


cdef void set_usual(SSL_CTX *context) noexcept:
    """What holds for clients and for backends."""
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TX_CERTIFICATE_COMPRESSION
                        | SSL_OP_NO_RX_CERTIFICATE_COMPRESSION)
    SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY)
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                     | SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN)
    SSL_CTX_set_max_early_data(context, 0)
    SSL_CTX_set_security_level(context, SECURITY_LEVEL)


cdef SSL_CTX *client_context_new() except NULL:
    cdef SSL_CTX *context = SSL_CTX_new(TLS_client_method())
    if context is NULL:
        raise MemoryError
    set_usual(context)
    try:
        set_versions(context, "1.2", "1.3")
        set_groups(context)
        set_ciphers(context, [])
    except BaseException:
        SSL_CTX_free(context)
        ERR_clear_error()
        raise
    return context


cdef SSL_CTX *context_new(str min_version, str max_version, str ciphers, tuple alpn) except NULL:
    cdef SSL_CTX *context = SSL_CTX_new(TLS_server_method())
    if context is NULL:
        raise MemoryError
    set_usual(context)
    try:
        SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA)
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF)
        SSL_CTX_set_num_tickets(context, 1)
        SSL_CTX_set_timeout(context, TICKET_LIFE)
        SSL_CTX_set_tlsext_ticket_key_evp_cb(context, ticket_key)
        if alpn:
            SSL_CTX_set_alpn_select_cb(context, select_protocol, <void *> <uintptr_t> numbers(alpn))
        set_versions(context, min_version, max_version)
        set_groups(context)
        set_ciphers(context, ciphers.split(":") if ciphers else [])
    except BaseException:
        SSL_CTX_free(context)
        ERR_clear_error()
        raise
    return context


cdef int set_versions(SSL_CTX *context, str least, str most) except -1:
    if least not in VERSIONS or most not in VERSIONS or VERSIONS[least] > VERSIONS[most]:
        raise ValueError(f"no TLS versions from {least!r} to {most!r}")
    SSL_CTX_set_min_proto_version(context, VERSIONS[least])
    SSL_CTX_set_max_proto_version(context, VERSIONS[most])
    return 0


cdef int set_groups(SSL_CTX *context) except -1:
    if SSL_CTX_set1_groups_list(context, HYBRID_GROUPS) == 1:
        return 0
    ERR_clear_error()
    if SSL_CTX_set1_groups_list(context, GROUPS) != 1:
        raise MemoryError
    return 0


cdef int set_ciphers(SSL_CTX *context, list names) except -1:
    """TLS 1.3 gets the names that begin with TLS_, TLS 1.2 the others; a version without a name keeps its default."""
    cdef bytes suites = (":".join(name for name in names if name.startswith("TLS_")) or SUITES).encode()
    cdef bytes older = (":".join(name for name in names if not name.startswith("TLS_")) or CIPHERS).encode()
    if SSL_CTX_set_ciphersuites(context, suites) != 1 or SSL_CTX_set_cipher_list(context, older) != 1:
        raise ValueError(f"libssl does not know the ciphers {':'.join(names)!r}")
    return 0
