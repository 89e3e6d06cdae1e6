"""Calls of gRPC-Web; see webcall.pxd, and message/grpcweb for the protocol.

A call that an HTTPRoute takes is not translated: its backend may understand gRPC-Web.
"""

from libc.stdint cimport int64_t, uint8_t

from fastroute.ext.memory.buffer cimport Buffer, buffer_bytes, buffer_free, buffer_size
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.grpc cimport WEB_BINARY, WEB_TEXT
from fastroute.ext.message.grpcweb cimport (
    web_decode, web_follow, web_is_between, web_is_whole, web_take_answer, web_take_request, web_write,
)
from fastroute.ext.message.protocol cimport has_streams
from fastroute.ext.routing.copies cimport Copies, Copy
from fastroute.ext.sides.client cimport client_body


cdef void translate_copies(Copies *copies, uint8_t asks) noexcept nogil:
    """Mirrors get the same content, whatever their protocol is. A copy that has no room is dropped."""
    cdef Copy **link = &copies.first
    copies.last = NULL
    while link[0] is not NULL:
        if web_take_request(&link[0].message, asks, &copies.arena) == 0:
            copies.last = link[0]
            link = &link[0].next
        else:
            link[0] = link[0].next
            copies.count -= 1
            copies.lost += 1


cdef bint webcall_begin(Reactor r, Exchange *x, Message *request) noexcept nogil:
    x.translated = x.rule.calls and has_streams(x.target.backend.key.protocol)
    if not x.translated:
        return True
    translate_copies(&r.copies, x.asks)
    return web_take_request(request, x.asks, &r.arena) == 0


cdef bint webcall_take(Exchange *x, Piece *piece) noexcept nogil:
    cdef int64_t size
    if x.asks != WEB_TEXT:
        return True
    size = web_decode(&x.text_left, <char *> piece.data.data, piece.data.size)
    if size < 0 or (piece.end and not web_is_whole(&x.text_left)):
        return False
    piece.data.size = piece.size = <uint32_t> size
    return True


cdef bint webcall_answer(Reactor r, const Exchange *x, Message *answer) noexcept nogil:
    return not x.grpc_begun or web_take_answer(answer, x.web, &r.arena) == 0


cdef bint webcall_follow(Exchange *x, const Piece *piece) noexcept nogil:
    if not x.grpc_begun:
        return True
    web_follow(&x.frames, piece.data)
    return piece.trailers is NULL or web_is_between(&x.frames)


cdef int webcall_send(Reactor r, Connection *c, Exchange *x, uint32_t head, const Piece *piece) noexcept nogil:
    cdef Buffer coded
    cdef Piece sent
    cdef int outcome
    if not x.grpc_begun or (piece.trailers is NULL and (x.web == WEB_BINARY or piece.data.size == 0)):
        return client_body(r, c, x, head, piece)
    coded = Buffer(NULL, 0, 0, 0)
    if web_write(&coded, x.web, piece.data, piece.trailers) < 0:
        return -1
    sent = Piece(Slice(buffer_bytes(&coded), buffer_size(&coded)), buffer_size(&coded), False, piece.end, NULL)
    outcome = client_body(r, c, x, head, &sent)
    buffer_free(&coded)
    return outcome
