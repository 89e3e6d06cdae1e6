"""HTTPRoute: its rules are HTTPRules."""

from fastroute.resources.gateway import Route, RouteSpec
from fastroute.resources.http_rule import HTTPRule


class HTTPRouteSpec(RouteSpec, frozen=True):
    hostnames: tuple[str, ...] = ()
    rules: tuple[HTTPRule, ...] = (HTTPRule(),)
    use_default_gateways: str | None = None


class HTTPRoute(Route, frozen=True, kw_only=True):
    spec: HTTPRouteSpec
