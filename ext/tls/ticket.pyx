"""Session ticket keys; see ticket.pxd. Encrypted as in RFC 5077 section 4: AES-256-CBC, then HMAC-SHA256."""

from libc.stdint cimport uint32_t
from libc.string cimport memcmp, memcpy

from fastroute.ext.tls.openssl cimport (
    OSSL_PARAM, EVP_CIPHER, EVP_CIPHER_fetch, EVP_DecryptInit_ex, EVP_EncryptInit_ex, EVP_MAC_CTX_set_params,
    OPENSSL_cleanse, OSSL_PARAM_construct_end, OSSL_PARAM_construct_octet_string, OSSL_PARAM_construct_utf8_string,
    RAND_bytes, SSL_version, TLS1_3_VERSION,
)

cdef enum:
    KEYS_MOST = 8
    NAME = 16               # bytes that identify the key
    SECRET = 32             # bytes of the cipher key, and of the MAC key
    IV = 16

cdef struct TicketKey:
    unsigned char name[NAME]
    unsigned char cipher[SECRET]
    unsigned char mac[SECRET]

cdef TicketKey _keys[KEYS_MOST]
cdef uint32_t _count = 0
cdef EVP_CIPHER *_cipher = EVP_CIPHER_fetch(NULL, b"AES-256-CBC", NULL)

KEY_SIZE = sizeof(TicketKey)


def set_keys(keys) -> None:
    """From now on tickets are made with the first key, and tickets of every key are accepted. Raises ValueError."""
    global _count
    cdef uint32_t i
    cdef bytes key
    if len(keys) > KEYS_MOST or any(len(key) != KEY_SIZE for key in keys):
        raise ValueError(f"at most {KEYS_MOST} keys of {KEY_SIZE} bytes")
    OPENSSL_cleanse(_keys, sizeof(_keys))
    _count = <uint32_t> len(keys)
    for i in range(_count):
        key = keys[i]
        memcpy(&_keys[i], <const char *> key, sizeof(TicketKey))


cdef int ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                    int making) noexcept nogil:
    cdef uint32_t i
    if making:
        if _count == 0 or RAND_bytes(iv, IV) != 1:
            return 0
        memcpy(name, _keys[0].name, NAME)
        if EVP_EncryptInit_ex(cipher, _cipher, NULL, _keys[0].cipher, iv) != 1:
            return -1
        return 1 if authenticate(mac, &_keys[0]) else -1
    for i in range(_count):
        if memcmp(name, _keys[i].name, NAME) == 0:
            if EVP_DecryptInit_ex(cipher, _cipher, NULL, _keys[i].cipher, iv) != 1 or not authenticate(mac, &_keys[i]):
                return -1
            # 2: the client gets a new ticket. With TLS 1.3 it uses each ticket once (RFC 8446 appendix C.4).
            return 2 if i != 0 or SSL_version(ssl) == TLS1_3_VERSION else 1
    return 0


cdef bint authenticate(EVP_MAC_CTX *mac, TicketKey *key) noexcept nogil:
    """Sets the key of the ticket's MAC."""
    cdef OSSL_PARAM params[3]
    params[0] = OSSL_PARAM_construct_octet_string("key", key.mac, SECRET)
    params[1] = OSSL_PARAM_construct_utf8_string("digest", b"SHA256", 0)
    params[2] = OSSL_PARAM_construct_end()
    return EVP_MAC_CTX_set_params(mac, params) == 1
