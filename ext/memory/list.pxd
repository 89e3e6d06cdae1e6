# Doubly linked lists of slots of a slab, by index. Index 0 is no slot: it means none. reactor/linked.pxd changes them.

from libc.stdint cimport uint32_t


cdef struct Link:               # of a slot, in one list
    uint32_t before
    uint32_t after

cdef struct List:
    uint32_t first
    uint32_t last
