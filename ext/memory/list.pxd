# Doubly linked lists of slots of a slab, by index. Index 0 is no slot: it means none. reactor/linked.pxd changes them.

from libc.stdint cimport uint8_t, uint16_t, uint32_t


cdef struct Link:               # of a slot, in one list
    uint32_t before
    uint32_t after

cdef struct List:
    uint32_t first
    uint32_t last

cdef struct Member:             # of a slot, in one of some numbered lists (reactor/groups.pxd)
    Link link
    uint16_t number             # of the list
    uint8_t present             # it is in the list
