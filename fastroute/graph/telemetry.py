"""XTelemetryPolicies: which policy applies to which Gateway, and whether it can be fulfilled (GEP-4768).

A Gateway has one policy: the oldest, then the one whose name comes first. A target that does not exist has an entry in
the status too; one that another controller manages has none. The compiler makes of a policy how requests are traced.
"""

from collections.abc import Iterator, Mapping, Set
from typing import NamedTuple

from fastroute.difference import replaced
from fastroute.graph import telemetry_conditions
from fastroute.graph.age import age
from fastroute.graph.change import kept
from fastroute.graph.collector import find_collector, has_moved
from fastroute.graph.dependency import GATEWAYS, TELEMETRY, Dependencies, Indexes, Reader
from fastroute.graph.memo import Memo
from fastroute.graph.node import TelemetryAncestor, TelemetryNode
from fastroute.resources.meta import Key
from fastroute.resources.telemetry import XTelemetryPolicy

Targets = Mapping[Key, tuple[XTelemetryPolicy, ...]]  # by Gateway: those that target it, oldest first; at least one


class Changes(NamedTuple):
    """What differs from the last build."""

    policies: Set[Key]
    gateways: Set[Key]
    entries: Dependencies


def index_telemetry(
    before: Mapping[Key, XTelemetryPolicy],
    after: Mapping[Key, XTelemetryPolicy],
    touched: Set[Key],
    last: Targets,
) -> Targets:
    """The index of `after`: `last`, that of `before`, with only the policies `touched` updated."""
    changes: dict[Key, tuple[XTelemetryPolicy, ...] | None] = {}
    was = {gateway for key in touched if key in before for gateway in before[key].gateways}
    now = {gateway for key in touched if key in after for gateway in after[key].gateways}
    for gateway in was | now:
        rest = [policy for policy in last.get(gateway, ()) if policy.key not in touched]
        rest += [after[key] for key in touched if key in after and gateway in after[key].gateways]
        changes[gateway] = tuple(sorted(rest, key=age)) or None
    return replaced(last, changes)


def judge_telemetry(memo: Memo, changes: Changes, last: Memo) -> Mapping[Key, TelemetryNode]:
    """The nodes of the last build, with what changed."""
    before = last.telemetry
    policies = memo.resources.telemetry_policies
    if not policies and not before:
        return before
    made: dict[Key, TelemetryNode | None] = {}
    moved = {key for key, node in before.items() if has_moved(node.source, memo, last)}
    for key in _stale(memo.indexes, changes, before) | moved:
        node = _node(policies[key], memo, Reader(memo.indexes)) if key in policies else None
        made[key] = kept(before.get(key), node) if node else None
    return replaced(before, made)


def _stale(indexes: Indexes, changes: Changes, before: Mapping[Key, TelemetryNode]) -> set[Key]:
    found = set(changes.policies)
    for key, node in before.items():
        if not node.dependencies.isdisjoint(changes.entries):
            found.add(key)
    targets: Targets = indexes[TELEMETRY]
    for gateway in changes.gateways | {key for kind, key in changes.entries if kind == GATEWAYS.kind}:
        found |= {policy.key for policy in targets.get(gateway, ())}
    return found


def _node(source: XTelemetryPolicy, memo: Memo, reader: Reader) -> TelemetryNode | None:
    """None: all that it targets belongs to other controllers."""
    ancestors = tuple(_ancestors(source, memo, reader))
    if not ancestors:
        return None
    collector, problems = find_collector(source, memo, reader)
    return TelemetryNode(
        source=source,
        ancestors=ancestors,
        collector=collector,
        problems=problems,
        dependencies=reader.dependencies,
    )


def _ancestors(source: XTelemetryPolicy, memo: Memo, reader: Reader) -> Iterator[TelemetryAncestor]:
    chosen = memo.settings.gateways
    for gateway in sorted(source.gateways):
        if chosen and str(gateway) not in chosen:  # whether it exists or not, another instance tells it
            continue
        first = (reader.find(TELEMETRY, gateway) or (source,))[0]
        if gateway not in memo.resources.gateways:
            yield TelemetryAncestor(gateway, (telemetry_conditions.target_not_found(gateway),))
        elif reader.find(GATEWAYS, gateway) is None:
            continue
        elif first.key != source.key:
            yield TelemetryAncestor(gateway, (telemetry_conditions.conflicted(gateway, first.key),))
        else:
            yield TelemetryAncestor(gateway)
