"""WebSockets over HTTP/2; see websocket.pxd."""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcmp, memcpy

from fastroute.ext.memory.entropy cimport entropy_take
from fastroute.ext.memory.slice cimport Slice, arena_take
from fastroute.ext.message.fieldlist cimport append_field
from fastroute.ext.message.message cimport (
    BODY_NONE, BODY_UNKNOWN, DROPPED_HERE, FIELD_UPGRADE, METHOD_GET, Field,
)
from fastroute.ext.message.octet cimport is_text

cdef extern from "<openssl/evp.h>" nogil:
    ctypedef struct EVP_MD
    ctypedef struct ENGINE
    const EVP_MD *EVP_sha1()
    int EVP_Digest(const void *data, size_t size, unsigned char *out, unsigned int *out_size, const EVP_MD *kind,
                   ENGINE *engine)
    int EVP_EncodeBlock(unsigned char *out, const unsigned char *data, int size)    # base64, and a zero behind it

cdef enum:
    KEY = 16                    # bytes
    KEY_TEXT = 24
    SHA1 = 20
    ACCEPT_TEXT = 28
    GUID_SIZE = 36

cdef extern from *:
    """
    #define fastroute_websocket_guid "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    """
    const char *GUID "fastroute_websocket_guid"     # RFC 6455 section 1.3


cdef int add(Message *message, Arena *arena, Slice name, Slice value) noexcept nogil:
    return 0 if append_field(message, arena, name, value) is not NULL else -1


cdef int websocket_ask(Message *request, Entropy *entropy, Arena *arena) noexcept nogil:
    cdef uint8_t[KEY] key
    cdef char *text = <char *> arena_take(arena, KEY_TEXT + 1)
    cdef Field *field
    cdef uint32_t i
    if text is NULL or not entropy_take(entropy, key, KEY):
        return -1
    EVP_EncodeBlock(<unsigned char *> text, key, KEY)
    for i in range(request.fields_count):
        field = &request.fields[i]
        if is_text(field.name.data, field.name.size, b"sec-websocket-key", 17):
            field.dropped = DROPPED_HERE
    request.method = Slice(b"GET", 3)
    request.method_name = METHOD_GET
    request.declared = BODY_NONE
    request.has_body = False
    request.upgrade = True
    request.protocols = Slice(b"websocket", 9)
    if add(request, arena, Slice(b"Upgrade", 7), request.protocols) < 0:     # for rules that match on it
        return -1
    request.fields[request.fields_count - 1].known = FIELD_UPGRADE
    request.fields[request.fields_count - 1].dropped = DROPPED_HERE
    return add(request, arena, Slice(b"Sec-WebSocket-Key", 17), Slice(text, KEY_TEXT))


cdef Field *only_field(const Message *message, const char *name, uint32_t size) noexcept nogil:
    """The field of this name (in lower case); NULL if there is none, or more than one."""
    cdef Field *found = NULL
    cdef Field *field
    cdef uint32_t i
    for i in range(message.fields_count):
        field = &message.fields[i]
        if not field.dropped and is_text(field.name.data, field.name.size, name, size):
            if found is not NULL:
                return NULL
            found = field
    return found


cdef bint is_accepted(Slice key, Slice accept) noexcept nogil:
    cdef char[KEY_TEXT + GUID_SIZE] text
    cdef uint8_t[SHA1] digest
    cdef unsigned char[ACCEPT_TEXT + 1] expected
    if key.size != KEY_TEXT or accept.size != ACCEPT_TEXT:
        return False
    memcpy(text, key.data, KEY_TEXT)
    memcpy(text + KEY_TEXT, GUID, GUID_SIZE)
    if EVP_Digest(text, KEY_TEXT + GUID_SIZE, digest, NULL, EVP_sha1(), NULL) != 1:
        return False
    EVP_EncodeBlock(expected, digest, SHA1)
    return memcmp(expected, accept.data, ACCEPT_TEXT) == 0


cdef bint websocket_accept(const Message *request, Message *answer) noexcept nogil:
    cdef const Field *key = only_field(request, b"sec-websocket-key", 17)
    cdef Field *accept = only_field(answer, b"sec-websocket-accept", 20)
    if key is NULL or accept is NULL or not is_accepted(key.value, accept.value):
        return False
    if not is_text(answer.protocols.data, answer.protocols.size, b"websocket", 9):
        return False
    accept.dropped = DROPPED_HERE
    answer.status = 200
    answer.upgrade = False
    answer.declared = BODY_UNKNOWN
    answer.has_body = True
    return True
