"""The memory of an exchange. The modules request, response and relay process it."""

from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from fastroute.ext.memory.buffer cimport buffer_free, buffers_note
from fastroute.ext.memory.spare cimport spare_return, spare_take
from fastroute.ext.message.block cimport block_keep, block_size
from fastroute.ext.reactor.trace cimport trace_free
from fastroute.ext.routing.router cimport listener_unref
from fastroute.ext.routing.tables cimport endpoint_unref, rule_unref

cdef enum:
    SPARE_MOST = 1024       # exchanges kept for reuse, of each kind: about 3 MiB, and less than 1 MiB of lean ones


cdef Exchange *take_spare(ExchangeList *spare, bint lean) noexcept nogil:
    """A free exchange; NULL if there is none."""
    cdef Exchange **first = &spare.first_lean if lean else &spare.first
    cdef uint32_t *count = &spare.lean_count if lean else &spare.count
    cdef Exchange *exchange = first[0]
    if exchange is not NULL:
        first[0] = exchange.next
        count[0] -= 1
    return exchange


cdef Exchange *exchange_take(ExchangeList *spare, bint lean) noexcept nogil:
    cdef Exchange *exchange = take_spare(spare, lean)
    if exchange is NULL:
        exchange = <Exchange *> malloc(sizeof(Exchange) - (BLOCK_ROOM + TEXT_ROOM if lean else 0))
        if exchange is NULL:
            return NULL
    memset(exchange, 0, <char *> exchange.block_inline - <char *> exchange)
    exchange.lean = lean
    if not lean:
        exchange.block = exchange.block_inline
        exchange.text = exchange.text_inline
    return exchange


cdef void exchange_give(ExchangeList *spare, Exchange *exchange) noexcept nogil:
    cdef uint32_t i
    for i in range(exchange.tries):
        endpoint_unref(exchange.tried[i])
    if exchange.rule is not NULL:
        rule_unref(exchange.rule)
    if exchange.listener is not NULL:
        listener_unref(exchange.listener)
    if exchange.lean or exchange.block is not <char *> exchange.block_inline:
        spare_return(exchange.block)
    if exchange.lean or exchange.text is not <char *> exchange.text_inline:
        spare_return(exchange.text)
    trace_free(exchange.trace)
    if exchange.origin is not NULL:
        free(exchange.origin)
    if exchange.kept:
        buffers_note(-<int64_t> exchange.kept)
    free(exchange.mirrors)
    free(exchange.trailers)
    buffer_free(&exchange.held)
    give_spare(spare, exchange)


cdef void give_spare(ExchangeList *spare, Exchange *exchange) noexcept nogil:
    cdef Exchange **first = &spare.first_lean if exchange.lean else &spare.first
    cdef uint32_t *count = &spare.lean_count if exchange.lean else &spare.count
    if count[0] >= SPARE_MOST:
        free(exchange)
        return
    exchange.next = first[0]
    first[0] = exchange
    count[0] += 1


cdef void exchanges_free(ExchangeList *spare) noexcept nogil:
    while spare.first is not NULL:
        free(take_spare(spare, False))
    while spare.first_lean is not NULL:
        free(take_spare(spare, True))


cdef bint exchange_keep_origin(Exchange *exchange, Slice origin) noexcept nogil:
    if exchange.origin is not NULL:
        free(exchange.origin)
        exchange_note(exchange, -<int64_t> exchange.origin_size)
    exchange.origin = NULL
    exchange.origin_size = 0
    if origin.size == 0:
        return True
    exchange.origin = <char *> malloc(origin.size)
    if exchange.origin is NULL:
        return False
    memcpy(exchange.origin, origin.data, origin.size)
    exchange.origin_size = origin.size
    exchange_note(exchange, origin.size)
    return True


cdef void exchange_note(Exchange *exchange, int64_t size) noexcept nogil:
    exchange.kept += <uint32_t> size
    buffers_note(size)


cdef bint exchange_keep_request(Exchange *exchange, const Message *request, uint32_t size) noexcept nogil:
    cdef char *block
    if exchange.lean or size > BLOCK_ROOM:
        block = <char *> spare_take(size)
        if block is NULL:
            return False
        exchange.block = block
        exchange_note(exchange, size)
    block_keep(&exchange.request, request, exchange.block)
    return True


cdef bint exchange_keep_trailers(Exchange *exchange, const Message *trailers) noexcept nogil:
    cdef uint32_t size
    if trailers is NULL:
        return True
    size = <uint32_t> sizeof(Message) + block_size(trailers)
    free(exchange.trailers)
    exchange.trailers = <Message *> malloc(size)
    if exchange.trailers is NULL:
        return False
    exchange_note(exchange, size)
    block_keep(exchange.trailers, trailers, <char *> (exchange.trailers + 1))
    return True
