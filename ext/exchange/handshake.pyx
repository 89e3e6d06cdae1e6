"""Handshakes; see handshake.pxd."""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from fastroute.ext.exchange.passage cimport passage_find
from fastroute.ext.memory.buffer cimport buffer_append, buffer_bytes, buffer_free, buffer_size
from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.message.message cimport VERSION_TLS, VERSION_UNKNOWN
from fastroute.ext.message.reason cimport REASON_HEAD_TIMEOUT, REASON_NO_CLIENT_HELLO, REASON_NO_LISTENER
from fastroute.ext.reactor.connection cimport STATE_HANDSHAKE, STATE_HELLO, slab_at
from fastroute.ext.reactor.counters cimport (
    FIXED_DOWNSTREAM_IDLE, FIXED_TLS_FAILED, FIXED_TLS_FULL, FIXED_TLS_RESUMED, HISTOGRAM_HANDSHAKE,
    TLS_CLIENT_CERTIFICATE, TLS_CLOSED, TLS_CROWDED, TLS_NOT_AGREED, TLS_NO_CERTIFICATE, TLS_NO_CLIENT_HELLO,
    TLS_NO_LISTENER, TLS_TIMEOUT, TLS_UNREAD, count, gauge_add, observe,
)
from fastroute.ext.reactor.encryption cimport handshake_enter, handshake_leave, handshake_note, lend_readable, ship
from fastroute.ext.reactor.fault cimport fault_log, fault_route
from fastroute.ext.reactor.reactor cimport close_connection, flush, read_clock, receive_sealed, set_deadline
from fastroute.ext.reactor.waiting cimport waiting_add, waiting_charge, waiting_crowd, waiting_must
from fastroute.ext.routing.router cimport MODE_HTTP, MODE_PASSTHROUGH, Listener, find_listener, is_named
from fastroute.ext.routing.tables cimport rule_ref
from fastroute.ext.tls.hello cimport HELLO_MOST, hello_read
from fastroute.ext.tls.tls cimport (
    MESSAGE_MEMORY, PROGRESS_DONE, PROGRESS_FULL, PROGRESS_WAIT, tls_handshake, tls_identify, tls_new, tls_refused,
    tls_resumed,
)

cdef enum:
    # Bytes of memory for output of all handshakes that the clients have not read: in the buffers, and in libssl for
    # long chains. What libssl needs for short ones is limited by the number of handshakes.
    UNREAD_MOST = 16777216


cdef void handshake_begin(Reactor r, Connection *c) noexcept nogil:
    c.state = STATE_HELLO
    set_deadline(r, c, r.milliseconds + r.times.head)


cdef WelcomeEnd handshake_advance(Reactor r, Connection *c, Welcome *welcome) noexcept nogil:
    if c.state == STATE_HANDSHAKE and not c.failed:
        if c.tls.waiting.present:
            if c.ended:         # a client that has left costs no signature
                handshake_fail(r, c, TLS_CLOSED)
            return WELCOME_GOES_ON
        if c.readable and waiting_must(&r.waiting):
            waiting_add(&r.waiting, &r.slab, c)
            return WELCOME_GOES_ON
    return proceed(r, c, welcome)


cdef WelcomeEnd handshake_resume(Reactor r, Connection *c) noexcept nogil:
    cdef WelcomeEnd goes_on
    if buffer_size(&c.input) == 0 or c.failed:
        return proceed(r, c, NULL)
    goes_on = shake(r, c, buffer_bytes(&c.input), buffer_size(&c.input))     # the ClientHello
    buffer_free(&c.input)
    return goes_on


cdef bint handshake_has_more(const Connection *c) noexcept nogil:
    return c.readable and (c.state == STATE_HELLO or (c.state == STATE_HANDSHAKE and not c.tls.waiting.present))


cdef WelcomeEnd proceed(Reactor r, Connection *c, Welcome *welcome) noexcept nogil:
    """`welcome`: NULL in STATE_HANDSHAKE."""
    cdef long size = 0
    if c.writable and buffer_size(&c.output):
        flush(r, c)             # part of a long chain; `failed` records errors
        if c.state == STATE_HANDSHAKE:
            note_unread(r, c)
    if c.readable and not c.failed:
        size = receive_sealed(r, c, r.sealed, HELLO_MOST)
    if c.failed or size < 0:
        handshake_fail(r, c, TLS_CLOSED)
        return WELCOME_GOES_ON
    if c.state == STATE_HANDSHAKE:
        return shake(r, c, r.sealed, <uint32_t> size) if size > 0 else WELCOME_GOES_ON
    if size == 0 and buffer_size(&c.input) == 0:
        return WELCOME_GOES_ON
    return read_name(r, c, <uint32_t> size, welcome)


cdef WelcomeEnd read_name(Reactor r, Connection *c, uint32_t size, Welcome *welcome) noexcept nogil:
    """Looks up the listener after `size` more bytes of a ClientHello arrived in the scratch buffer."""
    cdef WelcomeEnd end
    cdef const char *data = r.sealed
    cdef bint kept = buffer_size(&c.input) != 0
    cdef int found
    if kept:
        if buffer_append(&c.input, r.sealed, size) < 0:
            handshake_fail(r, c, TLS_CROWDED)
            return WELCOME_GOES_ON
        data = buffer_bytes(&c.input)
        size = buffer_size(&c.input)
    found = hello_read(&welcome.hello, data, size, r.scratch)
    if found < 0:
        refuse_hello(r, c, TLS_NO_CLIENT_HELLO, REASON_NO_CLIENT_HELLO, Slice(NULL, 0))
        return WELCOME_GOES_ON
    if not kept and buffer_append(&c.input, data, size) < 0:
        handshake_fail(r, c, TLS_CROWDED)
        return WELCOME_GOES_ON
    if found == 0:
        return WELCOME_GOES_ON
    end = open_tls(r, c, welcome)
    if end == WELCOME_SECURED:
        # It always waits for the other events: a single signature can cost more than the time of a turn.
        waiting_add(&r.waiting, &r.slab, c)
        return WELCOME_GOES_ON
    return end


cdef Connection *superfluous(Reactor r) noexcept nogil:
    """The handshake that is closed for a new one. In a flood, most of them wait."""
    if r.waiting.clients > r.handshakes // 2:
        return waiting_crowd(&r.waiting, &r.slab)
    return slab_at(&r.slab, r.shaking.first)


cdef bint is_passed(Connection *c, Listener *listener, Welcome *welcome, Slice name) noexcept nogil:
    """Whether there is no handshake, for a listener of TLSRoutes: TLS is passed on, or goes nowhere. Otherwise the connection
    keeps where its bytes go after the handshake."""
    passage_find(&welcome.passage, listener, VERSION_TLS, name)
    if listener.mode == MODE_PASSTHROUGH or welcome.passage.reason:
        return True
    c.rule = welcome.passage.rule
    c.target = welcome.passage.target
    rule_ref(c.rule)
    return False


cdef WelcomeEnd open_tls(Reactor r, Connection *c, Welcome *welcome) noexcept nogil:
    """Finds the listener and begins its handshake: then it returns WELCOME_SECURED already."""
    cdef Slice name = Slice(&welcome.hello.name[0], welcome.hello.size)
    cdef Listener *listener = NULL
    if r.tables is not None:
        listener = find_listener(r.tables.routes, r.sockets[c.listener], name)
    if listener is NULL or (listener.secure is NULL and listener.mode != MODE_PASSTHROUGH):
        refuse_hello(r, c, TLS_NO_LISTENER, REASON_NO_LISTENER, name)
        return WELCOME_GOES_ON
    if listener.mode != MODE_HTTP and is_passed(c, listener, welcome, name):
        return WELCOME_PASSED
    c.tls = tls_new(listener.secure, &r.pipe, name.data, name.size)
    if c.tls is NULL:
        handshake_fail(r, c, TLS_NO_CERTIFICATE)
        return WELCOME_GOES_ON
    if r.handshakes >= r.max_handshakes:
        end(r, superfluous(r), TLS_CROWDED, b"crowded")
    handshake_enter(r, c)
    c.tls.started = r.now
    c.state = STATE_HANDSHAKE
    return WELCOME_SECURED


cdef WelcomeEnd shake(Reactor r, Connection *c, const char *data, uint32_t size) noexcept nogil:
    """Passes the bytes to libssl, and its output to the client. Returns like handshake_advance."""
    cdef int progress = PROGRESS_FULL
    cdef uint64_t begun = r.now
    cdef bint shipped = True
    r.pipe.input = data
    r.pipe.input_size = size
    while progress == PROGRESS_FULL and shipped:
        progress = tls_handshake(c.tls)
        shipped = ship(r, c) >= 0
    read_clock(r)               # libssl may have taken milliseconds, which count towards the turn
    waiting_charge(&r.waiting, c, r.now - begun, r.milliseconds)
    if not shipped:
        handshake_fail(r, c, TLS_CLOSED)
        return WELCOME_GOES_ON
    if progress == PROGRESS_WAIT:
        note_unread(r, c)
        while r.handshakes_unread > UNREAD_MOST:
            end(r, slab_at(&r.slab, r.unread.first), TLS_UNREAD, b"unread")
        return WELCOME_GOES_ON
    if progress != PROGRESS_DONE:
        refuse(r, c)
        return WELCOME_GOES_ON
    if not tls_identify(c.tls) or buffer_append(&c.tls.input, r.pipe.input, r.pipe.input_size) < 0:
        handshake_fail(r, c, TLS_CROWDED)
        return WELCOME_GOES_ON
    if r.pipe.input_size:
        lend_readable(c)        # data that came with the end of the handshake
    handshake_leave(r, c)
    count(r.counters, FIXED_TLS_RESUMED if tls_resumed(c.tls) else FIXED_TLS_FULL, 1)
    observe(r.counters, HISTOGRAM_HANDSHAKE, r.now - c.tls.started)
    return WELCOME_SECURED


cdef void refuse(Reactor r, Connection *c) noexcept nogil:
    """libssl has ended the handshake. Logs why the certificate of a client was not accepted."""
    cdef const char *reason = tls_refused(c.tls)
    if reason is NULL:
        handshake_fail(r, c, TLS_NOT_AGREED)
    else:
        end(r, c, TLS_CLIENT_CERTIFICATE, reason)


cdef void note_unread(Reactor r, Connection *c) noexcept nogil:
    handshake_note(r, c, c.output.room + c.tls.message - MESSAGE_MEMORY)


cdef void end(Reactor r, Connection *c, int failure, const char *reason) noexcept nogil:
    """Closes a connection, and logs why."""
    fault_log(r, c, VERSION_UNKNOWN, reason)
    handshake_fail(r, c, failure)


cdef void refuse_hello(Reactor r, Connection *c, int failure, uint16_t reason, Slice name) noexcept nogil:
    """Closes a connection before its listener is known. At a place with TLSRoutes this counts as a response to one."""
    if r.tables is not None and is_named(r.tables.routes, r.sockets[c.listener]):
        fault_route(r, c, reason, name)
    handshake_fail(r, c, failure)


cdef void handshake_expired(Reactor r, Connection *c) noexcept nogil:
    if c.state == STATE_HELLO and not r.draining:       # a drain closes clients that have said nothing
        refuse_hello(r, c, TLS_TIMEOUT, REASON_HEAD_TIMEOUT, Slice(NULL, 0))
    else:
        handshake_fail(r, c, TLS_TIMEOUT)


cdef void handshake_fail(Reactor r, Connection *c, int failure) noexcept nogil:
    count(r.counters, FIXED_TLS_FAILED + failure, 1)
    gauge_add(r.counters, FIXED_DOWNSTREAM_IDLE, -1)
    r.downstreams -= 1
    close_connection(r, c)
