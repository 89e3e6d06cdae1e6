"""Mirrors in progress; see mirroring.pxd.

A mirror never delays its request: it is started after the request has been sent, its bytes are queued in the
connection's output, and it is closed if too many are queued. What is queued is sent in a visit of the mirror, so a step
of a turn writes to one of them, not to sixteen. It uses one endpoint and one connection. Each mirror is counted once: as
mirrored (the socket accepted every byte) or as a failure.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc

from fastroute.ext.exchange.fault cimport note_failure, upstream_fault
from fastroute.ext.exchange.upstream cimport (
    OBSTACLE_DESCRIPTOR, OBSTACLE_ENDPOINT, OPENING_FAILED, OPENING_GOES_ON, Obstacle, Opening, upstream_close,
    upstream_connect, upstream_connected, upstream_note, upstream_release, upstream_reuse,
)
from fastroute.ext.memory.buffer cimport buffer_free, buffer_reserve, buffer_size
from fastroute.ext.message.block cimport block_size
from fastroute.ext.message.reason cimport REASON_CONNECT_TIMEOUT
from fastroute.ext.reactor.connection cimport STATE_ACTIVE, STATE_CONNECTING, handle_of, slab_find
from fastroute.ext.reactor.counters cimport FIXED_MIRRORED, FIXED_MIRROR_FAILURES, HISTOGRAM_CONNECT, count, observe
from fastroute.ext.reactor.failures cimport KIND_CONNECT_FAILED, failure_kind, failures_note
from fastroute.ext.reactor.reactor cimport SCRATCH, dequeue, flush, portion, queue, set_deadline
from fastroute.ext.reactor.shares cimport shares_add, shares_crowd, shares_heap, shares_note, shares_remove
from fastroute.ext.routing.balancer cimport choose_usable, endpoint_spared, endpoint_succeeded, endpoint_used
from fastroute.ext.routing.copies cimport Copy
from fastroute.ext.routing.mirror cimport (
    ANSWER_MOST, BEHIND_ALL, BEHIND_MOST, MIRRORS_MOST, MIRROR_CLOSED, MIRROR_DISPLACED, MIRROR_INCOMPLETE,
    MIRROR_NOT_CONNECTED, MIRROR_NO_ENDPOINT, MIRROR_OVERLOADED, MIRROR_SLOW, MIRROR_TIMEOUT, Mirror,
)
from fastroute.ext.routing.tables cimport Backend, Endpoint, backend_ref, backend_unref
from fastroute.ext.sides.arrival cimport EVENT_HEAD, EVENT_INTERIM, EVENT_NONE, EVENT_PIECE, Arrival
from fastroute.ext.sides.backend cimport (
    backend_accept, backend_body, backend_event, backend_forget, backend_queue_head, backend_receive,
)

cdef enum:
    MOVED_AT_ONCE = 65536       # bytes of a queue that may move for each mirror of a request in one step
    FRAMING = 64                # bytes that a piece has when it is sent, in addition to its own

MIRROR_BEHIND = BEHIND_MOST     # for tests/test_docs.py
MIRRORS_BEHIND = BEHIND_ALL
MIRRORS_AT_ONCE = MIRRORS_MOST


# --- start and end


cdef void count_failure(Reactor r, uint32_t failure, uint32_t times) noexcept nogil:
    count(r.counters, FIXED_MIRROR_FAILURES + failure, times)


cdef Connection *connection_to(Reactor r, const Exchange *x, Endpoint *endpoint, Backend *backend) noexcept nogil:
    """A connection to the endpoint; NULL if that failed, and the failure is counted. A connection from the pool is
    checked for being open and silent, because the copy is not sent again."""
    cdef Obstacle obstacle
    cdef Connection *u
    cdef bint tests = endpoint_used(endpoint, r.milliseconds)
    u = upstream_reuse(r, endpoint, backend.key, x.method, True, x.rule.owner)
    if u is not NULL:
        return u
    u = upstream_connect(r, endpoint, backend.key, x.rule.owner, &obstacle)
    if u is not NULL:
        return u
    if obstacle == OBSTACLE_ENDPOINT:
        failures_note(&r.failures, backend, endpoint, KIND_CONNECT_FAILED)
    elif tests:
        endpoint_spared(endpoint, r.milliseconds)
    count_failure(r, MIRROR_OVERLOADED if obstacle == OBSTACLE_DESCRIPTOR else MIRROR_NOT_CONNECTED, 1)
    return NULL


cdef void displace(Reactor r, Connection *u) noexcept nogil:
    """Ends a mirror for another one: frees its place, and what is queued for it. Its connection is closed in a visit of
    its own, because one request can displace many."""
    if not u.mirror.sent:
        count_failure(r, MIRROR_DISPLACED, 1)
    u.mirror.sent = u.mirror.displaced = True
    shares_remove(&r.mirrors, &r.slab, u)
    buffer_free(&u.output)
    queue(r, u)


cdef bint make_room(Reactor r, uint16_t owner, uint32_t size) noexcept nogil:
    """Whether `size` more bytes can be queued for the namespace. If not at once, aborts mirrors of others with more."""
    cdef Connection *heaviest
    while r.mirrors.behind + size > BEHIND_ALL:
        heaviest = shares_heap(&r.mirrors, &r.slab, owner, size)
        if heaviest is NULL:
            return False
        displace(r, heaviest)
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
        displace(r, oldest)
    return True


cdef void open_mirror(Reactor r, Exchange *x, const Copy *copy) noexcept nogil:
    """Starts one mirror with the head in its output; sends nothing yet. Does not try endpoints that are avoided."""
    cdef Endpoint *endpoint = choose_usable(copy.backend, NULL, 0, r.milliseconds, &r.random)
    cdef Connection *u
    if endpoint is NULL:
        count_failure(r, MIRROR_NO_ENDPOINT, 1)
        return
    if not make_way(r, x.rule.owner, block_size(&copy.message)):
        return
    u = connection_to(r, x, endpoint, copy.backend)
    if u is NULL:
        return
    u.mirror = <Mirror *> calloc(1, sizeof(Mirror))
    if u.mirror is NULL or backend_queue_head(r, u, &copy.message) < 0:
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
    if not u.mirror.displaced:
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


cdef bint enqueue(Reactor r, Connection *u, const Piece *piece) noexcept nogil:
    """Adds the piece to the output, even if the socket would accept it now. False: out of memory."""
    cdef bint writable = u.writable
    cdef int kept
    u.writable = False
    kept = backend_body(r, u, piece)
    u.writable = writable
    shares_note(&r.mirrors, &r.slab, u)
    return kept == 0


cdef void give(Reactor r, Connection *u, const Piece *piece) noexcept nogil:
    """Queues a piece of the body, which the next visit of the mirror sends."""
    cdef uint32_t size = piece.data.size
    if u.mirror.displaced:
        return
    if size and (buffer_size(&u.output) + size > BEHIND_MOST or not make_room(r, u.mirror.owner, size)):
        fail(r, u, MIRROR_SLOW)
        return
    if not enqueue(r, u, piece):
        fail(r, u, MIRROR_CLOSED)
        return
    u.mirror.fed = piece.end
    note_sent(r, u)             # the last piece may be empty
    if u.writable and buffer_size(&u.output):
        queue(r, u)


cdef void mirrors_begin(Reactor r, Exchange *x, const Piece *piece) noexcept nogil:
    cdef Copy *copy = r.copies.first
    count_failure(r, MIRROR_OVERLOADED, r.copies.lost)
    x.mirrors = <uint64_t *> malloc((r.copies.count + 1) * sizeof(uint64_t))
    if x.mirrors is NULL:
        count_failure(r, MIRROR_OVERLOADED, r.copies.count)
        return
    while copy is not NULL:
        open_mirror(r, x, copy)
        copy = copy.next
    mirrors_feed(r, x, piece)


cdef bint mirrors_ready(Reactor r, Exchange *x) noexcept nogil:
    cdef Connection *u
    cdef uint32_t held, size, i
    for i in range(x.mirrors_count):
        u = slab_find(&r.slab, x.mirrors[i])
        if u is NULL or u.mirror.displaced:
            continue
        held = buffer_size(&u.output)
        if held < MOVED_AT_ONCE or held >= BEHIND_MOST:
            continue
        size = min(<uint32_t> (SCRATCH + FRAMING), BEHIND_MOST - held)
        if u.output.room - u.output.end < size and buffer_reserve(&u.output, size) == 0:
            return False
    return True


cdef void mirrors_feed(Reactor r, Exchange *x, const Piece *piece) noexcept nogil:
    cdef Connection *u
    cdef uint32_t i
    for i in range(x.mirrors_count):
        u = slab_find(&r.slab, x.mirrors[i])
        if u is not NULL:
            give(r, u, piece)
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


cdef int take_answer(Reactor r, Connection *u, Arrival *arrival) noexcept nogil:
    """Takes what was read. Returns 1 at the end of the answer, 0 if more follows, -1 if the connection cannot be reused."""
    cdef Mirror *m = u.mirror
    cdef int event
    arrival.waiting = not m.answering
    arrival.method = m.method
    event = backend_event(r, u, NULL, arrival)
    while event == EVENT_INTERIM or event == EVENT_HEAD:
        if event == EVENT_HEAD:
            m.answering = True
            m.keeps = arrival.message.keep_alive
            upstream_note(r, u, arrival.message)
            backend_accept(r, u)
        event = backend_event(r, u, NULL, arrival)
    if event == EVENT_NONE:
        return 0
    if event != EVENT_PIECE:
        return -1
    backend_forget(u, arrival)
    if not arrival.piece.end:
        return 0
    return 1 if arrival.size == 0 else -1


cdef void listen(Reactor r, Connection *u) noexcept nogil:
    """One read of the answer, which is discarded; ends the mirror at the end of the answer."""
    cdef Mirror *m = u.mirror
    cdef int over = -1
    cdef Arrival arrival
    if backend_receive(r, u, portion(r), &arrival) == 0:
        m.heard += arrival.fresh
        over = take_answer(r, u, &arrival) if m.heard <= ANSWER_MOST else -1
    if over > 0 and m.sent and m.keeps:
        end(r, u, True)
    elif over != 0:
        fail(r, u, MIRROR_CLOSED)
    elif u.readable:
        queue(r, u)


# --- events


cdef void not_connected(Reactor r, Connection *u, uint16_t reason) noexcept nogil:
    if note_failure(r, u, u.endpoint):
        failures_note(&r.failures, u.mirror.backend, u.endpoint, failure_kind(reason))
    fail(r, u, MIRROR_NOT_CONNECTED)


cdef void mirror_advance(Reactor r, Connection *u) noexcept nogil:
    cdef Opening outcome
    cdef bint broken
    if u.mirror.displaced:
        end(r, u, False)
        return
    if u.state == STATE_CONNECTING:
        outcome = upstream_connected(r, u)
        if outcome == OPENING_GOES_ON:
            return
        if outcome == OPENING_FAILED:
            not_connected(r, u, upstream_fault(u))
            return
        shares_note(&r.mirrors, &r.slab, u)     # the end of a handshake of TLS sends what waited
        endpoint_succeeded(u.endpoint)
        observe(r.counters, HISTOGRAM_CONNECT, r.now - u.started)
        if u.key != u.mirror.backend.key:       # it changed meanwhile: nothing may be sent on this connection
            fail(r, u, MIRROR_NOT_CONNECTED)
            return
        set_deadline(r, u, r.milliseconds + r.times.body)
    if u.writable and buffer_size(&u.output):
        broken = flush(r, u) < 0
        shares_note(&r.mirrors, &r.slab, u)
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
        not_connected(r, u, REASON_CONNECT_TIMEOUT)
    else:
        fail(r, u, MIRROR_TIMEOUT)
