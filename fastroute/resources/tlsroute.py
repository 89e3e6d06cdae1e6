"""TLSRoute: passes connections of TLS on by their server name, or the bytes in them if a listener ends TLS."""

from ipaddress import ip_address
from operator import attrgetter
from typing import Any

from fastroute.resources.gateway import Route
from fastroute.resources.l4_rule import L4Spec
from fastroute.resources.l4_shapes import NAMED_OLDER, NAMED_SPEC
from fastroute.resources.route_kind import RouteKind
from fastroute.resources.route_rules import L4_RULES
from fastroute.resources.rule import Offenders, Rule

_UNCHECKED = "v1alpha2"  # the version whose hostnames may be IP addresses


class TLSRouteSpec(L4Spec, frozen=True):
    hostnames: tuple[str, ...] = ()


class TLSRoute(Route, frozen=True, kw_only=True):
    spec: TLSRouteSpec


def _addresses(route: Any) -> Offenders:
    if route.api_version.endswith(f"/{_UNCHECKED}"):
        return
    for index, name in enumerate(route.spec.hostnames):
        if _is_address(name):
            yield ("spec", "hostnames", index)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


TLS_ROUTE = RouteKind(
    name="TLSRoute",
    type=TLSRoute,
    field="tls_routes",
    plural="tlsroutes",
    versions=("v1", "v1alpha3", "v1alpha2"),
    shape=NAMED_SPEC,
    older=NAMED_OLDER,
    rules=(*L4_RULES, ("", (Rule("must be a host name, not an IP address", _addresses),))),
    is_served=True,
    protocols=("TLS",),
    l4_rules=attrgetter("spec.rules"),
)
