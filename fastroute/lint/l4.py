"""Lints of L4 routes: server names that another route gets, and weights of 0."""

from collections.abc import Iterator

from fastroute.graph.backend_ref import ref_id
from fastroute.graph.finding import Finding, warning
from fastroute.graph.node import Graph, ListenerNode, RouteId
from fastroute.graph.rival import rivals_of
from fastroute.listed import listed
from fastroute.resources.world import Resources

MOST_NAMED = 5  # server names in one message


def names_of_others(resources: Resources, graph: Graph) -> Iterator[Finding]:
    """Routes that share a server name, or a whole listener, with one that has precedence."""
    found: dict[tuple[RouteId, RouteId, str], list[str]] = {}
    for holder in graph.holders:
        for listener in holder.listeners:
            for name, ids in rivals_of(listener.attachments).items() if listener.is_l4 else ():
                for loser in ids[1:]:
                    found.setdefault((loser, ids[0], _where(listener)), []).append(name)
    for (loser, (kind, key), where), names in sorted(found.items()):
        route = graph.routes[loser]
        what = f" for {listed(names, MOST_NAMED)}" if any(names) else ""
        field = f"spec.hostnames[{_index(route.hostnames, names)}]" if any(names) else "spec.parentRefs"
        message = (
            f"It gets nothing{what} on {where}: {kind} {key} has precedence. The older route comes first, then the one "
            "whose namespace/name sorts first."
        )
        yield warning(route.kind, route.source, "Shadowed", message, field)


def _where(listener: ListenerNode) -> str:
    return f"listener {listener.label} of Gateway {listener.gateway}"


def _index(hostnames: tuple[str, ...], names: list[str]) -> int:
    """Of the first hostname that is one of `names`."""
    return next(index for index, name in enumerate(hostnames) if name.lower() in names)


def zero_weights_of_l4(resources: Resources, graph: Graph) -> Iterator[Finding]:
    for route in graph.routes.values():
        for index, rule in enumerate(route.l4_rules):
            field = f"spec.rules[{index}].backendRefs"
            if not any(ref.weight for ref in rule.backend_refs):
                message = "All weights of the rule are 0: everything that arrives is refused."
                yield warning(route.kind, route.source, "AllWeightsZero", message, field)
                continue
            for number, ref in enumerate(rule.backend_refs):
                if not ref.weight:
                    message = f"Weight 0: {ref_id(route.key.namespace, ref)} gets nothing."
                    yield warning(route.kind, route.source, "WeightZero", message, f"{field}[{number}].weight")
