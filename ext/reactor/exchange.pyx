"""The memory of an exchange. The modules request, response and relay process it."""

from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from fastroute.ext.memory.buffer cimport buffer_free, buffers_note
from fastroute.ext.message.block cimport block_keep, block_size
from fastroute.ext.routing.router cimport listener_unref
from fastroute.ext.routing.tables cimport endpoint_unref, rule_unref

cdef enum:
    SPARE_MOST = 1024       # exchanges kept for reuse: about 3 MiB


cdef Exchange *exchange_take(ExchangeList *spare) noexcept nogil:
    cdef Exchange *exchange = spare.first
    if exchange is not NULL:
        spare.first = exchange.next
        spare.count -= 1
    else:
        exchange = <Exchange *> malloc(sizeof(Exchange))
        if exchange is NULL:
            return NULL
    memset(exchange, 0, <char *> exchange.block_inline - <char *> exchange)
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
    if exchange.block is not <char *> exchange.block_inline:
        free(exchange.block)
    if exchange.text is not <char *> exchange.text_inline:
        free(exchange.text)
    if exchange.origin is not NULL:
        free(exchange.origin)
    if exchange.kept:
        buffers_note(-<int64_t> exchange.kept)
    free(exchange.mirrors)
    free(exchange.trailers)
    buffer_free(&exchange.held)
    if spare.count >= SPARE_MOST:
        free(exchange)
        return
    exchange.next = spare.first
    spare.first = exchange
    spare.count += 1


cdef void exchanges_free(ExchangeList *spare) noexcept nogil:
    cdef Exchange *exchange
    while spare.first is not NULL:
        exchange = spare.first
        spare.first = exchange.next
        free(exchange)
    spare.count = 0


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
    if size > BLOCK_ROOM:
        block = <char *> malloc(size)
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
