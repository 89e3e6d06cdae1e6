"""RouteKind: what a kind of route is in the API. Each kind has its row in its own file (table: route_kinds.py)."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from fastroute.resources.gateway import Route
from fastroute.resources.http_rule import HTTPRule
from fastroute.resources.l4_rule import L4Rule
from fastroute.resources.route_rules import Ruled
from fastroute.resources.schema import Record


def no_http_rules(route: Any) -> tuple[HTTPRule, ...]:
    return ()


def no_l4_rules(route: Any) -> tuple[L4Rule, ...]:
    return ()


class RouteKind(NamedTuple):
    """One row."""

    name: str
    type: type[Route]
    field: str  # of Resources
    plural: str  # in the paths of an API server
    versions: tuple[str, ...]  # that can be read, the best first
    shape: Record  # of its spec
    rules: Ruled = ()  # over several fields
    older: Mapping[str, Record] = MappingProxyType({})  # the shape by version, where it differs from `shape`
    defaults: Mapping[str, Any] = MappingProxyType({})  # of fields that are kept as plain mappings
    is_needed: bool = False  # nothing can be served without it: the start waits for the permission to read it
    is_served: bool = False  # False: its references are resolved, but no route is accepted
    protocols: tuple[str, ...] = ()  # of the listeners that it may attach to
    has_hostnames: bool = True
    has_web_origins: bool = False  # the annotation of web_origins.py
    # What the route says about HTTP requests: these rules are priced, compared with others, linted and explained.
    http_rules: Callable[[Any], tuple[HTTPRule, ...]] = no_http_rules
    l4_rules: Callable[[Any], tuple[L4Rule, ...]] = no_l4_rules  # what it says about connections and datagrams
