"""Lints of hostnames and matches that get no request."""

from collections.abc import Iterator

from fastroute.graph.finding import Finding, warning
from fastroute.graph.hostname import common, covers, meet
from fastroute.graph.node import Graph, ListenerNode, ParentNode
from fastroute.graph.shadow import Place, find_shadows
from fastroute.resources.world import Resources


def hostnames_outside_listeners(resources: Resources, graph: Graph) -> Iterator[Finding]:
    """A hostname of which no listener that the route is attached to gets a request, beside others that one does."""
    for id_, parents in graph.parents.items():
        route = graph.routes[id_]
        attached = [listener for parent in parents for listener in _attached(parent, graph)]
        for index, name in enumerate(route.source.spec.hostnames if attached else ()):
            meeting = [listener for listener in attached if meet(listener.hostname, name.lower())]
            taken = [_taken_by(listener, name.lower(), graph) for listener in meeting]
            if all(taken):
                message = f"No listener that the route is attached to takes {name}: it gets no request for it."
                if other := next(iter(taken), None):
                    message = (
                        f"Requests for {name} belong to listener {other.label} of Gateway {other.gateway}, which "
                        f"is more specific and which the route is not attached to: it gets none of them."
                    )
                yield warning(route.kind, route.source, "HostnameUnused", message, f"spec.hostnames[{index}]")


def _attached(parent: ParentNode, graph: Graph) -> Iterator[ListenerNode]:
    for listener in graph.holder(parent.holder).listeners:
        if listener.source.name in parent.listeners:
            yield listener


def _taken_by(listener: ListenerNode, name: str, graph: Graph) -> ListenerNode | None:
    """The listener of the same port that has all of what `name` means on this one (a request belongs to the most
    specific listener alone)."""
    hosts = common(listener.hostname, name)
    for other in graph.listeners_of(listener.gateway):
        closer = other.hostname != listener.hostname and covers(listener.hostname, other.hostname)
        if other.serves and other.source.port == listener.source.port and closer and covers(other.hostname, hosts):
            return other
    return None


def shadowed_matches(resources: Resources, graph: Graph) -> Iterator[Finding]:
    found: dict[tuple[Place, Place], list[str]] = {}
    for holder in graph.holders:
        for listener in holder.listeners:
            for shadow in find_shadows(listener):
                where = f"{shadow.hostname or 'any host'} on listener {listener.label} of Gateway {listener.gateway}"
                found.setdefault((shadow.loser, shadow.winner), []).append(where)
    for (loser, winner), places in sorted(found.items()):
        route = resources.http_routes[loser[1]]
        field = f"spec.rules[{loser[2]}].matches[{loser[3]}]"
        message = (
            f"It takes no request for {', '.join(places)}: rule {winner[2]} of HTTPRoute {winner[1]} "
            f"(matches[{winner[3]}]) takes all of them first."
        )
        yield warning("HTTPRoute", route, "Shadowed", message, field)
