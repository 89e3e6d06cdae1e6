"""The current endpoints of each backend. Separate from the rules, so that changes of Pods do not change rules."""

from collections.abc import Mapping

from fastroute.graph.node import BackendNode
from fastroute.snapshot import Endpoint


def endpoints_of(backends: Mapping[str, BackendNode]) -> dict[str, tuple[Endpoint, ...]]:
    """By backend, sorted by id; the order of the endpoints is kept."""
    return {id: backends[id].endpoints for id in sorted(backends)}
