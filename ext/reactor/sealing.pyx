"""Handshakes with backends; see sealing.pxd.

One step takes one read of the socket and does what libssl can do with it. libssl limits the messages that a peer can send
in a handshake, and the Verification the size of a chain. A step may verify certificates, which takes milliseconds, so each
one waits for the other events (waiting.pxd).
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from fastroute.ext.memory.buffer cimport Buffer, buffer_append, buffer_bytes, buffer_free, buffer_size
from fastroute.ext.reactor.connection cimport LAYER_SEALING, LAYER_SOCKET, LAYER_TLS
from fastroute.ext.reactor.encryption cimport lend_readable
from fastroute.ext.reactor.inet cimport iovec
from fastroute.ext.reactor.reactor cimport Layer, layer_at, queue, read_clock, receive_sealed, transmit, transmit_sealed
from fastroute.ext.reactor.waiting cimport backends_flow, waiting_add, waiting_charge, waiting_remove
from fastroute.ext.tls.tls cimport PROGRESS_DONE, PROGRESS_FULL, PROGRESS_WAIT, tls_free, tls_handshake, tls_new_backend

cdef enum:
    READ_MOST = 16384           # bytes of one step: a backend may send records with one octet of a message each


cdef void sealing_begin(Connection *u) noexcept nogil:
    u.layer = LAYER_SEALING


cdef int sealing_advance(Reactor r, Connection *u) noexcept nogil:
    cdef int outcome
    if u.tls is NULL:
        outcome = greet(r, u)
        if outcome != 0:
            return outcome
    elif buffer_size(&u.tls.sealed) and u.writable and not send_sealed(r, u):
        return -1
    if u.tls.waiting.present:
        return 0
    if u.readable and not u.tls.granted:    # a single step can cost more than the time of a turn
        waiting_add(&r.waiting, &r.slab, u)
        return 0
    u.tls.granted = False
    outcome = answer(r, u) if u.readable else 0
    return -1 if outcome == 0 and u.failed and not u.readable else outcome


cdef int greet(Reactor r, Connection *u) noexcept nogil:
    """Sends the ClientHello. Returns like sealing_advance."""
    u.tls = tls_new_backend(u.key.verification, &r.pipe, u.endpoint.identity)
    if u.tls is NULL:
        return -1
    u.tls.started = r.now
    u.tls.owner = u.payer
    u.tls.flow = backends_flow(u.payer)
    return shake(r, u, 0)


cdef int answer(Reactor r, Connection *u) noexcept nogil:
    """Reads once, and continues the handshake with it. Returns like sealing_advance."""
    cdef long size = receive_sealed(r, u, r.sealed, READ_MOST)
    cdef uint64_t begun
    cdef int outcome
    if size <= 0:
        return -1 if size < 0 else 0
    read_clock(r)
    begun = r.now
    outcome = shake(r, u, <uint32_t> size)
    read_clock(r)
    waiting_charge(&r.waiting, u, r.now - begun, r.milliseconds)    # not the ClientHello: then others could wait for ever
    if outcome == 0 and u.readable:
        queue(r, u)
    return outcome


cdef int shake(Reactor r, Connection *u, uint32_t size) noexcept nogil:
    """Passes the bytes in `Reactor.sealed` to libssl, and its output to the backend. Returns like sealing_advance."""
    cdef int progress = PROGRESS_FULL
    r.pipe.input = r.sealed
    r.pipe.input_size = size
    while progress == PROGRESS_FULL:
        progress = tls_handshake(u.tls)
        if not send_sealed(r, u):
            return -1
    if progress == PROGRESS_WAIT:
        return 0
    if progress != PROGRESS_DONE or buffer_append(&u.tls.input, r.pipe.input, r.pipe.input_size) < 0:
        return -1
    return establish(r, u)


cdef bint send_sealed(Reactor r, Connection *u) noexcept nogil:
    """Sends what libssl has written. False: the connection is broken, or out of memory."""
    cdef Buffer waiting = u.output
    cdef iovec part
    cdef int sent
    part.iov_base = r.pipe.output
    part.iov_len = r.pipe.output_size
    r.pipe.output_size = 0
    u.output = u.tls.sealed
    sent = transmit_sealed(r, u, &part, 1 if part.iov_len else 0) if u.writable or part.iov_len else 0
    u.tls.sealed = u.output
    u.output = waiting
    return sent == 0


cdef int establish(Reactor r, Connection *u) noexcept nogil:
    """The handshake is over: from now on the layer encrypts. Sends what waited."""
    cdef Buffer waiting = u.output
    cdef iovec part
    cdef int sent = 0
    u.output = u.tls.sealed
    memset(&u.tls.sealed, 0, sizeof(Buffer))
    u.layer = LAYER_TLS
    if buffer_size(&u.tls.input):
        lend_readable(u)
    if buffer_size(&waiting):
        part.iov_base = buffer_bytes(&waiting)
        part.iov_len = buffer_size(&waiting)
        sent = transmit(r, u, &part, 1)
    buffer_free(&waiting)
    return 1 if sent == 0 else -1


# --- the layer


cdef long receive_nothing(Reactor r, Connection *u, char *into, uint32_t room) noexcept nogil:
    return 0


cdef int keep_all(Reactor r, Connection *u, iovec *parts, int count) noexcept nogil:
    cdef int i
    for i in range(count):
        if buffer_append(&u.output, <const char *> parts[i].iov_base, <uint32_t> parts[i].iov_len) < 0:
            return -1
    return 0


cdef int flush_nothing(Reactor r, Connection *u) noexcept nogil:
    return 0


cdef uint32_t untaken_nothing(Reactor r, const Connection *u) noexcept nogil:
    return 0


cdef void forget(Reactor r, Connection *u) noexcept nogil:
    if u.tls is not NULL:
        if u.tls.waiting.present:
            waiting_remove(&r.waiting, &r.slab, u)
        tls_free(u.tls)
        u.tls = NULL
    u.layer = LAYER_SOCKET


cdef void fill() noexcept:
    cdef Layer *layer = layer_at(LAYER_SEALING)
    layer[0] = layer_at(LAYER_SOCKET)[0]        # `put` appends to the output, too
    layer.receive = receive_nothing
    layer.transmit = keep_all
    layer.flush = flush_nothing
    layer.untaken = untaken_nothing
    layer.forget = forget

fill()
