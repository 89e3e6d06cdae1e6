# The listeners of one version by place and hostname, made from those of the previous version: the listeners that did not
# change are shared (hosts.pxd), whatever their number. Only if two listeners have the same place and hostname, which
# the control plane never sends, all of them are added again in the order of their ids: the first one gets the requests.

from fastroute.ext.routing.handlemap cimport HandleMap
from fastroute.ext.routing.handles cimport ListenerHandle
from fastroute.ext.routing.router cimport Routes


cdef class Sockets:
    cdef Routes *routes         # with a reference
    cdef dict indexes           # place -> index in routes.sites, of places with listeners
    cdef bint own               # `indexes` is not that of the previous version
    cdef list free              # indexes without listeners
    cdef bint distinct          # no two listeners have the same place and hostname

    cdef Py_ssize_t _index(self, place) except -1
    cdef dict _own_indexes(self)
    cdef int _put(self, ListenerHandle handle) except -1
    cdef int _remove(self, ListenerHandle handle) except -1
