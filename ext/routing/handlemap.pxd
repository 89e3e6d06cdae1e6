# Handles by id. A version of the tables has a copy of the map of the previous version: it shares all parts with it, and a
# change copies one of the PARTS first.

from libc.stdint cimport uint8_t

cdef enum:
    PARTS = 256

cdef class HandleMap:
    cdef list parts             # dictionaries by a part of the hash of an id; None: empty
    cdef uint8_t own[256]       # which parts no other map has
    cdef Py_ssize_t count

    cdef dict _own_part(self, Py_ssize_t number)    # a part, to change it
    cdef HandleMap share(self)                      # a copy; from now on, both maps copy a part before they change it
    cdef object find(self, str id)                  # None: it has no such id
    cdef int put(self, str id, object handle) except -1
    cdef object take(self, str id)                  # removes and returns a handle; None: it has no such id
