# The installed tables: the routing state of a worker. Immutable; a new version is built beside the old one.
#
# A Tables is the whole routing state of one version. Rules are shared between versions: an unchanged rule keeps its
# Rule (and its Choice, so that its weighted distribution continues). Backends and Endpoints are the live part
# (backends.pxd). Modules that forward requests can cimport what they need from here; the members of LocalReason are in
# reason.pxd.

from fastroute.ext.message.reason cimport LocalReason, reason_name
from fastroute.ext.routing.backends cimport (
    Backend, Endpoint, Upstreams, backend_find, backend_ref, backend_unref, endpoint_ref, endpoint_unref,
)
from fastroute.ext.routing.chain cimport FilterChain
from fastroute.ext.routing.choices cimport Choices
from fastroute.ext.routing.handlemap cimport HandleMap
from fastroute.ext.routing.router cimport Routes
from fastroute.ext.routing.rule cimport Rule, Target, rule_ref, rule_unref
from fastroute.ext.routing.sockets cimport Sockets


cdef class Tables:              # one installed version; built by TableBuilder, in slices
    cdef Routes *routes         # of `sockets`
    cdef readonly object version
    cdef HandleMap rules        # id -> RuleHandle
    cdef HandleMap listeners    # id -> ListenerHandle
    cdef Sockets sockets
    cdef Choices choices        # shared by all versions
