"""Mirrors in progress; see mirroring.pxd.

A mirror never delays its request: it is started after the request has been sent, bytes that its socket does not accept
are queued in the connection's output, and it is closed if too many are queued. It uses one endpoint and one connection.
Each mirror is counted once: as mirrored (the socket accepted every byte) or as a failure.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc

from fastroute.ext.exchange.http1_upstream cimport backend_write
from fastroute.ext.exchange.upstream cimport (
    OPENING_FAILED, OPENING_GOES_ON, Opening, upstream_close, upstream_connect, upstream_connected, upstream_note,
    upstream_release, upstream_reuse,
)
from fastroute.ext.http1.body cimport body_start, body_take
from fastroute.ext.http1.head cimport FRAMING_CLOSE
from fastroute.ext.http1.parser cimport parse_response
from fastroute.ext.memory.buffer cimport buffer_append, buffer_bytes, buffer_consume, buffer_size
from fastroute.ext.reactor.connection cimport STATE_ACTIVE, STATE_CONNECTING, handle_of, slab_find
from fastroute.ext.reactor.counters cimport FIXED_MIRRORED, FIXED_MIRROR_FAILURES, HISTOGRAM_CONNECT, count, observe
from fastroute.ext.reactor.inet cimport iovec
from fastroute.ext.reactor.reactor cimport SCRATCH, dequeue, flush, queue, receive, set_deadline, transmit
from fastroute.ext.reactor.shares cimport shares_add, shares_crowd, shares_heap, shares_note, shares_remove
from fastroute.ext.routing.balancer cimport choose_usable, endpoint_failed, endpoint_succeeded, endpoint_used
from fastroute.ext.routing.copies cimport Copy
from fastroute.ext.routing.mirror cimport (
    ANSWER_MOST, BEHIND_ALL, BEHIND_MOST, MIRRORS_MOST, MIRROR_CLOSED, MIRROR_DISPLACED, MIRROR_INCOMPLETE,
    MIRROR_NOT_CONNECTED, MIRROR_NO_ENDPOINT, MIRROR_OVERLOADED, MIRROR_SLOW, MIRROR_TIMEOUT, Mirror,
)
from fastroute.ext.routing.poolkey cimport PoolKey
from fastroute.ext.routing.tables cimport Endpoint, backend_ref, backend_unref

MIRROR_BEHIND = BEHIND_MOST     # for tests/test_docs.py
MIRRORS_BEHIND = BEHIND_ALL
MIRRORS_AT_ONCE = MIRRORS_MOST


# --- start and end


cdef void count_failure(Reactor r, uint32_t failure, uint32_t times) noexcept nogil:
    count(r.counters, FIXED_MIRROR_FAILURES + failure, times)


cdef Connection *connection_to(Reactor r, const Exchange *x, Endpoint *endpoint, PoolKey *key) noexcept nogil:
    """A connection to the endpoint; NULL if that failed, and the failure is counted. A connection from the pool is
    checked for being open and silent, because the copy is not sent again."""
    cdef Connection *u
    endpoint_used(endpoint, r.milliseconds)
    u = upstream_reuse(r, endpoint, key, x.method, True)
    if u is NULL:
        u = upstream_connect(r, endpoint, key)
    if u is NULL:
        count_failure(r, MIRROR_NOT_CONNECTED, 1)
    return u


cdef bint make_room(Reactor r, uint16_t owner, uint32_t size) noexcept nogil:
    """Whether `size` more bytes can be queued for the namespace. If not at once, aborts mirrors of others with more."""
    cdef Connection *heaviest
    while r.mirrors.behind + size > BEHIND_ALL:
        heaviest = shares_heap(&r.mirrors, &r.slab, owner, size)
        if heaviest is NULL:
            return False
        fail(r, heaviest, MIRROR_DISPLACED)
    return True


cdef bint make_way(Reactor r, uint16_t owner, uint32_t size) noexcept nogil:
    """The same for another mirror of the namespace with `size` bytes. If there is no room, the failure is counted."""
    cdef Connection *oldest
    if not make_room(r, owner, size):
        count_failure(r, MIRROR_SLOW, 1)
        return False
    if r.mirrors.owners.count >= MIRRORS_MOST:
        oldest = shares_crowd(&r.mirrors, &r.slab, owner)
        if oldest is NULL:
            count_failure(r, MIRROR_OVERLOADED, 1)
            return False
        fail(r, oldest, MIRROR_DISPLACED)
    return True


cdef void open_mirror(Reactor r, Exchange *x, const Copy *copy) noexcept nogil:
    """Starts one mirror with the head in its output; sends nothing yet. Does not try endpoints that are avoided."""
    cdef Endpoint *endpoint = choose_usable(copy.backend, NULL, 0, r.milliseconds, &r.random)
    cdef uint32_t size
    cdef Connection *u
    if endpoint is NULL:
        count_failure(r, MIRROR_NO_ENDPOINT, 1)
        return
    size = backend_write(r, &copy.message)
    if size == 0:
        count_failure(r, MIRROR_OVERLOADED, 1)
        return
    if not make_way(r, x.rule.owner, size):
        return
    u = connection_to(r, x, endpoint, copy.backend.key)
    if u is NULL:
        return
    u.mirror = <Mirror *> calloc(1, sizeof(Mirror))
    if u.mirror is NULL or buffer_append(&u.output, r.outgoing, size) < 0:
        count_failure(r, MIRROR_OVERLOADED, 1)
        free(u.mirror)
        u.mirror = NULL
        upstream_close(r, u)
        return
    u.mirror.backend = copy.backend
    backend_ref(copy.backend)
    u.mirror.method = x.method
    u.mirror.owner = x.rule.owner
    shares_add(&r.mirrors, &r.slab, u)
    u.owner = 0
    u.endpoint.in_flight += 1
    set_deadline(r, u, r.milliseconds + (r.times.body if u.state == STATE_ACTIVE else r.times.connect))
    x.mirrors[x.mirrors_count] = handle_of(u)
    x.mirrors_count += 1


cdef void end(Reactor r, Connection *u, bint reusable) noexcept nogil:
    """Ends a mirror that has been counted."""
    dequeue(r, u)
    shares_remove(&r.mirrors, &r.slab, u)
    backend_unref(u.mirror.backend)
    free(u.mirror)
    u.mirror = NULL
    u.endpoint.in_flight -= 1
    if reusable:
        upstream_release(r, u)
    else:
        upstream_close(r, u)


cdef void fail(Reactor r, Connection *u, uint32_t failure) noexcept nogil:
    """Closes the mirror; counts a failure unless the whole request was sent."""
    if not u.mirror.sent:
        count_failure(r, failure, 1)
    end(r, u, False)


cdef void mirror_close(Reactor r, Connection *u) noexcept nogil:
    fail(r, u, MIRROR_INCOMPLETE)


cdef void mirror_crowded(Reactor r, Connection *u) noexcept nogil:
    fail(r, u, MIRROR_OVERLOADED)


# --- the request


cdef void forget(Exchange *x) noexcept nogil:
    free(x.mirrors)
    x.mirrors = NULL
    x.mirrors_count = 0


cdef void note_sent(Reactor r, Connection *u) noexcept nogil:
    if u.mirror.fed and not u.mirror.sent and buffer_size(&u.output) == 0:
        u.mirror.sent = True
        count(r.counters, FIXED_MIRRORED, 1)


cdef void give(Reactor r, Connection *u, const char *data, uint32_t size, bint complete) noexcept nogil:
    """Sends a piece of the body, after what is queued already, or queues it."""
    cdef iovec part
    cdef uint32_t behind = buffer_size(&u.output)
    cdef bint broken
    part.iov_base = <char *> data
    part.iov_len = size
    if size and (behind + size > BEHIND_MOST or not make_room(r, u.mirror.owner, size)):
        fail(r, u, MIRROR_SLOW)
        return
    broken = transmit(r, u, &part, 1 if size else 0) < 0
    shares_note(&r.mirrors, u)
    if broken:
        fail(r, u, MIRROR_CLOSED)
        return
    if u.state == STATE_ACTIVE and buffer_size(&u.output) < behind + size:
        set_deadline(r, u, r.milliseconds + r.times.body)
    u.mirror.fed = complete
    note_sent(r, u)


cdef void mirrors_begin(Reactor r, Exchange *x, const char *body, uint32_t size) noexcept nogil:
    cdef Copy *copy = r.copies.first
    count_failure(r, MIRROR_OVERLOADED, r.copies.lost)
    x.mirrors = <uint64_t *> malloc((r.copies.count + 1) * sizeof(uint64_t))
    if x.mirrors is NULL:
        count_failure(r, MIRROR_OVERLOADED, r.copies.count)
        return
    while copy is not NULL:
        open_mirror(r, x, copy)
        copy = copy.next
    mirrors_feed(r, x, body, size)


cdef void mirrors_feed(Reactor r, Exchange *x, const char *data, uint32_t size) noexcept nogil:
    cdef Connection *u
    cdef uint32_t i
    for i in range(x.mirrors_count):
        u = slab_find(&r.slab, x.mirrors[i])
        if u is not NULL:
            give(r, u, data, size, x.request_body.complete)
    if x.request_body.complete:
        forget(x)


cdef void mirrors_leave(Reactor r, Exchange *x) noexcept nogil:
    cdef Connection *u
    cdef uint32_t i
    for i in range(x.mirrors_count):
        u = slab_find(&r.slab, x.mirrors[i])
        if u is not NULL:
            fail(r, u, MIRROR_INCOMPLETE)
    forget(x)


# --- the answer


cdef int take_head(Reactor r, Connection *u, char **data, uint32_t *size) noexcept nogil:
    """Parses the answer's heads, up to the final one. Returns 1 after it, 0 if more bytes are needed, or -Refusal."""
    cdef Mirror *m = u.mirror
    cdef int taken
    while True:
        r.arena.used = 0
        taken = parse_response(&r.head, data[0], size[0], &u.scanned, m.method, False, &r.head_limits,
                               &r.arena)
        if taken <= 0:
            return taken
        u.scanned = 0
        data[0] += taken
        size[0] -= taken
        if r.head.message.status >= 200:
            break
    m.answering = True
    m.keeps = r.head.message.keep_alive
    upstream_note(r, u, &r.head)
    body_start(&m.body, r.head.framing, r.head.message.content_length)
    return 1


cdef int keep_rest(Connection *u, char *data, uint32_t size, bint kept) noexcept nogil:
    """Keeps the bytes of an incomplete head until more arrive. Returns 0, or -1 if out of memory."""
    if kept:
        buffer_consume(&u.input, buffer_size(&u.input) - size)
        return 0
    return buffer_append(&u.input, data, size)


cdef int take_answer(Reactor r, Connection *u, char *data, uint32_t size) noexcept nogil:
    """Parses a piece of the answer. Returns 1 at its end, 0 if more follows, -1 if the connection cannot be reused."""
    cdef Mirror *m = u.mirror
    cdef bint kept = buffer_size(&u.input) != 0
    cdef long taken = 0
    cdef int found
    if not m.answering:
        if kept:
            if buffer_append(&u.input, data, size) < 0:
                return -1
            data = buffer_bytes(&u.input)
            size = buffer_size(&u.input)
        found = take_head(r, u, &data, &size)
        if found == 0:
            return keep_rest(u, data, size, kept)
        if found < 0:
            return -1
    if m.body.framing == FRAMING_CLOSE:
        return 0
    if not m.body.complete and size:
        taken = body_take(&m.body, data, size, &r.head_limits)
    if kept:
        buffer_consume(&u.input, buffer_size(&u.input))
    if taken < 0 or (m.body.complete and taken != size):
        return -1
    return 1 if m.body.complete else 0


cdef void listen(Reactor r, Connection *u) noexcept nogil:
    """One read of the answer, which is discarded; ends the mirror at the end of the answer."""
    cdef Mirror *m = u.mirror
    cdef int over = -1
    cdef long size = receive(r, u, r.scratch, SCRATCH)
    if size == 0:
        return
    if size > 0:
        m.heard += size
        over = take_answer(r, u, r.scratch, size) if m.heard <= ANSWER_MOST else -1
    if over > 0 and m.sent and m.keeps:
        end(r, u, True)
    elif over != 0:
        fail(r, u, MIRROR_CLOSED)
    elif u.readable:
        queue(r, u)


# --- events


cdef void mirror_advance(Reactor r, Connection *u) noexcept nogil:
    cdef Opening outcome
    cdef bint broken
    if u.state == STATE_CONNECTING:
        outcome = upstream_connected(r, u)
        if outcome == OPENING_GOES_ON:
            return
        if outcome == OPENING_FAILED:
            endpoint_failed(u.endpoint, r.milliseconds, &r.random)
            fail(r, u, MIRROR_NOT_CONNECTED)
            return
        endpoint_succeeded(u.endpoint)
        observe(r.counters, HISTOGRAM_CONNECT, r.now - u.started)
        if u.key != u.mirror.backend.key:       # it changed meanwhile: nothing may be sent on this connection
            fail(r, u, MIRROR_NOT_CONNECTED)
            return
        set_deadline(r, u, r.milliseconds + r.times.body)
    if u.writable and buffer_size(&u.output):
        broken = flush(r, u) < 0
        shares_note(&r.mirrors, u)
        if broken:
            fail(r, u, MIRROR_CLOSED)
            return
        set_deadline(r, u, r.milliseconds + r.times.body)
    note_sent(r, u)
    if u.failed:
        u.readable = True
    if u.readable:
        listen(r, u)


cdef void mirror_expired(Reactor r, Connection *u) noexcept nogil:
    if u.state == STATE_CONNECTING:
        endpoint_failed(u.endpoint, r.milliseconds, &r.random)
        fail(r, u, MIRROR_NOT_CONNECTED)
    else:
        fail(r, u, MIRROR_TIMEOUT)
