"""Lints of parents: parents that do not exist or are not served."""

from collections.abc import Iterator

from fastroute.graph.finding import Finding, warning
from fastroute.graph.node import Graph, HolderId
from fastroute.graph.route import parent_id
from fastroute.nearest import nearest
from fastroute.resources.gateway import GROUP
from fastroute.resources.route_kinds import ROUTES
from fastroute.resources.world import Resources

PARENTS = ("Gateway", "ListenerSet")


def missing_parents(resources: Resources, graph: Graph) -> Iterator[Finding]:
    for kind, row in ROUTES.items():
        for route in resources.routes(row).values():
            if not route.spec.parent_refs:
                message = "The route has no parentRefs: it is not attached to any Gateway."
                yield warning(kind, route, "NoParents", message, "spec.parentRefs")
            for index, ref in enumerate(route.spec.parent_refs):
                id_ = parent_id(route, ref)
                if id_ is None:
                    message = f"Parents of kind {ref.kind} are not served: this parentRef has no effect."
                    near = nearest(ref.kind, PARENTS) if ref.group == GROUP else None
                    fix = f"kind: {near}" if near else None
                    yield warning(
                        kind, route, "ParentKindNotServed", message, f"spec.parentRefs[{index}].kind", fix=fix
                    )
                elif not _exists(id_, resources):
                    message = f"{ref.kind} {id_[1]} does not exist: this parentRef has no effect."
                    fix = _other_parent(id_, resources)
                    yield warning(kind, route, "ParentNotFound", message, f"spec.parentRefs[{index}]", fix=fix)


def _other_parent(id_: HolderId, resources: Resources) -> str | None:
    """The parent that was probably meant: the same name in the only namespace that has one, or a similar name."""
    kind, key = id_
    known = resources.gateways if kind == "Gateway" else resources.listener_sets
    homes = [other.namespace for other in known if other.name == key.name]
    if len(homes) == 1:
        return f"namespace: {homes[0]}"
    near = nearest(key.name, (other.name for other in known if other.namespace == key.namespace))
    return f"name: {near}" if near else None


def _exists(id_: HolderId, resources: Resources) -> bool:
    kind, key = id_
    return key in (resources.gateways if kind == "Gateway" else resources.listener_sets)
