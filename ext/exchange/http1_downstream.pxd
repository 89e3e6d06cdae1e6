# HTTP/1 towards the client: the events of which the body of a request consists, and the operations by which an exchange
# answers. Another protocol has the same ones.
#
# Only this module knows the version of HTTP/1 that the client uses, how a body of unknown length is written (Coding),
# and what the end of the connection means for an answer.

from libc.stdint cimport uint32_t, uint64_t

from fastroute.ext.exchange.arrival cimport Arrival, Piece
from fastroute.ext.http1.head cimport FRAMING_LENGTH
from fastroute.ext.http1.write cimport LocalResponse
from fastroute.ext.message.message cimport VERSION_HTTP10, Message
from fastroute.ext.reactor.connection cimport Connection
from fastroute.ext.reactor.exchange cimport CODING_CHUNKS, CODING_CLOSE, Exchange
from fastroute.ext.reactor.reactor cimport Reactor


# The request in `r.head` begins.
cdef void client_begin(Reactor r, Exchange *x) noexcept nogil
# Receives once, at most `most` bytes, or takes what has arrived before.
cdef void client_receive(Reactor r, Connection *c, const Exchange *x, uint32_t most, Arrival *arrival) noexcept nogil
# The next Event of the body of the request.
cdef int client_event(Reactor r, Exchange *x, Arrival *arrival) noexcept nogil
# Takes what belongs to the body, without reporting it. Returns 0, or a Refusal.
cdef int client_skip(Reactor r, Exchange *x, Arrival *arrival) noexcept nogil
# Keeps what was not taken: it follows the request. Returns 0, or -1 if out of memory.
cdef int client_keep_rest(Connection *c, const Arrival *arrival) noexcept nogil
# Bytes of the body: as declared, otherwise those received so far.
cdef inline uint64_t client_body_size(const Exchange *x) noexcept nogil:
    return x.request_body.decoded + (x.request_body.left if x.request_body.framing == FRAMING_LENGTH else 0)
# Adds an interim answer to the `written` bytes in `r.outgoing`: all of one read are sent together. False: no room.
cdef bint client_interim(Reactor r, Exchange *x, const Message *message, uint32_t *written) noexcept nogil
# Puts them into the output, before the next head. Returns 0, or -1 if out of memory.
cdef int client_put(Reactor r, Connection *c, Exchange *x, uint32_t written) noexcept nogil
# Begins the final answer: its head is sent with the first piece of the body. `close`: it is the last answer on this
# connection. Returns the bytes of the head in `r.outgoing`; 0: no room.
cdef uint32_t client_head(Reactor r, Exchange *x, const Message *message, bint close) noexcept nogil
# Sends the `head` bytes that client_head has written, if any, and a piece of the body; the last one may be empty.
# Returns 0, or -1 if the connection is broken.
cdef int client_body(Reactor r, Connection *c, Exchange *x, uint32_t head, const Piece *piece) noexcept nogil
# Sends a whole answer of the gateway. Returns like client_body.
cdef int client_answer(Reactor r, Connection *c, Exchange *x, LocalResponse *response) noexcept nogil
# Sends an interim answer, only to find out whether the client is there. Returns like client_body.
cdef int client_probe(Reactor r, Connection *c, Exchange *x) noexcept nogil
# Whether it knows interim answers (RFC 9110 section 15.2).
cdef inline bint client_knows_interim(const Exchange *x) noexcept nogil:
    return x.version != VERSION_HTTP10
# Whether pieces may be in chunks.
cdef inline bint client_takes_chunks(const Exchange *x) noexcept nogil:
    return x.coding == CODING_CHUNKS
# Whether only the close ends the answer. Then a plain close would make a partial answer look complete.
cdef inline bint client_ends_with_close(const Exchange *x) noexcept nogil:
    return x.coding == CODING_CLOSE and not x.response_body.complete
