# What a backend learns about the certificate of a client: the value of X-Forwarded-Client-Cert.
#
#     Hash=<SHA-256 of the certificate, in hex>;Subject="<RFC 4514>";URI=<a URI>;DNS=<a host name>
#
# There is one URI= and DNS= for each name in the certificate. No name can end its element early: in the subject, octets
# that have a meaning are written as \HH, so a quoted string contains neither '"' nor '\' before its end; a URI with ','
# ';' or '=' is quoted; names with octets that no URI or host name has are left out. A value has at most IDENTITY_MOST
# bytes: a subject or names that would exceed this are left out, never cut.

from libc.stdint cimport uint32_t

from fastroute.ext.tls.openssl cimport X509

cdef enum:
    IDENTITY_MOST = 4096

# The value for this certificate, allocated by malloc; sets its size. NULL: out of memory.
cdef char *identity_of(X509 *leaf, uint32_t *size) noexcept nogil
