# Keys that encrypt TLS session tickets: the same in all workers, so that a client can resume its session at any worker.
#
# The main process makes the keys and sends them whenever they change. There is one set per process, used by one thread.
# Tickets are made with the first key; tickets of every key are accepted. Without keys there are no tickets.

from fastroute.ext.tls.openssl cimport EVP_CIPHER_CTX, EVP_MAC_CTX, SSL


# libssl calls it for the key of a ticket to make (`making`) or to open; see SSL_CTX_set_tlsext_ticket_key_evp_cb(3).
cdef int ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
                    int making) noexcept nogil
