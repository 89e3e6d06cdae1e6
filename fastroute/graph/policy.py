"""BackendTLSPolicies: which ports of Services one is for (GEP-1897).

A policy is for Services of its own namespace. One that names a port (`sectionName`, a port's name) comes before one for
the whole Service, and then the older one comes first. TLS towards backends is not served yet, so a port with a policy
gets no request: a policy that exists counts even when it cannot be obeyed, and cleartext never stands in for TLS.
"""

from collections.abc import Iterator, Mapping

from fastroute.graph.age import age
from fastroute.resources.core import ServicePort
from fastroute.resources.meta import Key
from fastroute.resources.policy import BackendTLSPolicy

Policies = Mapping[Key, tuple[BackendTLSPolicy, ...]]  # by Service, the oldest first


def index_policies(policies: Mapping[Key, BackendTLSPolicy]) -> Policies:
    """Group by the Services that they name."""
    grouped: dict[Key, list[BackendTLSPolicy]] = {}
    for policy in sorted(policies.values(), key=age):
        for service in dict.fromkeys(services_of(policy)):
            grouped.setdefault(service, []).append(policy)
    return {service: tuple(members) for service, members in grouped.items()}


def services_of(policy: BackendTLSPolicy) -> Iterator[Key]:
    """Those that it names, whether they exist or not."""
    for target in policy.spec.target_refs:
        if (target.group, target.kind) == ("", "Service"):
            yield Key(policy.metadata.namespace, target.name)


def policy_for(service: Key, port: ServicePort, policies: Policies) -> BackendTLSPolicy | None:
    """The policy that a port of a Service obeys."""
    mine = policies.get(service, ())
    by_port = (policy for policy in mine if port.name and _names(policy, service, port.name))
    return next(by_port, None) or next((policy for policy in mine if _names(policy, service, None)), None)


def _names(policy: BackendTLSPolicy, service: Key, section: str | None) -> bool:
    return any(
        (target.group, target.kind, target.name, target.section_name) == ("", "Service", service.name, section)
        for target in policy.spec.target_refs
    )
