"""HTTPRoute: its rules are HTTPRules."""

from operator import attrgetter

from fastroute.resources.gateway import Route, RouteSpec
from fastroute.resources.http_rule import HTTPRule
from fastroute.resources.route_kind import RouteKind
from fastroute.resources.route_rules import HTTP_RULES
from fastroute.resources.route_shapes import HTTP_SPEC


class HTTPRouteSpec(RouteSpec, frozen=True):
    hostnames: tuple[str, ...] = ()
    rules: tuple[HTTPRule, ...] = (HTTPRule(),)
    use_default_gateways: str | None = None


class HTTPRoute(Route, frozen=True, kw_only=True):
    spec: HTTPRouteSpec


_FILTERS = ("spec.rules[].filters[]", "spec.rules[].backendRefs[].filters[]")
HTTP_ROUTE = RouteKind(
    name="HTTPRoute",
    type=HTTPRoute,
    field="http_routes",
    plural="httproutes",
    versions=("v1", "v1beta1"),
    shape=HTTP_SPEC,
    rules=HTTP_RULES,
    defaults={
        **{f"{field}.externalAuth.backendRef.group": "" for field in _FILTERS},
        **{f"{field}.externalAuth.backendRef.kind": "Service" for field in _FILTERS},
    },
    is_needed=True,
    is_served=True,
    protocols=("HTTP", "HTTPS"),
    http_rules=attrgetter("spec.rules"),
)
