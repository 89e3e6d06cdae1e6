"""Copies of requests; see copies.pxd. Each request draws for each mirror independently: the share is an average."""

from libc.stdint cimport uint32_t

from fastroute.ext.http1.write cimport write_request
from fastroute.ext.memory.random cimport random_below
from fastroute.ext.memory.slice cimport arena_take


cdef void copies_add(Copies *copies, Backend *backend, uint32_t numerator, uint32_t denominator,
                     const Head *head) noexcept nogil:
    cdef Copy *copy
    cdef char *room
    cdef uint32_t size = 0
    if numerator < denominator and random_below(copies.random, denominator) >= numerator:
        return
    copy = <Copy *> arena_take(&copies.arena, sizeof(Copy))
    if copy is not NULL:
        room = copies.arena.base + copies.arena.used
        size = write_request(room, copies.arena.size - copies.arena.used, head)
    if size == 0:
        copies.lost += 1
        return
    copies.arena.used += size
    copy.next = NULL
    copy.backend = backend
    copy.head = room
    copy.size = size
    if copies.last is NULL:
        copies.first = copy
    else:
        copies.last.next = copy
    copies.last = copy
    copies.count += 1
