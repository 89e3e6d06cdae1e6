"""The status of a route: one entry for each managed parentRef; entries of other controllers are kept as read."""

from typing import Any

from fastroute.graph.conditions import ACCEPTED, RESOLVED_REFS
from fastroute.graph.entries import entries
from fastroute.graph.node import ParentNode, RouteNode
from fastroute.listed import listed
from fastroute.resources.gateway import ParentReference, Route
from fastroute.resources.status_patch import StatusPatch
from fastroute.status.condition import fitting, judged


def route_status(node: RouteNode, parents: tuple[ParentNode, ...], controller_name: str) -> StatusPatch:
    return StatusPatch(
        kind=node.kind,
        key=node.key,
        generation=node.source.metadata.generation,
        uid=node.source.metadata.uid,
        status={
            "parents": [
                *_foreign_parents(node.source, controller_name),
                *fitting([_parent_status(parent, controller_name) for parent in parents]),
            ]
        },
    )


def _foreign_parents(source: Route, controller_name: str) -> list[dict[str, Any]]:
    """Entries of other controllers, as they were read."""
    read = entries(source.status, "parents", "controllerName")
    return [entry for entry in read if entry["controllerName"] != controller_name]


def _parent_status(parent: ParentNode, controller_name: str) -> dict[str, Any]:
    generation = parent.route.source.metadata.generation
    problems = (*parent.problems, *parent.route.problems)
    where = listed(parent.listeners)
    return {
        "parentRef": parent_ref_as_written(parent.parent_ref),
        "controllerName": controller_name,
        "conditions": [
            judged(ACCEPTED, problems, f"Attached to listener {where}.", generation),
            judged(RESOLVED_REFS, problems, "Every reference is resolved.", generation),
        ],
    }


def parent_ref_as_written(ref: ParentReference) -> dict[str, Any]:
    """Group and kind with the schema's defaults, other fields only if they are set."""
    optional = {"namespace": ref.namespace, "sectionName": ref.section_name, "port": ref.port}
    written = {name: value for name, value in optional.items() if value is not None}
    return {"group": ref.group, "kind": ref.kind, "name": ref.name, **written}
