"""Permissions: references that changes of ReferenceGrants permit, or no longer permit. Pure.

They are reported in the namespace of the grant, for its owner; the owner of a route sees the same in the route's
status. Both come from the same decision, the refusals in the graph (Problem.reference). Whether the target exists is
not reported.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fastroute.difference import changed_keys
from fastroute.graph.grant import EMPTY, Grants, GrantSpace, Reference, allowing, permitted
from fastroute.graph.node import Graph, Holder, HolderId, Problem
from fastroute.resources.meta import Key
from fastroute.resources.policy import ReferenceGrant


class Permission(NamedTuple):
    """A reference that `grant` now permits, or no longer permits."""

    grant: ReferenceGrant
    reference: Reference
    referrer: Key
    is_given: bool

    @property
    def note(self) -> str:
        ref = self.reference
        now = "is permitted now" if self.is_given else "is refused now"
        return (
            f"{ref.kind} {self.referrer}: its reference to {ref.to_kind} {ref.to_namespace}/{ref.to_name} {now} "
            f'(from kind {ref.kind}, namespace {ref.namespace} to group "{ref.to_group}", kind {ref.to_kind}, '
            f"name {ref.to_name})."
        )


def changed_permissions(before: Graph, after: Graph) -> Iterator[Permission]:
    """Empty while no grant changed: a reference that its route dropped does not concern the grants."""
    if before.grants is after.grants:
        return
    given, taken = _changed(after.grants, before.grants), _changed(before.grants, after.grants)
    if not (any(space.grants for space in given.values()) or any(space.grants for space in taken.values())):
        return
    for referrer, old, new in _pairs(before, after):
        was, is_ = set(_refused(old)), set(_refused(new))
        for reference in sorted(was - is_, key=_order):
            if permitted(reference, after.grants):
                yield from _by(reference, referrer, given, True)
        for reference in sorted(is_ - was, key=_order):
            if permitted(reference, before.grants):
                yield from _by(reference, referrer, taken, False)


def _pairs(before: Graph, after: Graph) -> Iterator[tuple[Key, Iterable[Problem], Iterable[Problem]]]:
    """For each referring object that is in both graphs and changed: its former and its present problems."""
    if before.routes is not after.routes:
        for id_, route in after.routes.items():
            old = before.routes.get(id_)
            if old is not None and old is not route:
                yield route.key, old.problems, route.problems
    known: dict[HolderId, Holder] = {holder.id: holder for holder in before.holders}
    for holder in after.holders:
        former = known.get(holder.id)
        if former is not None and former is not holder:
            yield holder.key, _all_problems(former), _all_problems(holder)


def _all_problems(node: Holder) -> list[Problem]:
    return [*node.problems, *(problem for listener in node.listeners for problem in listener.problems)]


def _refused(problems: Iterable[Problem]) -> Iterator[Reference]:
    return (problem.reference for problem in problems if problem.reference is not None)


def _by(reference: Reference, referrer: Key, changed: Grants, is_given: bool) -> Iterator[Permission]:
    """The changed grant that permits it, the first of several."""
    grant = allowing(reference, changed)
    if grant is not None:
        yield Permission(grant, reference, referrer, is_given)


def _changed(where: Grants, elsewhere: Grants) -> Grants:
    """The grants of `where` that are different or missing in `elsewhere`."""
    found: dict[str, GrantSpace] = {}
    for name in changed_keys(elsewhere, where):
        others = {grant.key: grant for grant in elsewhere.get(name, EMPTY).grants}
        found[name] = GrantSpace.of(one for one in where.get(name, EMPTY).grants if others.get(one.key) != one)
    return found


def _order(reference: Reference) -> tuple[str, str, str, str]:
    return (reference.to_namespace, reference.to_kind, reference.to_name, reference.kind)
