# Pool keys; see poolkey.pxd. A worker has few of them.

from libc.stdint cimport uint8_t
from libc.stdlib cimport calloc, free

from fastroute.ext.message.protocol cimport PROTOCOL_HTTP1, PROTOCOL_HTTP2_BACKEND, PROTOCOL_RAW
from fastroute.ext.tls.anchors cimport Anchors
from fastroute.ext.tls.verification cimport verification_free, verification_new, verification_without

# By snapshot.Backend.protocol.
cdef dict NAMES = {"h1": PROTOCOL_HTTP1, "h2": PROTOCOL_HTTP2_BACKEND, "raw": PROTOCOL_RAW}


cdef void key_ref(PoolKey *key) noexcept nogil:
    key.refs += 1


cdef void key_unref(PoolKey *key) noexcept nogil:
    key.refs -= 1
    if key.refs == 0:
        verification_free(key.verification)
        free(key)


cdef class Keyed:
    """A key of PoolKeys; holds a reference."""

    cdef PoolKey *key
    cdef Anchors anchors        # of its TLS

    def __cinit__(self, uint8_t protocol, bint announces=False):
        self.key = <PoolKey *> calloc(1, sizeof(PoolKey))
        if self.key == NULL:
            raise MemoryError
        self.key.refs = 1
        self.key.protocol = protocol
        self.key.announces = announces

    def __dealloc__(self):
        if self.key != NULL:
            key_unref(self.key)


cdef inline tuple _content(backend):
    """What the key of a snapshot.Backend consists of."""
    return backend.protocol, backend.tls, backend.proxy_protocol


cdef class PoolKeys:
    def __cinit__(self):
        cdef Keyed plain = Keyed(PROTOCOL_HTTP1)
        self.keys = {("h1", None, False): plain}
        self.anchors = {}
        self.system = b""
        self.plain = plain.key
        key_ref(self.plain)

    def __dealloc__(self):
        if self.plain != NULL:
            key_unref(self.plain)

    def __len__(self):
        return len(self.keys)

    cdef PoolKey *key_for(self, backend) except NULL:
        cdef tuple content = _content(backend)
        if content not in self.keys:
            try:
                for _ in self.preparing(backend):
                    pass
            except ValueError:
                if content not in self.keys:
                    raise
        return (<Keyed> self.keys[content]).key

    def preparing(self, backend):
        cdef tuple content = _content(backend)
        cdef Keyed keyed
        if content in self.keys:
            return
        if backend.protocol not in NAMES:
            raise ValueError(f"{backend.protocol!r} is no protocol of a backend")
        keyed = Keyed(NAMES[backend.protocol], backend.proxy_protocol)
        if backend.tls is not None:
            try:
                yield from self.loading(backend.tls.trust_anchors)
                keyed.anchors = self.anchors[backend.tls.trust_anchors]
                keyed.key.verification = verification_new(backend.tls, keyed.anchors,
                                                             keyed.key.protocol)
            except ValueError:
                keyed.key.verification = verification_without()
                self.keys[content] = keyed
                raise
        self.keys[content] = keyed

    def loading(self, bytes pem):
        """Loads trust anchors, one certificate in each step."""
        cdef Anchors anchors
        if pem in self.anchors:
            return
        anchors = Anchors(pem or self.system)
        while anchors.read():
            yield
        self.anchors[pem] = anchors

    def pruning(self):
        cdef Keyed keyed
        if len(self.keys) == 1:         # the plain one
            return
        for content, keyed in list(self.keys.items()):
            if keyed.key.refs == 1:
                del self.keys[content]
            yield
        used = {content[1].trust_anchors for content in self.keys if content[1] is not None}
        for pem in [pem for pem in self.anchors if pem not in used]:
            del self.anchors[pem]
            yield
