"""Orphans: Gateways and ListenerSets that no controller serves, because their GatewayClass or Gateway does not exist.

They have no node in the graph. A status that an earlier process wrote may still report them as served.
"""

from fastroute.graph.listenerset import parent_of
from fastroute.graph.node import Graph, HolderId
from fastroute.resources.gateway import Gateway
from fastroute.resources.meta import Key
from fastroute.resources.world import Resources


def orphans(graph: Graph) -> frozenset[HolderId]:
    """Gateways whose GatewayClass does not exist, and ListenerSets whose Gateway is one of these or does not exist.

    With `--gateway`, only the named Gateways and their ListenerSets. Iterates over all Gateways and ListenerSets.
    """
    resources, settings = graph.resources, graph.settings
    if resources is None or settings is None:
        return frozenset()
    chosen = settings.gateways
    found: set[HolderId] = set()
    for key, gateway in resources.gateways.items():
        if _is_chosen(key, chosen) and _lacks_class(gateway, resources) and key not in graph.gateways:
            found.add(("Gateway", key))
    for key, source in resources.listener_sets.items():
        parent = parent_of(source)
        if parent is not None and _is_chosen(parent, chosen):
            above = resources.gateways.get(parent)
            if above is None or ("Gateway", parent) in found:
                found.add(("ListenerSet", key))
    return frozenset(found)


def _is_chosen(gateway: Key, chosen: frozenset[str]) -> bool:
    return not chosen or str(gateway) in chosen


def _lacks_class(gateway: Gateway, resources: Resources) -> bool:
    return Key("", gateway.spec.gateway_class_name) not in resources.gateway_classes
