"""build_statuses: what each object's status should say. Pure, without a clock.

Conditions start from "all is well" and are overlaid by each node's problems, then by the Outcome: nothing is Programmed
before every worker has acknowledged it. Only what is ours is written: entries of other controllers in a route's
`parents`, and condition types that are not ours, stay as they were read. An unchanged node over an unchanged Outcome
gives the very same StatusPatch again.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from fastroute.difference import changed_keys, replaced
from fastroute.graph.address import is_wildcard
from fastroute.graph.conditions import ACCEPTED, CONFLICTED, PROGRAMMED, RESOLVED_REFS
from fastroute.graph.entries import entries
from fastroute.graph.feature import SUPPORTED_FEATURES
from fastroute.graph.node import (
    GatewayClassNode,
    GatewayNode,
    Graph,
    ListenerNode,
    ParentNode,
    Problem,
    Route,
    RouteNode,
)
from fastroute.resources.gateway import ParentReference
from fastroute.resources.meta import Key
from fastroute.resources.status_patch import StatusPatch
from fastroute.snapshot import Bound, Failed, Outcome

ObjectId = tuple[str, Key]  # (kind, key)
Condition = dict[str, Any]

SUPPORTED_VERSION = "SupportedVersion"
PENDING = "Waiting for the workers to take it over."
LONGEST_MESSAGE = 32_768  # metav1.Condition.message
OUR_TYPES = frozenset({ACCEPTED, PROGRAMMED, RESOLVED_REFS, CONFLICTED, SUPPORTED_VERSION})


class Statuses(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The status every object of ours should have, and what it was made from."""

    patches: Mapping[ObjectId, StatusPatch]
    routes: Mapping[ObjectId, StatusPatch] = {}  # those of `patches` that are of routes
    graph: Graph
    outcome: Outcome | None


def build_statuses(
    graph: Graph,
    outcome: Outcome | None = None,
    previous: Statuses | None = None,
) -> Statuses:
    """`outcome`: of `graph`'s snapshot; None: none came yet. While it is not complete, only what `previous` said of
    Gateways that did not change since stays Programmed; otherwise `previous` only saves work."""
    last = previous if previous is not None and previous.graph.controller_name == graph.controller_name else None
    known: Mapping[ObjectId, StatusPatch] = last.patches if last else {}
    routes = _route_patches(graph, last, known)
    patches: dict[ObjectId, StatusPatch] = {}
    for key, gateway_class in graph.classes.items():
        if not gateway_class.implied:
            id_ = ("GatewayClass", key)
            patches[id_] = _kept(known.get(id_), gateway_class_status(gateway_class))
    _add_gateways(patches, graph, outcome, last)
    return Statuses(patches={**patches, **routes}, routes=routes, graph=graph, outcome=outcome)


def _add_gateways(
    patches: dict[ObjectId, StatusPatch], graph: Graph, outcome: Outcome | None, last: Statuses | None
) -> None:
    nodes = last.graph.gateways if last and _says_the_same(last.outcome, outcome) else {}
    known: Mapping[ObjectId, StatusPatch] = last.patches if last else {}
    for key, gateway in graph.gateways.items():
        id_ = ("Gateway", key)
        if nodes.get(key) is gateway:
            patches[id_] = known[id_]
        else:
            standing = _programmed(known[id_]) if last and _unchanged(gateway, last.graph) else frozenset()
            patches[id_] = _kept(known.get(id_), gateway_status(gateway, outcome, standing))


def _says_the_same(old: Outcome | None, new: Outcome | None) -> bool:
    if old is None or new is None:
        return old is new
    return (old.complete, old.listeners) == (new.complete, new.listeners)


def _route_patches(
    graph: Graph, last: Statuses | None, known: Mapping[ObjectId, StatusPatch]
) -> Mapping[ObjectId, StatusPatch]:
    """Routes are many: those whose nodes are the very same ones are not looked into."""
    before = last.graph if last else None
    stale = changed_keys(before.routes if before else {}, graph.routes)
    stale |= changed_keys(before.parents if before else {}, graph.parents)

    def patch(id_: ObjectId) -> StatusPatch | None:
        if id_ not in graph.routes:
            return None
        return _kept(known.get(id_), route_status(graph.routes[id_], graph.parents[id_], graph.controller_name))

    return replaced(last.routes if last else {}, {id_: patch(id_) for id_ in stale})


def _unchanged(gateway: GatewayNode, before: Graph) -> bool:
    return gateway.key in before.gateways and before.gateways[gateway.key].source is gateway.source


def _programmed(patch: StatusPatch) -> frozenset[str]:
    """Names of the listeners that are Programmed by this status."""
    listeners = patch.status["listeners"]
    return frozenset(entry["name"] for entry in listeners if _state(entry, PROGRAMMED)["status"] == "True")


def _kept(old: StatusPatch | None, new: StatusPatch) -> StatusPatch:
    return old if old is not None and old == new else new


def everything_bound(graph: Graph) -> Outcome:
    """The Outcome of a data plane that could bind all: what `check` assumes."""
    return Outcome(
        version=0,
        listeners={
            listener_id(gateway.key, listener.source.name, address): Bound()
            for gateway in graph.gateways.values()
            for listener in gateway.listeners
            for address in gateway.bind
        },
    )


def listener_id(gateway: Key, listener: str, address: str) -> str:
    """As the Snapshot names a listener on one address."""
    return f"{gateway}/{listener}@{address}"


# --- Conditions


def condition(type_: str, status: str, reason: str, message: str, generation: int) -> Condition:
    return {
        "type": type_,
        "status": status,
        "reason": reason,
        "message": message[:LONGEST_MESSAGE],
        "observedGeneration": generation,
    }


def _judged(type_: str, problems: Iterable[Problem], well: str, generation: int) -> Condition:
    """True, or False with the gravest reason and every message once."""
    negative = [problem for problem in problems if problem.condition == type_]
    if not negative:
        return condition(type_, "True", type_, well, generation)
    reason = min((problem.reason for problem in negative), key=_gravity)
    negative.sort(key=lambda problem: problem.reason != reason)
    return condition(type_, "False", reason, _joined(problem.message for problem in negative), generation)


# Of several reasons for one condition the first here is shown; those of a parent come before those of its route.
GRAVITY = {
    reason: rank
    for rank, reason in enumerate(
        (
            "NoMatchingParent",
            "NotAllowedByListeners",
            "NoMatchingListenerHostname",
            "IncompatibleFilters",
            "UnsupportedValue",
            "RefNotPermitted",
            "InvalidKind",
            "BackendNotFound",
            "UnsupportedProtocol",
        )
    )
}


def _gravity(reason: str) -> int:
    return GRAVITY.get(reason, len(GRAVITY))


def _joined(messages: Iterable[str]) -> str:
    """Each once, in order; cut at a whole sentence when there are too many for a condition."""
    joined: list[str] = []
    length = 0
    unique = list(dict.fromkeys(messages))
    for count, message in enumerate(unique):
        length += len(message) + 1
        if length > LONGEST_MESSAGE - 40 and joined:
            joined.append(f"And {len(unique) - count} more.")
            break
        joined.append(message)
    return " ".join(joined)


def _foreign_conditions(status: Mapping[str, Any]) -> list[Condition]:
    """Conditions of types that are not ours, as they were read."""
    return [entry for entry in entries(status, "conditions", "type") if entry["type"] not in OUR_TYPES]


# --- GatewayClass


def gateway_class_status(node: GatewayClassNode) -> StatusPatch:
    generation = node.source.metadata.generation
    accepted = _judged(ACCEPTED, node.problems, "Handled by fastroute.", generation)
    version = condition(SUPPORTED_VERSION, "True", SUPPORTED_VERSION, "Gateway API v1.6 is served.", generation)
    return StatusPatch(
        kind="GatewayClass",
        key=node.source.key,
        generation=generation,
        status={
            "conditions": [*_foreign_conditions(node.source.status), accepted, version],
            "supportedFeatures": [{"name": name} for name in SUPPORTED_FEATURES],
        },
    )


# --- Gateway


def gateway_status(node: GatewayNode, outcome: Outcome | None, standing: frozenset[str]) -> StatusPatch:
    """`standing`: listeners that stay Programmed while the outcome is not complete."""
    generation = node.source.metadata.generation
    read = {entry["name"]: entry for entry in entries(node.source.status, "listeners", "name")}
    listeners = [
        _listener_status(node, listener, outcome, standing, read.get(listener.source.name, {}))
        for listener in node.listeners
    ]
    return StatusPatch(
        kind="Gateway",
        key=node.key,
        generation=generation,
        status={
            "addresses": [{"type": _address_type(address), "value": address} for address in node.addresses],
            "conditions": [
                *_foreign_conditions(node.source.status),
                _gateway_accepted(node, listeners, generation),
                _gateway_programmed(node, listeners, generation),
            ],
            "listeners": listeners,
        },
    )


def _address_type(address: str) -> str:
    return "IPAddress" if ":" in address or address.replace(".", "").isdigit() else "Hostname"


def _state(entry: Mapping[str, Any], type_: str) -> Condition:
    found: Condition = next(c for c in entry["conditions"] if c["type"] == type_)
    return found


def _gateway_accepted(node: GatewayNode, listeners: list[dict[str, Any]], generation: int) -> Condition:
    bad = [entry["name"] for entry in listeners if _state(entry, ACCEPTED)["status"] == "False"]
    own = _judged(ACCEPTED, node.problems, "The Gateway is served.", generation)
    if own["status"] == "False" or not bad:
        return own
    message = f"Not accepted: listener {', '.join(bad)}; the status of each says why."
    some = "True" if any(listener.serves for listener in node.listeners) else "False"
    return condition(ACCEPTED, some, "ListenersNotValid", message, generation)


def _gateway_programmed(node: GatewayNode, listeners: list[dict[str, Any]], generation: int) -> Condition:
    refused = [problem.message for problem in node.problems if problem.condition == ACCEPTED]
    if refused:
        return condition(PROGRAMMED, "False", "Invalid", _joined(refused), generation)
    own = _judged(PROGRAMMED, node.problems, "Every worker serves it.", generation)
    if own["status"] == "False":
        return own
    states = [_state(entry, PROGRAMMED) for entry in listeners]
    if any(state["status"] == "True" for state in states):
        return own
    pending = any(state["reason"] == "Pending" for state in states)
    message = PENDING if pending else "No listener can be served; the status of each says why."
    return condition(PROGRAMMED, "False", "Pending" if pending else "Invalid", message, generation)


# --- Listener


def _listener_status(
    gateway: GatewayNode,
    node: ListenerNode,
    outcome: Outcome | None,
    standing: frozenset[str],
    read: Mapping[str, Any],
) -> dict[str, Any]:
    generation = gateway.source.metadata.generation
    failure = _failure(gateway, node, outcome) if node.serves else None
    conditions = [
        *_foreign_conditions(read),
        _listener_accepted(node, failure, generation),
        _listener_programmed(gateway, node, failure, _is_served(gateway, node, outcome, standing)),
        _judged(RESOLVED_REFS, node.problems, _references(node), generation),
    ]
    if clash := next((problem for problem in node.problems if problem.condition == CONFLICTED), None):
        conditions.append(condition(CONFLICTED, "True", clash.reason, clash.message, generation))
    return {
        "name": node.source.name,
        "supportedKinds": [{"group": group, "kind": kind} for group, kind in node.supported_kinds],
        "attachedRoutes": len(node.attachments),
        "conditions": conditions,
    }


def _references(node: ListenerNode) -> str:
    if node.source.tls is None:
        return "Every reference of the listener is resolved."
    return f"References for {node.source.protocol} are not looked at, as it is not served yet."


def _failure(gateway: GatewayNode, node: ListenerNode, outcome: Outcome | None) -> str | None:
    """Why the data plane could not bind it.

    On hosts without one of the two IP families, one of "0.0.0.0" and "::" fails and the other is everywhere.
    """
    known = outcome.listeners if outcome else {}
    results = {address: known.get(listener_id(gateway.key, node.source.name, address)) for address in gateway.bind}
    failed = {address: result.reason for address, result in results.items() if isinstance(result, Failed)}
    bound = any(isinstance(result, Bound) for result in results.values())
    if bound and all(map(is_wildcard, failed)):
        return None
    return _joined(failed.values()) or None


def _listener_accepted(node: ListenerNode, failure: str | None, generation: int) -> Condition:
    own = _judged(ACCEPTED, node.problems, "The listener is valid.", generation)
    clash = next((problem for problem in node.problems if problem.condition == CONFLICTED), None)
    if own["status"] == "False":
        return own
    if clash is not None:
        return condition(ACCEPTED, "False", clash.reason, clash.message, generation)
    if failure is not None:
        return condition(ACCEPTED, "False", "PortUnavailable", failure, generation)
    return own


def _is_served(gateway: GatewayNode, node: ListenerNode, outcome: Outcome | None, standing: frozenset[str]) -> bool:
    """Every worker has acknowledged what the Gateway says now of this listener."""
    if outcome is None or not outcome.complete:
        return node.source.name in standing
    ids = (listener_id(gateway.key, node.source.name, address) for address in gateway.bind)
    return all(id_ in outcome.listeners for id_ in ids)


def _listener_programmed(gateway: GatewayNode, node: ListenerNode, failure: str | None, served: bool) -> Condition:
    generation = gateway.source.metadata.generation
    if not node.serves:
        why = [problem.message for problem in node.problems if problem.condition in (ACCEPTED, CONFLICTED)]
        why = why or [problem.message for problem in gateway.problems]
        return condition(PROGRAMMED, "False", "Invalid", _joined(why), generation)
    if failure is not None:
        return condition(PROGRAMMED, "False", "Invalid", failure, generation)
    if served:
        return condition(PROGRAMMED, "True", PROGRAMMED, "Every worker serves it.", generation)
    return condition(PROGRAMMED, "False", "Pending", PENDING, generation)


# --- Routes


def route_status(node: RouteNode, parents: tuple[ParentNode, ...], controller_name: str) -> StatusPatch:
    return StatusPatch(
        kind=node.kind,
        key=node.key,
        generation=node.source.metadata.generation,
        status={
            "parents": [
                *_foreign_parents(node.source, controller_name),
                *(_parent_status(parent, controller_name) for parent in parents),
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
    where = ", ".join(parent.listeners)
    return {
        "parentRef": parent_ref_as_written(parent.parent_ref),
        "controllerName": controller_name,
        "conditions": [
            _judged(ACCEPTED, problems, f"Attached to listener {where}.", generation),
            _judged(RESOLVED_REFS, problems, "Every reference is resolved.", generation),
        ],
    }


def parent_ref_as_written(ref: ParentReference) -> dict[str, Any]:
    """With the schema's defaults for group and kind, and nothing that was not written."""
    optional = {"namespace": ref.namespace, "sectionName": ref.section_name, "port": ref.port}
    written = {name: value for name, value in optional.items() if value is not None}
    return {"group": ref.group, "kind": ref.kind, "name": ref.name, **written}
