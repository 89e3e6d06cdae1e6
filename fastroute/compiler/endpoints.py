"""Who serves a backend now. Apart from the rules, so that a Pod that comes or goes changes no rule."""

from collections.abc import Mapping

from fastroute.graph.node import BackendNode
from fastroute.snapshot import Endpoint


def endpoints_of(backends: Mapping[str, BackendNode]) -> dict[str, tuple[Endpoint, ...]]:
    """By backend, in the ids' order; the endpoints of each in theirs."""
    return {id: backends[id].endpoints for id in sorted(backends)}
