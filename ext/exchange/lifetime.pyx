"""The exchange of a client's connection; see lifetime.pxd."""

from fastroute.ext.exchange.mirroring cimport mirrors_leave
from fastroute.ext.message.message cimport VERSION_UNKNOWN
from fastroute.ext.reactor.connection cimport STATE_EXCHANGE, STATE_HEAD
from fastroute.ext.reactor.counters cimport FIXED_DOWNSTREAM_ACTIVE, FIXED_DOWNSTREAM_IDLE, gauge_add
from fastroute.ext.reactor.exchange cimport exchange_give, exchange_take


cdef Exchange *exchange_open(Reactor r, Connection *c, bint lean) noexcept nogil:
    cdef Exchange *x = exchange_take(&r.spare, lean)
    if x is NULL:
        return NULL
    x.started = c.started if c.state == STATE_HEAD else r.now
    x.version = VERSION_UNKNOWN
    c.exchange = x
    c.state = STATE_EXCHANGE
    c.requests += 1
    r.exchanges += 1
    gauge_add(r.counters, FIXED_DOWNSTREAM_IDLE, -1)
    gauge_add(r.counters, FIXED_DOWNSTREAM_ACTIVE, 1)
    return x


cdef void exchange_close(Reactor r, Connection *c) noexcept nogil:
    if c.exchange.mirrors_count:
        mirrors_leave(r, c.exchange)
    exchange_give(&r.spare, c.exchange)
    c.exchange = NULL
    r.exchanges -= 1
    gauge_add(r.counters, FIXED_DOWNSTREAM_ACTIVE, -1)
    gauge_add(r.counters, FIXED_DOWNSTREAM_IDLE, 1)
