# Pool keys; see poolkey.pxd. A worker has few of them.

from libc.stdlib cimport calloc, free

from fastroute.ext.message.protocol cimport PROTOCOL_HTTP1

cdef dict NAMES = {"h1": PROTOCOL_HTTP1}    # by snapshot.Backend.protocol


cdef int protocol_name(str name, uint8_t protocol) except -1:
    NAMES[name] = protocol
    return 0


cdef void key_ref(PoolKey *key) noexcept nogil:
    key.refs += 1


cdef void key_unref(PoolKey *key) noexcept nogil:
    key.refs -= 1
    if key.refs == 0:
        free(key)


cdef class Keyed:
    """A key of PoolKeys; holds a reference."""

    cdef PoolKey *key

    def __cinit__(self, uint8_t protocol):
        self.key = <PoolKey *> calloc(1, sizeof(PoolKey))
        if self.key == NULL:
            raise MemoryError
        self.key.refs = 1
        self.key.protocol = protocol

    def __dealloc__(self):
        if self.key != NULL:
            key_unref(self.key)


cdef class PoolKeys:
    def __cinit__(self):
        cdef Keyed plain = Keyed(PROTOCOL_HTTP1)
        self.keys = {("h1", None): plain}
        self.plain = plain.key
        key_ref(self.plain)

    def __dealloc__(self):
        if self.plain != NULL:
            key_unref(self.plain)

    def __len__(self):
        return len(self.keys)

    cdef PoolKey *key_for(self, backend) except NULL:
        cdef tuple content = (backend.protocol, backend.tls)
        cdef Keyed found = self.keys.get(content)
        if found is None:
            if backend.protocol not in NAMES:
                raise ValueError(f"{backend.protocol!r} is no protocol of a backend")
            found = self.keys[content] = Keyed(NAMES[backend.protocol])
        return found.key

    def pruning(self):
        cdef Keyed keyed
        if len(self.keys) == 1:         # the plain one
            return
        for content, keyed in list(self.keys.items()):
            if keyed.key.refs == 1:
                del self.keys[content]
            yield
