# libssl contexts: settings that many connections share, without certificates.
#
# An SSL_CTX costs 110 us and 13 KiB, setting the certificates of a connection 2 us. So there is one context for each
# distinct combination of settings, and the certificates of a listener are set when its client connects.

from fastroute.ext.tls.openssl cimport SSL_CTX


# A context with one reference. `alpn`: protocol names in order of preference. ValueError if libssl refuses the
# versions, ciphers or protocols; MemoryError.
cdef SSL_CTX *context_new(str min_version, str max_version, str ciphers, tuple alpn) except NULL
# The same for connections to backends, without anything that verifies them (verification.pxd). MemoryError.
cdef SSL_CTX *client_context_new() except NULL
