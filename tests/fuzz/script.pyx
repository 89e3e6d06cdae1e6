"""Frames from the bytes of an input; see script.pxd."""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, memset, strlen

from fuzz.input cimport Input, choice

cdef enum:
    FRAME_HEAD = 9
    KIND_UNKNOWN = 10           # kinds below it are those of RFC 9113
    KIND_BYTES = 11
    KIND_HEADERS = 12           # HEADERS: a complete request, and what the payload adds
    CLIENT_HEADS = 5
    CLIENT_KINDS = 17           # KIND_HEADERS + CLIENT_HEADS
    BACKEND_HEADS = 3
    KINDS = 32                  # CLIENT_KINDS + KIND_HEADERS + BACKEND_HEADS: those of the backend follow
    FLAG_LONGER = 0x80          # of an input: the head of the frame says one byte more

# Fields as HPACK: indexed ones, and literal ones that are not added to a table (without a zero byte).
cdef const char *client_heads[CLIENT_HEADS]
client_heads[:] = [
    b"\x82\x86\x84\x01\x01a",                                                   # GET http://a/
    b"\x82\x86\x84\x01\x01b",                                                   # GET http://b/: an HTTP/2 backend
    b"\x83\x86\x04\x04/s/m\x01\x01b\x0f\x10\x10application/grpc\x10\x02te\x08trailers",
    b"\x83\x86\x04\x04/s/m\x01\x01b\x0f\x10\x19application/grpc-web-text",
    b"\x02\x07CONNECT\x10\x09:protocol\x09websocket\x86\x84\x01\x01a\x10\x15sec-websocket-version\x0213",
]
cdef const char *backend_heads[BACKEND_HEADS]
backend_heads[:] = [
    b"\x88",                                                                    # 200
    b"\x88\x0f\x10\x10application/grpc",
    b"\x08\x03103",
]


cdef void script_put(Script *script, const void *data, uint32_t size) noexcept nogil:
    size = min(size, SCRIPT_ROOM - script.used)
    if size:
        memcpy(script.frames + script.used, data, size)
        script.used += size


cdef const char *head_of(uint8_t kind, bint of_backend) noexcept nogil:
    """The fields with which a frame of this kind begins; NULL: none."""
    if kind < KIND_HEADERS:
        return NULL
    return backend_heads[kind - KIND_HEADERS] if of_backend else client_heads[kind - KIND_HEADERS]


cdef void script_read(Input *input, Script *client, Script *backend) noexcept nogil:
    cdef uint8_t kind = choice(input, KINDS)
    cdef uint8_t flags = choice(input, 255)
    cdef uint8_t stream = choice(input, 255)
    cdef uint32_t size = choice(input, 255)
    cdef const uint8_t *payload = input.at
    cdef bint of_backend = kind >= CLIENT_KINDS
    cdef Script *script = backend if of_backend else client
    cdef const char *fields
    cdef uint32_t whole
    cdef uint8_t[FRAME_HEAD] head
    size = whole = min(size, <uint32_t> (input.end - payload))
    input.at += size
    if of_backend:
        kind -= CLIENT_KINDS
    if kind == KIND_BYTES:
        script_put(script, payload, size)
        return
    memset(head, 0, FRAME_HEAD)
    fields = head_of(kind, of_backend)
    if fields is not NULL:
        whole += <uint32_t> strlen(fields)
    head[1] = <uint8_t> (whole >> 8)
    head[2] = <uint8_t> (whole + (1 if flags & FLAG_LONGER else 0))
    head[3] = 0xbb if kind == KIND_UNKNOWN else 1 if fields is not NULL else kind
    head[4] = flags & 0x7f
    if stream < 240 and kind != 4 and kind != 6 and kind != 7:
        head[8] = stream % 64
    script_put(script, head, FRAME_HEAD)
    if fields is not NULL:
        script_put(script, fields, <uint32_t> strlen(fields))
    script_put(script, payload, size)
