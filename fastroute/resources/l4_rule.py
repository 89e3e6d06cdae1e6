"""Rules of routes for connections and datagrams (L4): a list of backends, without matches and filters.

A route has one rule. The deprecated versions of the API allow more, which the graph refuses: nothing says which of them
a connection belongs to.
"""

from fastroute.resources.gateway import BackendRef, RouteSpec
from fastroute.resources.meta import Typed


class L4Rule(Typed, frozen=True):
    name: str | None = None
    backend_refs: tuple[BackendRef, ...] = ()


class L4Spec(RouteSpec, frozen=True):
    rules: tuple[L4Rule, ...] = ()
    use_default_gateways: str | None = None
