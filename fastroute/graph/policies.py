"""All BackendTLSPolicies, resolved; only what was touched is resolved again.

A ConfigMap or ClusterTrustBundle that no policy refers to is never judged. The next stage decides which policies apply
to something that is served (ancestry.py).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from fastroute.difference import changed_keys, replaced
from fastroute.graph.authorities import AuthoritiesNode, Shelf, merged
from fastroute.graph.change import kept
from fastroute.graph.dependency import CONFIG_MAPS, POLICIES, TRUST_BUNDLES, Dependencies, Indexes, Reader
from fastroute.graph.node import Applied, Withheld
from fastroute.graph.policy import Sections, sections_of, winner_of
from fastroute.graph.policy_room import refused as refused_unit
from fastroute.graph.policy_room import without_room
from fastroute.graph.policy_unit import PolicyUnit, Sources, resolve_policy
from fastroute.resources.core import ServicePort
from fastroute.resources.meta import Key
from fastroute.resources.policy import BackendTLSPolicy
from fastroute.snapshot import BackendTLS


class Policies(msgspec.Struct, frozen=True, eq=False):
    """What each policy demands."""

    units: Mapping[Key, PolicyUnit] = {}
    spaces: Mapping[str, Mapping[Key, PolicyUnit]] = {}  # by namespace, before it is known for which there is room
    tls: Mapping[Key, BackendTLS] = {}  # of those that can be fulfilled
    withheld: Mapping[Key, Withheld] = {}  # of the others
    targeting: Mapping[Key, frozenset[Key]] = {}  # the policies that target a Service, by Service
    authorities: Mapping[Key, AuthoritiesNode] = {}  # the ConfigMaps and ClusterTrustBundles that were judged


def resolve_policies(
    policies: Mapping[Key, BackendTLSPolicy],
    touched: frozenset[Key],
    indexes: Indexes,
    changed: Dependencies,
    last: Policies,
    *,
    sources: Sources,
) -> Policies:
    """`touched`: policies that changed or were removed. Those that depend on `changed` are added here."""
    shelf = Shelf(last.authorities)
    stale = set(touched)
    if changed:
        stale |= {key for key, unit in last.units.items() if not changed.isdisjoint(unit.dependencies)}
    if not stale:
        return last
    resolved = {
        key: resolve_policy(policies[key], Reader(indexes), shelf, sources) if key in policies else None
        for key in stale
    }
    spaces = _by_space(resolved, last)
    made = _fitted(resolved, spaces, last)
    units = replaced(last.units, made)
    tls = {key: kept(last.tls.get(key), unit.tls) if unit and unit.tls else None for key, unit in made.items()}
    said = {
        key: kept(last.withheld.get(key), unit.withheld) if unit and unit.withheld else None
        for key, unit in made.items()
    }
    return Policies(
        units=units,
        spaces=spaces,
        tls=replaced(last.tls, tls),
        withheld=replaced(last.withheld, said),
        targeting=_targeting(made, last),
        authorities=_authorities(units, made, shelf, last, indexes),
    )


def _by_space(resolved: Mapping[Key, PolicyUnit | None], last: Policies) -> Mapping[str, Mapping[Key, PolicyUnit]]:
    changes: dict[str, dict[Key, PolicyUnit | None]] = {}
    for key, unit in resolved.items():
        changes.setdefault(key.namespace, {})[key] = unit
    spaces = {space: replaced(last.spaces.get(space, {}), change) for space, change in changes.items()}
    return replaced(last.spaces, {space: units or None for space, units in spaces.items()})


def _fitted(
    resolved: Mapping[Key, PolicyUnit | None], spaces: Mapping[str, Mapping[Key, PolicyUnit]], last: Policies
) -> Mapping[Key, PolicyUnit | None]:
    """`resolved`, and others of their namespaces for which there is room now, or no longer."""
    made = dict(resolved)
    for space in {key.namespace for key in resolved}:
        units = spaces.get(space, {})
        refused = without_room(units.values())
        joined = _joined(units, last)
        for key, unit in units.items():
            if key in resolved or (last.units[key].tls is None) != (unit.tls is None or key in refused):
                made[key] = refused_unit(unit) if key in refused else _with_anchors(unit, joined)
    return made


def _joined(units: Iterable[Key], last: Policies) -> dict[tuple[bytes, ...], bytes]:
    """The trust anchors that policies have already, so that those with the same ConfigMaps share them."""
    before = (last.units[key] for key in units if key in last.units)
    return {unit.anchors: unit.tls.trust_anchors for unit in before if unit.tls}


def _with_anchors(unit: PolicyUnit, joined: dict[tuple[bytes, ...], bytes]) -> PolicyUnit:
    if unit.tls is None or not unit.anchors:
        return unit
    if unit.anchors not in joined:
        joined[unit.anchors] = merged(unit.anchors)
    tls = msgspec.structs.replace(unit.tls, trust_anchors=joined[unit.anchors])
    return msgspec.structs.replace(unit, tls=tls)


def _targeting(made: Mapping[Key, PolicyUnit | None], last: Policies) -> Mapping[Key, frozenset[Key]]:
    changes: dict[Key, frozenset[Key]] = {}
    for key, unit in made.items():
        old = _services_of(last.units[key]) if key in last.units else frozenset()
        new = _services_of(unit) if unit else frozenset()
        for service in old - new:
            changes[service] = changes.get(service, last.targeting.get(service, frozenset())) - {key}
        for service in new - old:
            changes[service] = changes.get(service, last.targeting.get(service, frozenset())) | {key}
    return replaced(last.targeting, {service: keys or None for service, keys in changes.items()})


def _services_of(unit: PolicyUnit) -> frozenset[Key]:
    return frozenset(service for service, _ in sections_of(unit.source))


def _authorities(
    units: Mapping[Key, PolicyUnit], made: Iterable[Key], shelf: Shelf, last: Policies, indexes: Indexes
) -> Mapping[Key, AuthoritiesNode]:
    """The nodes of the objects that at least one policy refers to now."""
    there = (indexes[CONFIG_MAPS], indexes[TRUST_BUNDLES])
    if not shelf.judged and _read_for(made, units) == _read_for(made, last.units):
        return replaced(last.authorities, dict.fromkeys(_gone(_read_for(made, units), there)))
    wanted = _read_for(units, units)
    known = {**last.authorities, **shelf.judged}
    gone = {*_gone(known, there), *(key for key in known if key not in wanted)}
    return replaced(last.authorities, {**shelf.judged, **dict.fromkeys(gone)})


def _gone(keys: Iterable[Key], there: tuple[Mapping[Key, Any], ...]) -> list[Key]:
    """Those that are in none of the mappings. A ConfigMap has a namespace and a ClusterTrustBundle has none."""
    return [key for key in keys if not any(key in mapping for mapping in there)]


def _read_for(keys: Iterable[Key], units: Mapping[Key, PolicyUnit]) -> set[Key]:
    """The ConfigMaps and ClusterTrustBundles that were judged for these policies."""
    read = [units[key].dependencies for key in keys if key in units]
    return set[Key]().union(*(index.keys_in(each) for each in read for index in (CONFIG_MAPS, TRUST_BUNDLES)))


def concerned_services(last: Policies, now: Policies, old: Sections, new: Sections) -> set[Key]:
    """The Services of which a port may use TLS in a different way than before."""
    found = {service for service, _ in POLICIES.changed(old, new)}
    for key in changed_keys(last.tls, now.tls):
        for policies in (last, now):
            if key in policies.units:
                found |= _services_of(policies.units[key])
    return found


def tls_for(service: Key, port: ServicePort, sections: Sections, policies: Policies) -> Applied | None:
    """The policy that applies to a port, and what it demands. None: there is no policy."""
    policy = winner_of(service, port.name, sections)
    return None if policy is None else Applied(policy.key, policies.tls.get(policy.key))
