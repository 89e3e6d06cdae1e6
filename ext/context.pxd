# libssl's contexts: what all connections of some settings have in common, but no certificate.
#
# An SSL_CTX costs 110 us and 13 KiB, naming a connection's certificates 2 us: so there is one for each different
# settings, and the certificates of a listener are named when its client has come.

from fastroute.ext.openssl cimport SSL_CTX


# A context with one reference. `alpn`: names of protocols, the first preferred. ValueError when libssl refuses the
# versions, ciphers or protocols; MemoryError.
cdef SSL_CTX *context_new(str min_version, str max_version, str ciphers, tuple alpn) except NULL
