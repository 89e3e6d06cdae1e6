# Pool keys: what makes two connections to one address exchangeable.
#
# A key is a protocol, how TLS is used, and whether connections begin with a PROXY header, all by content (snapshot.Backend).
# Equal keys of an Upstreams are one PoolKey,
# so the engine compares keys by address. A changed protocol or policy gives another key, whose connections are new.
# Equal trust anchors are loaded once for all keys.

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.tls.verification cimport Verification


cdef struct PoolKey:
    uint32_t refs               # of backends, pools and connections with this key, and of PoolKeys
    uint8_t protocol            # Protocol (message/protocol.pxd)
    uint8_t announces           # connections begin with a PROXY header (exchange/introduction.pxd)
    Verification *verification  # owned; NULL: no TLS

cdef void key_ref(PoolKey *key) noexcept nogil
cdef void key_unref(PoolKey *key) noexcept nogil            # frees at zero

cdef class PoolKeys:
    cdef dict keys              # (protocol, TLS, whether with a PROXY header) -> Keyed, which holds a reference
    cdef dict anchors           # PEM -> Anchors
    cdef bytes system           # PEM: trust anchors of the operating system
    cdef PoolKey *plain         # HTTP/1.1 without TLS: of a backend about which nothing else is known
    # The key of a snapshot.Backend. Borrowed: take a reference to keep it. ValueError: the protocol is not known. If TLS
    # is not possible with this content, every connection with the key fails.
    cdef PoolKey *key_for(self, backend) except NULL
    # Also, from Python: `preparing(backend)` does the work of key_for in steps, and raises ValueError if TLS is not
    # possible; `pruning()` removes keys that nothing uses, in steps.
