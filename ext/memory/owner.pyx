"""The number of a namespace; see owner.pxd."""

from libc.stdint cimport uint16_t, uint32_t

from fastroute.ext.memory.bytemap cimport bytes_hash, process_seed


cdef uint16_t owner_of(str namespace):
    cdef bytes name = namespace.encode()
    return <uint16_t> (bytes_hash(name, <uint32_t> len(name), process_seed()) % OWNERS)
