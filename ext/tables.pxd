# The installed tables: what a worker routes by. Immutable once made; a new version is made beside the old one.
#
# A Tables is one version's whole routing state. Rules are shared between versions: an unchanged rule keeps its Rule
# (and its Choice, so weights go on where they were). Backends and Endpoints are the live part (backends.pxd).
# What whoever forwards needs can be cimported from here; the members of LocalReason from reason.pxd.

from fastroute.ext.backends cimport (  # the one door
    Backend, Endpoint, Upstreams, backend_ref, backend_unref, endpoint_ref, endpoint_unref,
)
from fastroute.ext.choices cimport Choices
from fastroute.ext.chain cimport FilterChain
from fastroute.ext.reason cimport LocalReason, reason_name
from fastroute.ext.router cimport Routes
from fastroute.ext.rule cimport Rule, Target, rule_ref, rule_unref


cdef class Tables:              # one installed version; made by TableBuilder, in slices
    cdef Routes *routes
    cdef readonly object version
    cdef dict rules             # id -> RuleHandle
    cdef dict listeners         # id -> ListenerHandle
    cdef dict sockets           # (address, port) -> index in Routes.sockets
    cdef Choices choices        # shared by all versions
