"""TCPRoute: passes the bytes of connections on."""

from operator import attrgetter

from fastroute.resources.gateway import Route
from fastroute.resources.l4_rule import L4Spec
from fastroute.resources.l4_shapes import OLDER, SPEC
from fastroute.resources.route_kind import RouteKind
from fastroute.resources.route_rules import L4_RULES


class TCPRoute(Route, frozen=True, kw_only=True):
    spec: L4Spec


TCP_ROUTE = RouteKind(
    name="TCPRoute",
    type=TCPRoute,
    field="tcp_routes",
    plural="tcproutes",
    versions=("v1", "v1alpha2"),
    shape=SPEC,
    older=OLDER,
    rules=L4_RULES,
    is_served=True,
    protocols=("TCP",),
    l4_rules=attrgetter("spec.rules"),
    has_hostnames=False,
)
