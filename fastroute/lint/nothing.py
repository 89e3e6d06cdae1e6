"""The reason why no object is checked or no listener serves: that must not look like success."""

from collections.abc import Collection

from fastroute.graph.node import Graph
from fastroute.listed import listed
from fastroute.resources.meta import Key
from fastroute.resources.world import Resources

_NAMED = 3  # Gateways that a message names


def nothing_served(resources: Resources, graph: Graph) -> str | None:
    """The reason why no listener serves; None if one does."""
    if any(listener.serves for holder in graph.holders for listener in holder.listeners):
        return None
    if graph.gateways:
        return f"no listener of {_names(graph.gateways)} can serve"
    if not resources.gateways:
        return "there is no Gateway"
    ours = [key for key, gateway in resources.gateways.items() if gateway.spec.gateway_class_name in _classes(graph)]
    if ours:
        return f"--gateway does not include {_names(ours)}"
    return f"no Gateway has a class of controller {graph.controller_name}; not served: {_names(resources.gateways)}"


def _classes(graph: Graph) -> set[str]:
    return {key.name for key in graph.classes}


def _names(keys: Collection[Key]) -> str:
    return listed([f"Gateway {key}" for key in keys], _NAMED)
