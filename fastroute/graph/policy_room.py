"""How much memory of a worker the BackendTLSPolicies of a namespace may use.

A worker has one context of libssl for each policy, and the certificates of each distinct set of trust anchors once.
Policies can combine ConfigMaps in any way, so a namespace could fill the memory of all workers. The oldest policies
that fit are fulfilled; the others are withheld like those that cannot be fulfilled.
"""

from collections.abc import Iterable

import msgspec

from fastroute.graph import policy_conditions
from fastroute.graph.age import age
from fastroute.graph.authorities import memory_of
from fastroute.graph.policy_unit import PolicyUnit, withheld_for
from fastroute.resources.meta import Key

MOST = 64 * 1024 * 1024  # bytes for the policies of a namespace
CONTEXT = 32 * 1024  # bytes: 13 KiB were measured, and a context keeps sessions


def without_room(units: Iterable[PolicyUnit]) -> frozenset[Key]:
    """The policies of one namespace that are not fulfilled."""
    refused: set[Key] = set()
    seen: set[tuple[bytes, ...]] = set()
    taken = 0
    for unit in sorted(units, key=lambda unit: age(unit.source)):
        if unit.tls is None:
            continue
        anchors = unit.anchors
        size = CONTEXT + (0 if anchors in seen else memory_of(anchors))
        if taken + size > MOST:
            refused.add(unit.source.key)
        else:
            taken += size
            seen.add(anchors)
    return frozenset(refused)


def refused(unit: PolicyUnit) -> PolicyUnit:
    problems = (*unit.problems, policy_conditions.no_room(MOST))
    return msgspec.structs.replace(unit, tls=None, withheld=withheld_for(unit.source, problems), problems=problems)
