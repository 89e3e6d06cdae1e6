"""BackendTLSPolicies: which policy applies to a port of a Service (GEP-1897).

A policy applies to Services of its own namespace. A policy for a port (`sectionName`, the port's name) has precedence
over one for the whole Service, then the older policy has precedence. TLS to backends is not served yet, so a port with
a policy gets no requests: a policy applies even if it cannot be fulfilled, and cleartext is never used instead of TLS.
"""

from collections.abc import Iterator, Mapping

from fastroute.graph.age import age
from fastroute.resources.core import ServicePort
from fastroute.resources.meta import Key
from fastroute.resources.policy import BackendTLSPolicy

Policies = Mapping[Key, tuple[BackendTLSPolicy, ...]]  # by Service, oldest first


def index_policies(policies: Mapping[Key, BackendTLSPolicy]) -> Policies:
    """Group by the target Services."""
    grouped: dict[Key, list[BackendTLSPolicy]] = {}
    for policy in sorted(policies.values(), key=age):
        for service in dict.fromkeys(services_of(policy)):
            grouped.setdefault(service, []).append(policy)
    return {service: tuple(members) for service, members in grouped.items()}


def services_of(policy: BackendTLSPolicy) -> Iterator[Key]:
    """The Services that the policy targets, whether they exist or not."""
    for target in policy.spec.target_refs:
        if (target.group, target.kind) == ("", "Service"):
            yield Key(policy.metadata.namespace, target.name)


def policy_for(service: Key, port: ServicePort, policies: tuple[BackendTLSPolicy, ...]) -> BackendTLSPolicy | None:
    """Which of `policies`, those of the Service, applies to one of its ports; None if none does."""
    by_port = (policy for policy in policies if port.name and _names(policy, service, port.name))
    return next(by_port, None) or next((policy for policy in policies if _names(policy, service, None)), None)


def _names(policy: BackendTLSPolicy, service: Key, section: str | None) -> bool:
    return any(
        (target.group, target.kind, target.name, target.section_name) == ("", "Service", service.name, section)
        for target in policy.spec.target_refs
    )
