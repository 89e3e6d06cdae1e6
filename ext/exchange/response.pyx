"""Responses on their way to clients; see response.pxd.

The bytes of one read are sent in one write, head and body together. Bodies are relayed unchanged, with two exceptions
(Recode): a body without framing is sent in chunks, so that the client's connection can be kept; chunks for an HTTP/1.0
client are decoded, and the body ends when the connection closes.
"""

from libc.stdint cimport uint16_t, uint32_t
from libc.string cimport memcpy, memmove

from fastroute.ext.exchange.affinity cimport affinity_respond
from fastroute.ext.exchange.answer cimport answer_plainly, break_off, can_be_discarded, cut_short, date_now, is_leaving
from fastroute.ext.exchange.attempt cimport attempt_afresh, attempt_again, attempt_end
from fastroute.ext.exchange.tunnel cimport tunnel_begin
from fastroute.ext.exchange.upstream cimport upstream_note
from fastroute.ext.http1.body cimport CHUNK_HEAD_MOST, Body, body_decode, body_pass, body_start, body_take
from fastroute.ext.http1.head cimport FRAMING_CHUNKED, FRAMING_CLOSE, Head
from fastroute.ext.http1.parser cimport parse_response
from fastroute.ext.http1.reason cimport (
    REASON_CLIENT_CLOSED, REASON_OVERLOADED, REASON_UPSTREAM_CLOSED, REASON_UPSTREAM_MALFORMED,
    REASON_UPSTREAM_TRUNCATED,
)
from fastroute.ext.http1.refusal cimport (
    REFUSAL_ARENA_FULL, REFUSAL_INTERIM_TOO_LARGE, REFUSAL_INTERIM_TOO_MANY, REFUSAL_NONE, refusal_option,
    refusal_reason,
)
from fastroute.ext.http1.write cimport write_chunk_head, write_response
from fastroute.ext.memory.buffer cimport (
    buffer_append, buffer_bytes, buffer_consume, buffer_free, buffer_reserve, buffer_size,
)
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.fieldlist cimport append_field
from fastroute.ext.message.message cimport FIELD_DATE, Field, Message
from fastroute.ext.reactor.connection cimport slab_find
from fastroute.ext.reactor.exchange cimport (
    RECODE_CHUNK, RECODE_DECODE, RECODE_NONE, STAGE_FLUSHING, STAGE_RELAYING, STAGE_WAITING, VERDICT_ON,
    exchange_origin,
)
from fastroute.ext.reactor.inet cimport iovec
from fastroute.ext.reactor.reactor cimport SCRATCH, flush, put, receive, transmit
from fastroute.ext.routing.filters cimport filter_response
from fastroute.ext.routing.retry cimport FAILURE_CLOSED, FAILURE_STATUS


cdef enum:
    SMALL = 4096            # bytes of a body that are copied after their head
    INTERIM_MOST = 100      # 1xx heads of an exchange; their bytes are limited like those of a head


cdef int response_relay(Reactor r, Connection *c, Exchange *x, Connection *u) noexcept nogil:
    cdef long size
    if buffer_size(&u.input) == 0:
        size = receive(r, u, r.scratch, SCRATCH)
        if size > 0:
            x.heard = True
            if x.stage == STAGE_WAITING:
                return take_heads(r, c, x, u, r.scratch, size)
            return take_body(r, c, x, u, 0, r.scratch, size)
    else:
        # `u.input` has the first bytes of a head: new bytes are appended to them.
        if buffer_reserve(&u.input, 4096) < 0:
            return answer_plainly(r, c, x, 502, REASON_OVERLOADED)
        size = receive(r, u, u.input.data + u.input.end, u.input.room - u.input.end)
        if size > 0:
            u.input.end += size
            return take_heads(r, c, x, u, buffer_bytes(&u.input), buffer_size(&u.input))
    if size == 0:
        return VERDICT_ON
    return ended(r, c, x, clean=size == -1)


cdef bint may_ask_afresh(Reactor r, const Exchange *x) noexcept nogil:
    """Whether a reused connection failed in a way that the previous request may have caused. The first bytes on a held
    connection may be a body that its previous answer must not have (upstream_note)."""
    if not x.reused or not x.repeatable or x.retried:
        return False
    return not x.heard or slab_find(&r.slab, x.upstream).held != 0


cdef int ask_afresh(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    cdef uint16_t reason = attempt_afresh(r, c, x)
    return VERDICT_ON if reason == 0 else answer_plainly(r, c, x, 503, reason)


cdef int ended(Reactor r, Connection *c, Exchange *x, bint clean) noexcept nogil:
    """The upstream has closed: this ends a body without framing, otherwise it is too early."""
    if x.stage == STAGE_RELAYING:
        if clean and x.response_body.framing == FRAMING_CLOSE:
            return finish_unframed(r, c, x)
        return cut_short(r, c, x, REASON_UPSTREAM_TRUNCATED)
    if may_ask_afresh(r, x):
        return ask_afresh(r, c, x)
    if attempt_again(r, x, FAILURE_CLOSED, 0, False):
        return VERDICT_ON
    return answer_plainly(r, c, x, 502, REASON_UPSTREAM_CLOSED)


cdef int malformed(Reactor r, Connection *c, Exchange *x, int refusal) noexcept nogil:
    if x.stage == STAGE_WAITING and may_ask_afresh(r, x):
        return ask_afresh(r, c, x)
    x.cause = refusal_reason(refusal)
    x.option = refusal_option(refusal)
    return answer_plainly(r, c, x, 502, REASON_UPSTREAM_MALFORMED)


cdef int take_heads(Reactor r, Connection *c, Exchange *x, Connection *u, char *data, uint32_t size) noexcept nogil:
    """Takes interim heads, which are relayed, and the final one from `data`, in the scratch or in `u.input`."""
    cdef bint kept = data != r.scratch
    cdef uint32_t written = 0
    cdef int taken, verdict
    while True:
        r.arena.used = 0
        taken = parse_response(&r.head, data, size, &u.scanned, x.method, x.upgrades, &r.head_limits, &r.arena)
        if taken <= 0 or r.head.message.status >= 200 or r.head.message.status == 101:
            break
        u.scanned = 0
        data += taken
        size -= taken
        taken = -add_interim(r, x, taken, &written)
        if taken < 0 or size == 0:
            break
    if written and put_interim(r, c, x, written) < 0:
        return break_off(r, c, x, REASON_CLIENT_CLOSED)
    if taken < 0:
        return malformed(r, c, x, -taken)
    if taken == 0:
        if size == 0:
            buffer_free(&u.input)
        elif kept:
            buffer_consume(&u.input, buffer_size(&u.input) - size)
        elif buffer_append(&u.input, data, size) < 0:
            return answer_plainly(r, c, x, 502, REASON_OVERLOADED)
        return send_interim(r, c, x)
    u.scanned = 0
    verdict = take_final(r, c, x, u, data + taken, size - taken)
    u = slab_find(&r.slab, x.upstream)
    if kept and u is not NULL:
        buffer_free(&u.input)
    return verdict


cdef int add_interim(Reactor r, Exchange *x, uint32_t taken, uint32_t *written) noexcept nogil:
    """Adds a 1xx head of `taken` bytes to the `written` bytes in `r.outgoing`; not for HTTP/1.0 clients, which do not
    know 1xx (RFC 9110 section 15.2). Returns a Refusal.

    All heads of one read are sent together: one read may contain a hundred, and a TLS record and a system call for each
    would make a long turn.
    """
    cdef uint32_t size
    x.interim_heads += 1
    x.interim_bytes += taken
    if x.interim_heads > INTERIM_MOST:
        return REFUSAL_INTERIM_TOO_MANY
    if x.interim_bytes > r.head_limits.head:
        return REFUSAL_INTERIM_TOO_LARGE
    if x.minor == 0:
        return REFUSAL_NONE
    if r.head.message.status == 100:
        x.expects = False       # the client sends the body now
    size = write_response(r.outgoing + written[0], r.outgoing_size - written[0], &r.head.message, False, False)
    if size == 0:
        return REFUSAL_ARENA_FULL
    written[0] += size
    return REFUSAL_NONE


cdef int put_interim(Reactor r, Connection *c, Exchange *x, uint32_t size) noexcept nogil:
    """Puts the 1xx heads into the output. Returns 0, or -1 if out of memory."""
    x.sent += size
    return put(r, c, r.outgoing, size)


cdef int send_interim(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    """Sends the 1xx heads of one read that did not contain the final head."""
    if c.writable and flush(r, c) < 0:
        return break_off(r, c, x, REASON_CLIENT_CLOSED)
    return VERDICT_ON


cdef int add_date(Reactor r, Message *message) noexcept nogil:
    """Adds a Date to an answer without one (RFC 9110 section 6.6.1). Returns 0, or -1 if the arena is full."""
    cdef Field *field = message.fields
    cdef Field *end = message.fields + message.fields_count
    while field < end:
        if field.known == FIELD_DATE and not field.dropped:
            return 0
        field += 1
    if message.status < 200:
        return 0
    return 0 if append_field(message, &r.arena, Slice(b"Date", 4), date_now(r)) is not NULL else -1


cdef bint comes_whole(Reactor r, const char *data, uint32_t size, long *taken) noexcept nogil:
    """Whether `data` has the whole body of the answer whose head is in `r.head`. `taken`: its bytes, or -Refusal."""
    cdef Body body
    taken[0] = 0
    body_start(&body, r.head.framing, r.head.message.content_length)
    if not body.complete and body.framing != FRAMING_CLOSE and size:
        taken[0] = body_take(&body, data, size, &r.head_limits)
    return body.complete


cdef bint leaves_request_unread(Reactor r, const Exchange *x, const char *data, uint32_t size) noexcept nogil:
    """Whether it is certain that the rest of the request body will not be read: the connection closes after the answer.

    A successful answer whose body is incomplete may answer each piece of the request as it arrives. Its client must not
    get `Connection: close`, because it may then stop sending (RFC 9112 section 9.6).
    """
    cdef long taken
    if x.request_body.complete or can_be_discarded(x):
        return False
    return (r.head.message.status >= 300 or x.upload_over or (x.expects and x.request_body.decoded == 0)
            or comes_whole(r, data, size, &taken))


cdef int take_final(Reactor r, Connection *c, Exchange *x, Connection *u, char *data, uint32_t size) noexcept nogil:
    """Filters and writes the final head, which is sent with the first bytes of the body."""
    cdef Head *head = &r.head
    cdef Message *message = &head.message
    cdef uint32_t written
    upstream_note(r, u, head)
    if x.keeps:
        if is_refused(r, x, u, data, size):
            return VERDICT_ON
        x.keeps = False
        buffer_free(&x.held)
    if (add_date(r, message) < 0 or filter_response(x.rule.filters, exchange_origin(x), message, &r.arena) < 0
            or filter_response(x.target.filters, exchange_origin(x), message, &r.arena) < 0
            or (x.rule.session is not NULL and affinity_respond(r, x, message) < 0)):
        return answer_plainly(r, c, x, 502, REASON_OVERLOADED)
    if message.status == 101:
        return tunnel_begin(r, c, x, u, data, size)
    x.upstream_keeps = message.keep_alive
    x.recode = RECODE_NONE
    x.close = not x.keep_alive or is_leaving(r, c) or leaves_request_unread(r, x, data, size)
    if head.framing == FRAMING_CLOSE:
        if x.minor == 0:
            x.close = True
        else:
            x.recode = RECODE_CHUNK
    elif head.framing == FRAMING_CHUNKED and x.minor == 0:
        x.recode = RECODE_DECODE
        x.close = True
    body_start(&x.response_body, head.framing, message.content_length)
    x.response_body.trailers_dropped = head.nominates
    x.response_body.of_response = True
    x.response_body.filters[0] = x.rule.filters
    x.response_body.filters[1] = x.target.filters
    written = write_response(r.outgoing, r.outgoing_size, message, x.close, x.minor == 0)
    if written == 0:
        return answer_plainly(r, c, x, 502, REASON_OVERLOADED)
    x.status = message.status
    x.stage = STAGE_RELAYING
    return take_body(r, c, x, u, written, data, size)


cdef bint is_refused(Reactor r, Exchange *x, Connection *u, char *data, uint32_t size) noexcept nogil:
    """Whether the rule retries the request for this status: then nothing of the answer is sent to the client.

    The connection is kept if the whole body of the answer came with its head; fastroute does not wait for the rest.
    """
    cdef long taken
    cdef bint whole = comes_whole(r, data, size, &taken)
    return attempt_again(r, x, FAILURE_STATUS, r.head.message.status, (
        whole and taken == size and r.head.message.keep_alive and x.request_body.complete and not x.upload_over
        and buffer_size(&u.output) == 0))


cdef long decode(Reactor r, Exchange *x, char *data, uint32_t size, uint32_t *left) noexcept nogil:
    """Removes chunk framing from `data` in place. Returns the content size or -Refusal. `left`: bytes not taken."""
    cdef const char *content
    cdef uint32_t content_size
    cdef long taken
    cdef long decoded = 0
    cdef uint32_t at = 0
    while at < size and not x.response_body.complete:
        taken = body_decode(&x.response_body, data + at, size - at, &r.head_limits, &content, &content_size)
        if taken < 0:
            return taken
        memmove(data + decoded, content, content_size)
        decoded += content_size
        at += taken
    left[0] = size - at
    return decoded


cdef int take_body(Reactor r, Connection *c, Exchange *x, Connection *u, uint32_t head_size, char *data,
                   uint32_t size) noexcept nogil:
    """Sends the `head_size` bytes in `r.outgoing`, if any, and the bytes of `data` that belong to the body."""
    cdef iovec parts[4]
    cdef int count = 0
    cdef uint32_t left = 0
    cdef long taken = size
    cdef Slice passed
    cdef char chunk[CHUNK_HEAD_MOST]
    if x.recode == RECODE_DECODE:
        taken = decode(r, x, data, size, &left)
    elif x.response_body.framing != FRAMING_CLOSE:
        taken = body_pass(&x.response_body, data, size, &r.head_limits, &passed)
        left = size - <uint32_t> taken
        data = <char *> passed.data
        if taken > 0:
            taken = passed.size
    if taken < 0:
        return malformed(r, c, x, -<int> taken)
    if head_size and x.recode != RECODE_CHUNK and taken <= SMALL and head_size + taken <= r.outgoing_size:
        # Sending one part costs less than two, and copying a few bytes costs almost nothing.
        memcpy(r.outgoing + head_size, data, taken)
        head_size += taken
        data += taken
        taken = 0
    count = add_part(parts, count, r.outgoing, head_size)
    if x.recode == RECODE_CHUNK and taken:
        count = add_part(parts, count, chunk, write_chunk_head(chunk, taken))
    count = add_part(parts, count, data, taken)
    if x.recode == RECODE_CHUNK and taken:
        count = add_part(parts, count, b"\r\n", 2)
    x.answered = True
    c.ending = x.close and x.response_body.complete
    if send_to_client(r, c, x, parts, count) < 0:
        return break_off(r, c, x, REASON_CLIENT_CLOSED)
    if x.response_body.complete:
        finish(r, x, u, left == 0)
    return VERDICT_ON


cdef inline int add_part(iovec *parts, int count, const char *data, size_t size) noexcept nogil:
    if size == 0:
        return count
    parts[count].iov_base = <char *> data
    parts[count].iov_len = size
    return count + 1


cdef int send_to_client(Reactor r, Connection *c, Exchange *x, iovec *parts, int count) noexcept nogil:
    cdef int i
    if count == 0:
        return 0
    for i in range(count):
        x.sent += parts[i].iov_len
    x.progress = r.milliseconds
    return transmit(r, c, parts, count)


cdef void finish(Reactor r, Exchange *x, Connection *u, bint exact) noexcept nogil:
    """The answer is complete. The upstream connection is kept if nothing is left in either direction."""
    x.upstream_ended = r.now
    x.deadline = 0
    x.stage = STAGE_FLUSHING
    attempt_end(r, x, exact and x.upstream_keeps and x.request_body.complete and not x.upload_over
                and buffer_size(&u.output) == 0)


cdef int finish_unframed(Reactor r, Connection *c, Exchange *x) noexcept nogil:
    """A body without framing ended with the upstream connection."""
    cdef iovec part
    x.upstream_ended = r.now
    x.response_body.complete = True
    x.deadline = 0
    x.stage = STAGE_FLUSHING
    attempt_end(r, x, False)
    if x.recode != RECODE_CHUNK:
        return VERDICT_ON
    part.iov_base = <char *> b"0\r\n\r\n"
    part.iov_len = 5
    if send_to_client(r, c, x, &part, 1) < 0:
        return break_off(r, c, x, REASON_CLIENT_CLOSED)
    return VERDICT_ON
