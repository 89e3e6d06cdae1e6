"""BackendTLSPolicies: which policy applies to a port of a Service (GEP-1897).

A policy applies to Services of its own namespace. A policy for a port (`sectionName`, the port's name) has precedence
over one for the whole Service, then the older policy has precedence. A policy applies even if it cannot be fulfilled:
cleartext is never used instead of TLS.
"""

from collections.abc import Mapping

from fastroute.difference import replaced
from fastroute.graph.age import age
from fastroute.graph.dependency import POLICIES, Reader, Section
from fastroute.resources.core import ServicePort
from fastroute.resources.meta import Key
from fastroute.resources.policy import BackendTLSPolicy

Sections = Mapping[Section, tuple[BackendTLSPolicy, ...]]  # those that target the section, oldest first; at least one
WHOLE = ""  # instead of the name of a port: the whole Service


def index_policies(
    before: Mapping[Key, BackendTLSPolicy],
    after: Mapping[Key, BackendTLSPolicy],
    touched: frozenset[Key],
    last: Sections,
) -> Sections:
    """The index of `after`: `last`, that of `before`, with only the policies `touched` updated."""
    new: dict[Section, list[BackendTLSPolicy]] = {}
    for key in touched:
        if key in before:
            for section in sections_of(before[key]):
                new.setdefault(section, [])
        if key in after:
            for section in sections_of(after[key]):
                new.setdefault(section, []).append(after[key])
    for section, members in new.items():
        members += (policy for policy in last.get(section, ()) if policy.key not in touched)
    return replaced(last, {section: tuple(sorted(members, key=age)) or None for section, members in new.items()})


def sections_of(policy: BackendTLSPolicy) -> frozenset[Section]:
    """The Services and ports that the policy targets, whether they exist or not."""
    home = policy.metadata.namespace
    return frozenset(
        (Key(home, target.name), target.section_name or WHOLE)
        for target in policy.spec.target_refs
        if target.is_service
    )


def policy_for(service: Key, port: ServicePort, reader: Reader) -> BackendTLSPolicy | None:
    """Which policy applies to a port of a Service. However many there are, at most two sections are looked up."""
    found = reader.find(POLICIES, (service, port.name)) if port.name else None
    found = found or reader.find(POLICIES, (service, WHOLE))
    return found[0] if found else None


def winner_of(service: Key, port: str, sections: Sections) -> BackendTLSPolicy | None:
    """The same without a Reader. `port`: its name."""
    found = sections.get((service, port)) if port else None
    found = found or sections.get((service, WHOLE))
    return found[0] if found else None
