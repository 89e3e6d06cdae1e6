# Calls of gRPC-Web that a GRPCRoute takes: what is translated on the way to the backend and back. Only for exchanges with
# `web`, and all but webcall_begin only if they are `translated`.

from libc.stdint cimport uint32_t

from fastroute.ext.message.message cimport Message
from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.exchange cimport Exchange
from fastroute.ext.reactor.reactor cimport Reactor
from fastroute.ext.sides.arrival cimport Piece


# Decides whether the call, whose target is known, is translated, and then translates the head and its copies for mirrors.
# False: no room.
cdef bint webcall_begin(Reactor r, Exchange *x, Message *request) noexcept nogil
# Translates a piece of the request. False: its text is invalid.
cdef bint webcall_take(Exchange *x, Piece *piece) noexcept nogil
# Translates the head of the answer; called when `grpc_begun` is known. False: no room.
cdef bint webcall_answer(Reactor r, const Exchange *x, Message *answer) noexcept nogil
# Advances the position in the frames of the answer by the piece, before it is sent. False: the piece has trailers, but a
# message is not complete: clients would read the frame of the trailers as a part of the message.
cdef bint webcall_follow(Exchange *x, const Piece *piece) noexcept nogil
# Like client_body, but translates the piece.
cdef int webcall_send(Reactor r, Connection *c, Exchange *x, uint32_t head, const Piece *piece) noexcept nogil
