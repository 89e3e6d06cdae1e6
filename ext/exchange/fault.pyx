"""Connections that could not be established; see fault.pxd."""

from libc.stdint cimport uint16_t, uint32_t
from libc.string cimport memcpy

from fastroute.ext.message.reason cimport (
    REASON_CONNECT_FAILED, REASON_UPSTREAM_CERTIFICATE_INVALID, REASON_UPSTREAM_TLS_FAILED,
)
from fastroute.ext.reactor.connection cimport LAYER_SEALING, LAYER_STREAM, STATE_CONNECTING, slab_at
from fastroute.ext.reactor.stream cimport parent_of
from fastroute.ext.routing.balancer cimport endpoint_failed
from fastroute.ext.routing.endpoint cimport IdlePool
from fastroute.ext.routing.pools cimport pool_of
from fastroute.ext.tls.tls cimport tls_fault


cdef uint16_t upstream_fault(const Connection *u) noexcept nogil:
    cdef bint invalid
    if u is not NULL and u.layer == LAYER_STREAM and u.stream.fault:
        return u.stream.fault
    if u is NULL or u.layer != LAYER_SEALING or u.state != STATE_CONNECTING:
        return REASON_CONNECT_FAILED
    if u.tls is NULL:
        return REASON_CONNECT_FAILED if u.key.verification.context is not NULL else REASON_UPSTREAM_TLS_FAILED
    tls_fault(u.tls, &invalid)
    return REASON_UPSTREAM_CERTIFICATE_INVALID if invalid else REASON_UPSTREAM_TLS_FAILED


cdef bint note_failure(Reactor r, const Connection *u, Endpoint *endpoint) noexcept nogil:
    cdef const IdlePool *pool
    if u is not NULL and waits_for_gateway(r, u):
        return False
    if u is not NULL and is_tls_failure(r, u):
        pool = pool_of(r.upstreams.pools, endpoint, u.key)
        if pool is NULL or pool.listed != endpoint.listed:
            return True
    endpoint_failed(endpoint, r.milliseconds, &r.random)
    return True


cdef bint waits_for_gateway(Reactor r, const Connection *u) noexcept nogil:
    """Whether its handshake waits for others of the gateway, not for the endpoint."""
    if u.faultless:
        return True
    if u.layer == LAYER_STREAM:
        u = parent_of(r, u)
    return u is not NULL and u.tls is not NULL and u.tls.waiting.present


cdef bint is_tls_failure(Reactor r, const Connection *u) noexcept nogil:
    """TCP was established, or TLS is not possible at all."""
    if u.layer == LAYER_STREAM:
        if u.stream.fault:
            return u.stream.fault != REASON_CONNECT_FAILED
        u = parent_of(r, u)
    return u is not NULL and (u.tls is not NULL or upstream_fault(u) != REASON_CONNECT_FAILED)


cdef void note_fault(Reactor r, const Connection *u) noexcept nogil:
    """The handshake has failed: keeps why, for Engine.faults."""
    cdef bint invalid
    r.tls_faults += 1
    memcpy(r.tls_fault_label, u.endpoint.label, sizeof(u.endpoint.label))
    r.tls_fault = tls_fault(u.tls, &invalid) if u.tls is not NULL else NULL


cdef void note_faults(Reactor r, Connection *p) noexcept nogil:
    """Tells the streams of a parent why it could not be established."""
    cdef uint16_t reason = upstream_fault(p)
    cdef bint waits = waits_for_gateway(r, p)
    cdef uint32_t index = p.parent.streams.first
    cdef Connection *s
    while index != 0:
        s = slab_at(&r.slab, index)
        index = s.stream.link.after
        s.stream.fault = reason
        s.faultless = waits
