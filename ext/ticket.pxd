# The keys that TLS session tickets are sealed with: the same in all workers, so that a client may come back to any.
#
# Main makes them and tells when they change. One set for the process: one thread uses it. Tickets are made with the
# first key, those of every key are accepted. Without keys there are no tickets.

from fastroute.ext.openssl cimport EVP_CIPHER_CTX, EVP_MAC_CTX, SSL


# libssl asks for the key of a ticket to make (`making`) or to open; SSL_CTX_set_tlsext_ticket_key_evp_cb(3).
cdef int ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                    int making) noexcept nogil
