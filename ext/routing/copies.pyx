"""Copies of requests; see copies.pxd. Each request draws for each mirror independently: the share is an average."""

from libc.stdint cimport uint32_t

from fastroute.ext.memory.random cimport random_below
from fastroute.ext.memory.slice cimport arena_take
from fastroute.ext.message.block cimport block_keep, block_size


cdef void copies_add(Copies *copies, Backend *backend, uint32_t numerator, uint32_t denominator,
                     const Message *message) noexcept nogil:
    cdef Copy *copy
    cdef uint32_t size
    if numerator < denominator and random_below(copies.random, denominator) >= numerator:
        return
    size = block_size(message)
    copy = <Copy *> arena_take(&copies.arena, <uint32_t> sizeof(Copy) + size)
    if copy is NULL:
        copies.lost += 1
        return
    block_keep(&copy.message, message, <char *> (copy + 1))
    copy.next = NULL
    copy.backend = backend
    if copies.last is NULL:
        copies.first = copy
    else:
        copies.last.next = copy
    copies.last = copy
    copies.count += 1
