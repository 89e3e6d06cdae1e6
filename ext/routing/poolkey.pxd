# Pool keys: what makes two connections to one address exchangeable.
#
# A key is a protocol and how TLS is used, both by content (snapshot.Backend). Equal keys of an Upstreams are one PoolKey,
# so the engine compares keys by address. A changed protocol or policy gives another key, whose connections are new.

from libc.stdint cimport uint8_t, uint32_t


# Gives a protocol the name that it has in a snapshot.Backend.
cdef int protocol_name(str name, uint8_t protocol) except -1

cdef struct PoolKey:
    uint32_t refs               # of backends, pools and connections with this key, and of PoolKeys
    uint8_t protocol            # Protocol (message/protocol.pxd)

cdef void key_ref(PoolKey *key) noexcept nogil
cdef void key_unref(PoolKey *key) noexcept nogil            # frees at zero

cdef class PoolKeys:
    cdef dict keys              # (protocol, TLS) -> Keyed, which holds a reference
    cdef PoolKey *plain         # HTTP/1.1 without TLS: of a backend about which nothing else is known
    # The key of a snapshot.Backend. Borrowed: take a reference to keep it. ValueError: the protocol is not known.
    cdef PoolKey *key_for(self, backend) except NULL
    # Also, from Python: `pruning()` removes keys that nothing uses, in steps.
