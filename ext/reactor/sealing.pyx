"""Handshakes with backends; see sealing.pxd.

One step takes one read of the socket and does what libssl can do with it. libssl limits the messages that a peer can send
in a handshake, and the Verification the size of a chain.
"""

from libc.stdint cimport uint32_t
from libc.string cimport memset

from fastroute.ext.memory.buffer cimport Buffer, buffer_append, buffer_bytes, buffer_free, buffer_size
from fastroute.ext.reactor.connection cimport LAYER_SEALING, LAYER_SOCKET, LAYER_TLS
from fastroute.ext.reactor.encryption cimport lend_readable
from fastroute.ext.reactor.inet cimport iovec
from fastroute.ext.reactor.reactor cimport Layer, layer_at, queue, receive_sealed, transmit, transmit_sealed
from fastroute.ext.tls.tls cimport PROGRESS_DONE, PROGRESS_FULL, PROGRESS_WAIT, tls_free, tls_handshake, tls_new_backend

cdef enum:
    READ_MOST = 16384           # bytes of one step: a backend may send records with one octet of a message each


cdef void sealing_begin(Connection *u) noexcept nogil:
    u.layer = LAYER_SEALING


cdef int sealing_advance(Reactor r, Connection *u) noexcept nogil:
    cdef long size
    cdef int outcome
    if u.tls is NULL:
        u.tls = tls_new_backend(u.key.verification, &r.pipe, u.endpoint.identity)
        if u.tls is NULL:
            return -1
        u.tls.started = r.now
        outcome = shake(r, u, 0)        # the ClientHello
        if outcome != 0:
            return outcome
    elif buffer_size(&u.tls.sealed) and u.writable and not send_sealed(r, u):
        return -1
    if u.readable:
        size = receive_sealed(r, u, r.sealed, READ_MOST)
        if size < 0:
            return -1
        outcome = shake(r, u, <uint32_t> size) if size else 0
        if outcome != 0:
            return outcome
        if u.readable:
            queue(r, u)
    return -1 if u.failed else 0


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
