"""Which Gateways reach the targets of BackendTLSPolicies, and which policy has precedence where.

A Gateway reaches a Service if a route that is attached to it refers to the Service; whether the Service exists does not
matter. These Gateways are the ancestors in the status of a policy (GEP-713). A policy without ancestors has no node.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from fastroute.difference import changed_keys, replaced
from fastroute.graph import policy_conditions
from fastroute.graph.backend_id import service_of
from fastroute.graph.change import kept
from fastroute.graph.dependency import POLICIES
from fastroute.graph.memo import Memo
from fastroute.graph.node import BackendRefNode, MirrorNode, PolicyNode, Problem
from fastroute.graph.policy import WHOLE
from fastroute.graph.unit import Made, Unit
from fastroute.listed import listed
from fastroute.resources.meta import Key
from fastroute.resources.policy import BackendTLSPolicy, PolicyTarget

Reach = Mapping[Key, Mapping[Key, int]]  # by Service and Gateway: the number of routes
_UNREACHED = frozenset({"RefNotPermitted", "InvalidKind"})


def count_reach(memo: Memo, last: Memo, made: Made) -> Reach:
    """`made`: the units that were built again, with what they attach to."""
    moves: Counter[tuple[Key, Key]] = Counter()
    for id_, unit in made.items():
        moves.update(_reached(unit, memo))
        moves.subtract(_reached(last.units.get(id_), last))
    changes: dict[Key, dict[Key, int]] = {}
    for (service, gateway), move in moves.items():
        if move:
            counts = changes.setdefault(service, dict(last.reach.get(service, {})))
            counts[gateway] = counts.get(gateway, 0) + move
    left = {service: {key: count for key, count in counts.items() if count} for service, counts in changes.items()}
    return replaced(last.reach, {service: counts or None for service, counts in left.items()})


def _reached(unit: Unit | None, memo: Memo) -> set[tuple[Key, Key]]:
    """Each Service to which a route refers, with each Gateway to which it is attached."""
    if unit is None or unit.node is None or not unit.attached.attachments:
        return set()
    holders = {holder for holder, _ in unit.attached.attachments}
    gateways = {key if kind == "Gateway" else memo.listener_sets[key].gateway for kind, key in holders}
    refs: list[BackendRefNode | MirrorNode] = []
    for rule in unit.node.rules:
        refs += [*rule.backend_refs, *rule.mirrors]
    ids = {ref.id for ref in refs if ref.problem is None or ref.problem.reason not in _UNREACHED}
    services = filter(None, map(service_of, ids))
    return {(service, gateway) for service in set(services) for gateway in gateways}


def judge_policies(memo: Memo, last: Memo, before: Mapping[Key, PolicyNode]) -> Mapping[Key, PolicyNode]:
    """The nodes of `before`, those of the last build, with what changed."""
    made: dict[Key, PolicyNode | None] = {}
    for key in _stale(memo, last):
        node = _node(key, memo) if key in memo.policies.units else None
        made[key] = kept(before.get(key), node) if node else None
    return replaced(before, made)


def _stale(memo: Memo, last: Memo) -> set[Key]:
    found = set(changed_keys(last.policies.units, memo.policies.units))
    old, new = last.indexes.get(POLICIES, {}), memo.indexes[POLICIES]
    for section in changed_keys(old, new):
        found |= {policy.key for sections in (old, new) for policy in sections.get(section, ())}
    if memo.policies.targeting:
        services = changed_keys(last.reach, memo.reach)
        services |= changed_keys(last.resources.services, memo.resources.services)
        for service in services & memo.policies.targeting.keys():
            found |= memo.policies.targeting[service]
    return found


class _Place(NamedTuple):
    """A target of a policy, as text, and why the policy does not apply there, if it does not."""

    name: str
    missing: str = ""
    lost_to: Key | None = None


def _node(key: Key, memo: Memo) -> PolicyNode | None:
    unit = memo.policies.units[key]
    source = unit.source
    places = [_place(target, source, memo) for target in source.spec.target_refs]
    services = {Key(key.namespace, target.name) for target in source.spec.target_refs if target.is_service}
    ancestors = sorted({gateway for service in services for gateway in memo.reach.get(service, ())})
    if not ancestors:
        return None
    problems = (*_precedence_problems(places), *unit.problems)
    return PolicyNode(source=source, ancestors=tuple(ancestors), scope=_scope(places), problems=problems)


def _place(target: PolicyTarget, source: BackendTLSPolicy, memo: Memo) -> _Place:
    key = Key(source.metadata.namespace, target.name)
    if not target.is_service:
        return _Place(f"{target.kind} {key}", f'{target.kind} of group "{target.group}" is no Service')
    name = f"Service {key}" if target.section_name is None else f"port {target.section_name} of Service {key}"
    service = memo.resources.services.get(key)
    if service is None:
        return _Place(name, f"Service {key} does not exist")
    if target.section_name and target.section_name not in {port.name for port in service.spec.ports}:
        names = listed([port.name for port in service.spec.ports if port.name])
        return _Place(name, f"Service {key} has no port named {target.section_name}; named are: {names or 'none'}")
    first = memo.indexes[POLICIES][key, target.section_name or WHOLE][0]
    return _Place(name, lost_to=None if first.key == source.key else first.key)


def _precedence_problems(places: list[_Place]) -> Iterator[Problem]:
    there = [place for place in places if not place.missing]
    if not there:
        yield policy_conditions.target_not_found([place.missing for place in places])
    elif all(place.lost_to for place in there):
        yield policy_conditions.conflicted([f"{place.name}: BackendTLSPolicy {place.lost_to}" for place in there])


def _scope(places: list[_Place]) -> str:
    """What the policy applies to, and where it does not."""
    used = [place.name for place in places if not place.missing and not place.lost_to]
    others = [place.missing for place in places if place.missing]
    others += [f"BackendTLSPolicy {place.lost_to} has precedence for {place.name}" for place in places if place.lost_to]
    text = f"Applies to {listed(used)}."
    return f"{text} Not to every target: {listed(others, separator='; ')}." if others else text
