"""The table of lints, and lint(), which runs all of them."""

from collections.abc import Callable, Iterator

from fastroute.graph.finding import Finding
from fastroute.graph.node import Graph
from fastroute.graph.targeted import policies_not_served
from fastroute.lint.annotation import unknown_annotations
from fastroute.lint.backend import (
    addresses_not_used,
    backends_without_endpoints,
    endpoints_not_read,
    endpoints_refused_in_clusters,
    unknown_app_protocols,
)
from fastroute.lint.cors import preflights_not_taken
from fastroute.lint.gateway import (
    certificates_for_other_names,
    certificates_out_of_time,
    classes_not_ours,
    infrastructure_without_objects,
    sets_without_gateways,
)
from fastroute.lint.grant import grants_for_unknown_kinds, grants_to_gateway, grants_with_core_group, unused_grants
from fastroute.lint.l4 import names_of_others, zero_weights_of_l4
from fastroute.lint.match import (
    addresses_as_hostnames,
    headers_not_forwarded,
    hostnames_outside_listeners,
    literal_asterisks,
    queries_not_sent,
    shadowed_matches,
)
from fastroute.lint.parent import missing_parents
from fastroute.lint.rule import headers_changed_twice, marks_not_changed, rules_without_backends, zero_weights
from fastroute.lint.session import cookies_not_kept, cookies_that_clash
from fastroute.resources.world import Resources

Lint = Callable[[Resources, Graph], Iterator[Finding]]

LINTS: tuple[Lint, ...] = (
    grants_to_gateway,
    grants_with_core_group,
    grants_for_unknown_kinds,
    unused_grants,
    classes_not_ours,
    sets_without_gateways,
    certificates_for_other_names,
    infrastructure_without_objects,
    missing_parents,
    policies_not_served,
    hostnames_outside_listeners,
    shadowed_matches,
    names_of_others,
    rules_without_backends,
    headers_changed_twice,
    marks_not_changed,
    zero_weights,
    zero_weights_of_l4,
    backends_without_endpoints,
    endpoints_not_read,
    endpoints_refused_in_clusters,
    addresses_not_used,
    unknown_app_protocols,
    addresses_as_hostnames,
    literal_asterisks,
    headers_not_forwarded,
    queries_not_sent,
    preflights_not_taken,
    cookies_not_kept,
    cookies_that_clash,
    unknown_annotations,
)


def lint(resources: Resources, graph: Graph, now: float | None = None) -> tuple[Finding, ...]:
    """All warnings, by lint, then by object. `now`: seconds since the epoch; None: validity periods are not checked."""
    found = tuple(finding for check in LINTS for finding in check(resources, graph))
    return found if now is None else (*found, *certificates_out_of_time(graph, now))
