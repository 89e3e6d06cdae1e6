"""The statuses of Gateways and ListenerSets, which summarise those of their listeners."""

from collections.abc import Iterable
from typing import Any

from fastroute.graph.conditions import ACCEPTED, INSECURE_FRONTEND, PROGRAMMED, RESOLVED_REFS
from fastroute.graph.credential import client_certificate_ref
from fastroute.graph.entries import entries
from fastroute.graph.frontend import insecure_ports
from fastroute.graph.mode import ends_tls
from fastroute.graph.node import GatewayNode, Holder, ListenerNode, ListenerSetNode
from fastroute.listed import listed
from fastroute.resources.status_patch import StatusPatch
from fastroute.snapshot import Outcome
from fastroute.status.condition import Condition, condition, fitting, foreign_conditions, joined, judged, state
from fastroute.status.listener import PENDING, SERVED, listener_status

MOST_ADDRESSES = 16  # GatewayStatus.addresses; a Service may have more
GATEWAY_SERVED, SET_SERVED = "The Gateway is served.", "The ListenerSet is served."
GATEWAY_IN_PART, SET_IN_PART = "Not accepted: listener ", "Not served: listener "
SAYS_SERVED = (GATEWAY_SERVED, SET_SERVED, GATEWAY_IN_PART, SET_IN_PART, SERVED)  # of status "True"


def holder_status(node: Holder, outcome: Outcome | None, standing: frozenset[str]) -> StatusPatch:
    """`standing`: listeners that stay Programmed while the outcome is incomplete."""
    if isinstance(node, GatewayNode):
        return gateway_status(node, outcome, standing)
    return listener_set_status(node, outcome, standing)


def _listeners(node: Holder, outcome: Outcome | None, standing: frozenset[str]) -> list[dict[str, Any]]:
    read = {entry["name"]: entry for entry in entries(node.source.status, "listeners", "name")}
    return fitting(
        [
            listener_status(node, listener, outcome, standing, read.get(listener.source.name, {}))
            for listener in node.listeners
        ]
    )


def gateway_status(node: GatewayNode, outcome: Outcome | None, standing: frozenset[str]) -> StatusPatch:
    generation = node.source.metadata.generation
    listeners = _listeners(node, outcome, standing)
    sets = {"attachedListenerSets": node.attached_sets} if node.source.spec.allowed_listeners else {}
    return StatusPatch(
        kind="Gateway",
        key=node.key,
        generation=generation,
        uid=node.source.metadata.uid,
        status={
            "addresses": [
                {"type": _address_type(address), "value": address} for address in node.addresses[:MOST_ADDRESSES]
            ],
            "conditions": [
                *foreign_conditions(node.source.status),
                _gateway_accepted(node, listeners, generation),
                _gateway_programmed(node, listeners, generation),
                *_references(node, listeners, generation),
                *_insecure(node, generation),
            ],
            "listeners": listeners,
            **sets,
        },
    )


def _references(node: GatewayNode, listeners: list[dict[str, Any]], generation: int) -> Iterable[Condition]:
    """Only if it has one of its own. Its problems come before those of its listeners."""
    if client_certificate_ref(node.source) is None:
        return
    own = judged(RESOLVED_REFS, node.problems, "Every reference is resolved.", generation)
    bad = [entry["name"] for entry in listeners if state(entry, RESOLVED_REFS)["status"] == "False"]
    if bad and own["status"] == "True":
        message = f"References are not resolved: listener {listed(bad)}; see the status of each."
        own = condition(RESOLVED_REFS, "False", "ListenersNotResolved", message, generation)
    yield own


def _insecure(node: GatewayNode, generation: int) -> Iterable[Condition]:
    """GEP-91: the owner of a Gateway must be told of this mode, also while no listener is served."""
    if where := insecure_ports(node.source):
        message = (
            f"The mode of {listed(where)} is AllowInsecureFallback: HTTPS listeners with this validation serve also "
            f"clients without a valid certificate. Backends must check X-Forwarded-Client-Cert."
        )
        yield condition(INSECURE_FRONTEND, "True", "ConfigurationChanged", message, generation)


def _address_type(address: str) -> str:
    return "IPAddress" if ":" in address or address.replace(".", "").isdigit() else "Hostname"


def _gateway_accepted(node: GatewayNode, listeners: list[dict[str, Any]], generation: int) -> Condition:
    bad = [entry["name"] for entry in listeners if state(entry, ACCEPTED)["status"] == "False"]
    own = judged(ACCEPTED, node.problems, GATEWAY_SERVED, generation)
    if own["status"] == "False" or not bad:
        return own
    message = f"{GATEWAY_IN_PART}{listed(bad)}; see the status of each."
    some = "True" if node.attached_sets or any(listener.serves for listener in node.listeners) else "False"
    return condition(ACCEPTED, some, "ListenersNotValid", message, generation)


def _gateway_programmed(node: GatewayNode, listeners: list[dict[str, Any]], generation: int) -> Condition:
    refused = [problem.message for problem in node.problems if problem.condition == ACCEPTED]
    if refused:
        return condition(PROGRAMMED, "False", "Invalid", joined(refused), generation)
    own = judged(PROGRAMMED, node.problems, SERVED, generation)
    if own["status"] == "False":
        return own
    return _served_by_some(listeners, own, generation)


def _served_by_some(listeners: list[dict[str, Any]], own: Condition, generation: int) -> Condition:
    """`own` if at least one listener is Programmed."""
    states = [state(entry, PROGRAMMED) for entry in listeners]
    if any(state["status"] == "True" for state in states):
        return own
    pending = any(state["reason"] == "Pending" for state in states)
    message = PENDING if pending else "No listener can be served; see the status of each."
    return condition(PROGRAMMED, "False", "Pending" if pending else "Invalid", message, generation)


# --- ListenerSets


def listener_set_status(node: ListenerSetNode, outcome: Outcome | None, standing: frozenset[str]) -> StatusPatch:
    generation = node.source.metadata.generation
    listeners = _listeners(node, outcome, standing)
    accepted = _set_accepted(node, listeners, generation)
    return StatusPatch(
        kind="ListenerSet",
        key=node.key,
        generation=generation,
        uid=node.source.metadata.uid,
        status={
            "conditions": [
                *foreign_conditions(node.source.status),
                accepted,
                _set_programmed(node, listeners, accepted),
            ],
            "listeners": listeners,
        },
    )


def _set_accepted(node: ListenerSetNode, listeners: list[dict[str, Any]], generation: int) -> Condition:
    own = judged(ACCEPTED, node.problems, SET_SERVED, generation)
    valid = [_is_valid(entry, listener) for entry, listener in zip(listeners, node.listeners, strict=True)]
    if own["status"] == "False" or all(valid):
        return own
    bad = [entry["name"] for entry, well in zip(listeners, valid, strict=True) if not well]
    message = f"{SET_IN_PART}{listed(bad)}; see the status of each."
    return condition(ACCEPTED, "True" if any(valid) else "False", "ListenersNotValid", message, generation)


def _is_valid(entry: dict[str, Any], listener: ListenerNode) -> bool:
    has_certificate = listener.tls is not None or not ends_tls(listener.source)
    return has_certificate and bool(state(entry, ACCEPTED)["status"] == "True")


def _set_programmed(node: ListenerSetNode, listeners: list[dict[str, Any]], accepted: Condition) -> Condition:
    generation = node.source.metadata.generation
    own = judged(PROGRAMMED, node.problems, SERVED, generation)
    if own["status"] == "False":
        return own
    if accepted["status"] == "False":
        return condition(PROGRAMMED, "False", accepted["reason"], accepted["message"], generation)
    return _served_by_some(listeners, own, generation)
