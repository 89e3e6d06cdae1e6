"""Policies with targets at which they have no effect: finds those that target managed objects, and says why.

Policies for objects of other controllers are not reported. A Service counts as managed if a managed route sends
requests to it.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from fastroute.graph.finding import Finding, warning
from fastroute.graph.node import Graph
from fastroute.resources.gateway import GROUP
from fastroute.resources.meta import Key
from fastroute.resources.policy import UNSERVED_POLICY, BackendTLSPolicy, PolicyTarget
from fastroute.resources.telemetry import KEYS, KIND, MOST_HEADERS, XTelemetryPolicy, is_gateway
from fastroute.resources.world import Resources

CORE = frozenset({"core", "v1"})  # common mistakes for the empty group


class Targets(NamedTuple):
    """What policies may target, indexed: there may be thousands of them for a Service with thousands of ports."""

    graph: Graph
    ports: dict[Key, frozenset[str]]  # the names of the ports of each Service that managed routes send requests to


def policies_not_served(resources: Resources, graph: Graph) -> Iterator[Finding]:
    """One warning for each managed target."""
    if not (resources.backend_tls_policies or resources.telemetry_policies or resources.unserved_policies):
        return
    used = {backend.service for backend in graph.backends.values()}
    names = {key: frozenset(port.name for port in resources.services[key].spec.ports) for key in used}
    targets = Targets(graph, names)
    for policy in resources.backend_tls_policies.values():
        for index, target in enumerate(policy.spec.target_refs):
            field = f"spec.targetRefs[{index}]"
            if said := _tls_not_served(policy, target, targets):
                reason, message = said
                yield warning("BackendTLSPolicy", policy, reason, message, field)
    for telemetry in resources.telemetry_policies.values():
        for index, ref in enumerate(telemetry.spec.target_refs):
            target = PolicyTarget(name=ref.name, group=ref.group, kind=ref.kind)
            key = _key(telemetry.metadata.namespace, target)
            if not is_gateway(ref) and _is_ours(target, key, targets):
                message = f"An XTelemetryPolicy applies only to Gateways: it has no effect on {ref.kind} {key}."
                yield warning(KIND, telemetry, "PolicyNotServed", message, f"spec.targetRefs[{index}]")
        if telemetry.key in graph.telemetry:
            yield from _attributes_not_served(telemetry)
    for other in resources.unserved_policies.values():
        for field, target in other.targets:
            key = _key(other.metadata.namespace, target)
            if _is_ours(target, key, targets):
                message = (
                    f"Policies of kind {other.kind} ({other.group or 'core'}) are not served: {target.kind} {key} is "
                    f"served as if this one did not exist."
                )
                found = warning(other.kind, other, "PolicyNotServed", message, field)
                name = Key(other.metadata.namespace, other.metadata.name)
                yield msgspec.structs.replace(found, key=name, read_as=(UNSERVED_POLICY, other.key))


def _tls_not_served(policy: BackendTLSPolicy, target: PolicyTarget, targets: Targets) -> tuple[str, str] | None:
    """Reason and message for the effect of a BackendTLSPolicy on a managed target; None if it has none."""
    key = _key(policy.metadata.namespace, target)
    if target.group in CORE and target.kind == "Service":
        if key not in targets.ports:
            return None
        message = (
            f'"{target.group}" is not the core group, which is written "": the policy does not apply to Service {key}, '
            f"and requests to it are sent without TLS."
        )
        return "PolicyGroupNotCore", message
    if not _is_ours(target, key, targets):
        return None
    if target.kind != "Service":
        return (
            "PolicyNotServed",
            f"A BackendTLSPolicy applies only to Services: it has no effect on {target.kind} {key}.",
        )
    section = target.section_name
    if section is None or section in targets.ports[key] or _is_reported(policy, targets):
        return None
    message = f"Service {key} has no port named {section}: the policy applies to none of its ports."
    return "PolicyTargetNotFound", message


def _is_reported(policy: BackendTLSPolicy, targets: Targets) -> bool:
    """Whether the status of the policy says that it has no target."""
    node = targets.graph.policies.get(policy.key)
    return node is not None and any(problem.reason == "TargetNotFound" for problem in node.problems)


def _key(namespace: str, target: PolicyTarget) -> Key:
    return Key("" if target.kind == "GatewayClass" else namespace, target.name)


def _is_ours(target: PolicyTarget, key: Key, targets: Targets) -> bool:
    graph = targets.graph
    match target.group, target.kind:
        case "", "Service":
            return key in targets.ports
        case group, "GatewayClass" if group == GROUP:
            return key in graph.classes
        case group, "Gateway" if group == GROUP:
            return key in graph.gateways
        case group, "ListenerSet" if group == GROUP:
            return key in graph.listener_sets
        case group, kind if group == GROUP:
            return bool(graph.parents.get((kind, key)))
    return False


def _attributes_not_served(policy: XTelemetryPolicy) -> Iterator[Finding]:
    """Those that no span gets."""
    headers = 0
    for index, one in enumerate((policy.spec.tracing and policy.spec.tracing.attributes) or ()):
        headers += one.header_name is not None
        field = f"spec.tracing.attributes[{index}]"
        if one.attribute_key is not None and one.attribute_key not in KEYS:
            known = ", ".join(sorted(KEYS))
            message = f"No span has the attribute {one.attribute_key}, so it is left out. Spans have: {known}."
            yield warning(KIND, policy, "AttributeNotServed", message, f"{field}.attributeKey")
        if one.header_name is not None and headers > MOST_HEADERS:
            message = f"A policy may have {MOST_HEADERS} attributes of type Header: this one is left out."
            yield warning(KIND, policy, "AttributeNotServed", message, field)
