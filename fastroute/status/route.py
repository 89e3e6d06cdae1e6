"""The status of a route: one entry for each managed parentRef; entries of other controllers are kept as read."""

from collections.abc import Mapping
from typing import Any

from fastroute.graph.conditions import ACCEPTED, RESOLVED_REFS
from fastroute.graph.entries import entries
from fastroute.graph.node import ParentNode, RouteNode
from fastroute.listed import listed
from fastroute.resources.gateway import ParentReference, Route
from fastroute.resources.status_patch import StatusPatch
from fastroute.status.condition import Condition, fitting, judged


def route_status(node: RouteNode, parents: tuple[ParentNode, ...], controller_name: str) -> StatusPatch:
    own = _own_conditions(node)
    return StatusPatch(
        kind=node.kind,
        key=node.key,
        generation=node.source.metadata.generation,
        uid=node.source.metadata.uid,
        status={
            "parents": [
                *_foreign_parents(node.source, controller_name),
                *fitting([_parent_status(parent, controller_name, own) for parent in parents]),
            ]
        },
    )


def _foreign_parents(source: Route, controller_name: str) -> list[dict[str, Any]]:
    """Entries of other controllers, as they were read."""
    read = entries(source.status, "parents", "controllerName")
    return [entry for entry in read if entry["controllerName"] != controller_name]


def _own_conditions(node: RouteNode) -> dict[str, Condition]:
    """By type, for the problems of the route itself. Their messages may be long, so all parents share them."""
    generation = node.source.metadata.generation
    return {type_: judged(type_, node.problems, "", generation) for type_ in {one.condition for one in node.problems}}


def _parent_status(parent: ParentNode, controller_name: str, own: Mapping[str, Condition]) -> dict[str, Any]:
    generation = parent.route.source.metadata.generation
    problems = (*parent.problems, *parent.route.problems)
    apart = {problem.condition for problem in parent.problems}
    where = listed(parent.listeners)

    def condition(type_: str, well: str) -> Condition:
        if type_ in own and type_ not in apart:
            return own[type_]
        return judged(type_, problems, well, generation)

    return {
        "parentRef": parent_ref_as_written(parent.parent_ref),
        "controllerName": controller_name,
        "conditions": [
            condition(ACCEPTED, f"Attached to listener {where}."),
            condition(RESOLVED_REFS, "Every reference is resolved."),
        ],
    }


def parent_ref_as_written(ref: ParentReference) -> dict[str, Any]:
    """Group and kind with the schema's defaults, other fields only if they are set."""
    optional = {"namespace": ref.namespace, "sectionName": ref.section_name, "port": ref.port}
    written = {name: value for name, value in optional.items() if value is not None}
    return {"group": ref.group, "kind": ref.kind, "name": ref.name, **written}
