# References to rules, groups and listeners, held by the Python dictionaries of tables; and making a Listener.

from fastroute.ext.memory.slice cimport Slice
from fastroute.ext.routing.group cimport Group
from fastroute.ext.routing.router cimport Listener
from fastroute.ext.routing.rule cimport Rule
from fastroute.ext.tls.certificate cimport Certificates


cdef class RuleHandle:
    cdef Rule *rule
    cdef Py_hash_t fingerprint  # of its source: equal means unchanged
    cdef str listener           # id
    cdef str hostnames          # joined with ","
    cdef bint calls             # Rule.calls

cdef class GroupHandle:
    cdef Group *group           # NULL: no rules are left

cdef class ListenerHandle:
    cdef Listener *listener
    cdef object place           # a tuple: transport, address, port

# The text as UTF-8; valid as long as `text` exists.
cdef Slice text_slice(str text) except *
# A listener as in `put` (a snapshot.Listener and its slot), or like `old` if `put` is None; without groups.
cdef ListenerHandle listener_for(tuple put, ListenerHandle old, Certificates certificates)
