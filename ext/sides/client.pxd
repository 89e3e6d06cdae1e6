# The side of an exchange towards the client, by the protocol of its connection: the events of which a request consists,
# and the operations by which it is answered. Only the rows (side.pxd) know protocols.

from libc.stdint cimport uint8_t, uint32_t

from fastroute.ext.message.message cimport VERSION_HTTP10, Message
from fastroute.ext.message.protocol cimport PROTOCOLS
from fastroute.ext.reactor.connection cimport LAYER_STREAM, Connection
from fastroute.ext.reactor.exchange cimport CODING_CHUNKS, CODING_CLOSE, VERDICT_CLOSE, VERDICT_RESET, Exchange, is_raw
from fastroute.ext.reactor.reactor cimport Reactor
from fastroute.ext.sides.arrival cimport Arrival, Piece, last_piece
from fastroute.ext.sides.side cimport ClientSide


# The rows by Protocol. The functions below are inline, so that calling one costs one indirect call, not two.
cdef ClientSide[<int> PROTOCOLS] client_rows

# The row of a Protocol.
cdef inline ClientSide *client_side(uint8_t protocol) noexcept nogil:
    return &client_rows[protocol]

# --- events

# Receives once between requests: EVENT_HEAD, EVENT_PART, EVENT_HTTP2, EVENT_NONE, or a failure.
cdef inline int client_read(Reactor r, Connection *c, Arrival *arrival) noexcept nogil:
    return client_rows[c.protocol].read(r, c, arrival)
# Whether a request has arrived in part. False: what has arrived means nothing.
cdef inline bint client_has_begun(const Connection *c) noexcept nogil:
    return client_rows[c.protocol].has_begun(c)
# The exchange begins with what client_read has reported: EVENT_HEAD, EVENT_MALFORMED, or EVENT_PART if no more of the head
# is awaited.
cdef inline void client_begin(Reactor r, Connection *c, Exchange *x, int event) noexcept nogil:
    client_rows[c.protocol].begin(r, c, x, event)
# Receives once, at most `most` bytes, or takes what has arrived before.
cdef inline void client_receive(Reactor r, Connection *c, uint32_t most, Arrival *arrival) noexcept nogil:
    client_rows[c.protocol].receive(r, c, most, arrival)
# The next event of the body of the request: EVENT_PIECE, EVENT_NONE, or a failure.
cdef inline int client_event(Reactor r, Connection *c, Exchange *x, Arrival *arrival) noexcept nogil:
    return client_rows[c.protocol].event(r, c, x, arrival)
# Takes what belongs to the body, and reports only its size and its end in `piece`. Returns 0, or a Refusal.
cdef inline int client_skip(Reactor r, Connection *c, Arrival *arrival) noexcept nogil:
    return client_rows[c.protocol].skip(r, c, arrival)
# From now on pieces are content, not chunks, and so is what is held. Returns 0, or -1 if out of memory.
cdef inline int client_unwrap(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    return client_rows[c.protocol].unwrap(r, c, x)
# Keeps what was not taken: it follows the request. Pieces are not valid any more. Returns 0, or -1 if out of memory.
cdef inline int client_keep_rest(Connection *c, const Arrival *arrival) noexcept nogil:
    return client_rows[c.protocol].keep_rest(c, arrival)

# --- operations

# Adds an interim answer to the `written` bytes in `r.outgoing`: all of one read are sent together. False: no room.
cdef inline bint client_interim(Reactor r, Connection *c, Exchange *x, const Message *message,
                                uint32_t *written) noexcept nogil:
    return client_rows[c.protocol].interim(r, c, x, message, written)
# Begins the final answer: its head is sent with the first piece of the body. `close`: it is the last answer on this
# connection. The Message and `r.arena` must not change before client_body. Returns the bytes of the head; 0: no room.
cdef inline uint32_t client_head(Reactor r, Connection *c, Exchange *x, const Message *message,
                                 bint close) noexcept nogil:
    return client_rows[c.protocol].head(r, c, x, message, close)
# Sends the `head` bytes that client_head has written, if any, and a piece of the body; the last one ends the answer.
# Returns 0, or -1 if the connection is broken.
cdef inline int client_body(Reactor r, Connection *c, Exchange *x, uint32_t head, const Piece *piece) noexcept nogil:
    return client_rows[c.protocol].body(r, c, x, head, piece)
# Ends an answer whose last piece was sent without saying that it is the last. Returns like client_body.
cdef inline int client_end(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    cdef Piece last = last_piece()
    return client_rows[c.protocol].body(r, c, x, 0, &last)

# --- what the protocol has decided for this answer, in Exchange.version and Exchange.coding

# Whether the client knows interim answers (RFC 9110 section 15.2).
cdef inline bint client_knows_interim(const Exchange *x) noexcept nogil:
    return x.version != VERSION_HTTP10
# Whether pieces may be in chunks.
cdef inline bint client_takes_chunks(const Exchange *x) noexcept nogil:
    return x.coding == CODING_CHUNKS
# Whether an end of the connection, or of the stream, shows the client that a partial answer is not complete.
cdef inline bint client_sees_cut(const Connection *c, const Exchange *x) noexcept nogil:
    return c.layer != LAYER_STREAM and (x.coding != CODING_CLOSE or x.response_body.complete)
# Aborts the exchange: the Verdict by which its connection or stream must end at once, so that the client does not take a
# partial answer for a complete one.
cdef inline int client_abort(const Connection *c, const Exchange *x) noexcept nogil:
    if c.layer == LAYER_STREAM or is_raw(x):
        return VERDICT_RESET
    return VERDICT_RESET if x.answered and not client_sees_cut(c, x) else VERDICT_CLOSE
