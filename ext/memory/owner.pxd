# The number of a namespace in the tables by which namespaces get fair shares (waiting.pxd, shares.pxd).

from libc.stdint cimport uint16_t


cdef enum:
    OWNERS = 4096               # numbers: namespaces with the same hash share one

cdef uint16_t owner_of(str namespace)
