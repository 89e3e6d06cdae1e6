"""Audit: changes of ReferenceGrants, and the references that they permit, or no longer permit. Pure.

They are reported on the grant, for the owner of its namespace, and on the referring objects. They come from the same
decision as their statuses, the refusals in the graph (Problem.reference). Whether the target exists is not reported.
Objects that are new or deleted themselves are not listed: nothing was permitted or refused before, or is now.
A grant that was there when its namespace was first read (--watch-namespace) has not changed.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from fastroute.difference import changed_keys
from fastroute.graph.grant import EMPTY, Grants, GrantSpace, Reference, allowing, permitted
from fastroute.graph.node import Graph, Holder, Problem
from fastroute.listed import listed
from fastroute.resources.meta import Key, Resource
from fastroute.resources.policy import ReferenceGrant


class Permission(NamedTuple):
    """A reference that `grant` now permits, or no longer permits."""

    grant: ReferenceGrant
    reference: Reference
    source: Resource  # the object that refers
    is_given: bool

    @property
    def referrer(self) -> Key:
        return self.source.key

    @property
    def note(self) -> str:
        """For the owner of the grant."""
        ref = self.reference
        now = "is permitted now" if self.is_given else "is refused now"
        return (
            f"{ref.kind} {self.referrer}: its reference to {ref.to_kind} {ref.to_namespace}/{ref.to_name} {now} "
            f'(from kind {ref.kind}, namespace {ref.namespace} to group "{ref.to_group}", kind {ref.to_kind}, '
            f"name {ref.to_name})."
        )

    @property
    def news(self) -> str:
        """For the owner of the object that refers."""
        ref, grant = self.reference, f"ReferenceGrant {self.grant.key}"
        now = f"permitted now, by {grant}" if self.is_given else f"refused now: {grant} no longer permits it"
        return f"Its reference to {ref.to_kind} {ref.to_namespace}/{ref.to_name} is {now}."

    def __str__(self) -> str:
        ref = self.reference
        return f"{ref.kind} {self.referrer} to {ref.to_kind} {ref.to_namespace}/{ref.to_name}"


class GrantChange(NamedTuple):
    """A ReferenceGrant that was created, changed or deleted."""

    grant: ReferenceGrant  # as it is now, or was last
    what: str  # "created", "changed", "deleted"
    permissions: tuple[Permission, ...]

    @property
    def refuses(self) -> bool:
        """Whether references are refused because of it."""
        return not all(one.is_given for one in self.permissions)

    @property
    def note(self) -> str:
        """What it changes, as text."""
        given = [str(one) for one in self.permissions if one.is_given]
        taken = [str(one) for one in self.permissions if not one.is_given]
        parts = [
            f"{what}: {listed(ones)}." for what, ones in (("Permitted now", given), ("Refused now", taken)) if ones
        ]
        return " ".join((f"It was {self.what}.", *(parts or ("No reference of a known object is affected.",))))


def grant_changes(before: Graph, after: Graph) -> list[GrantChange]:
    """By key. A grant whose spec is as before, or that was only found now, has not changed."""
    if before.grants is after.grants:
        return []
    old, new = _changed(before.grants, after.grants), _changed(after.grants, before.grants)
    was = {grant.key: grant for space in old.values() for grant in space.grants}
    is_ = {grant.key: grant for space in new.values() for grant in space.grants}
    if not was and not is_:
        return []
    turned: dict[Key, list[Permission]] = {}
    for permission in _permissions(before, after, old, new):
        turned.setdefault(permission.grant.key, []).append(permission)
    found = after.resources.found_grants if after.resources is not None else frozenset()
    known = {key: grant for key, grant in (was | is_).items() if key in was or key not in found}
    return [GrantChange(known[key], _word(key in was, key in is_), tuple(turned.get(key, ()))) for key in sorted(known)]


def _word(was: bool, is_: bool) -> str:
    return "changed" if was and is_ else "created" if is_ else "deleted"


def _permissions(before: Graph, after: Graph, old: Grants, new: Grants) -> Iterator[Permission]:
    """A reference that its object dropped does not concern the grants. `old`, `new`: the grants that changed."""
    for source, former, present in _pairs(before, after):
        was, is_ = set(_refused(former)), set(_refused(present))
        for reference in sorted(was - is_, key=_order):
            if permitted(reference, after.grants):
                yield from _by(reference, source, new, True)
        for reference in sorted(is_ - was, key=_order):
            if permitted(reference, before.grants):
                yield from _by(reference, source, old, False)


def _pairs(before: Graph, after: Graph) -> Iterator[tuple[Resource, Iterable[Problem], Iterable[Problem]]]:
    """For each referring object that is in both graphs and changed: its former and its present problems."""
    for _, was, route in _kept(before.routes, after.routes):
        yield route.source, was.problems, route.problems
    for _, before_, after_ in _kept(before.telemetry, after.telemetry):
        yield after_.source, before_.problems, after_.problems
    for old, new in ((before.gateways, after.gateways), (before.listener_sets, after.listener_sets)):
        for _, former, holder in _kept(old, new):
            yield holder.source, _all_problems(former), _all_problems(holder)


def _kept(old: Mapping[Any, Any], new: Mapping[Any, Any]) -> Iterator[tuple[Any, Any, Any]]:
    """The keys of both mappings with different values, in order, and these values."""
    return ((key, old[key], new[key]) for key in sorted(changed_keys(old, new)) if key in old and key in new)


def _all_problems(node: Holder) -> list[Problem]:
    return [*node.problems, *(problem for listener in node.listeners for problem in listener.problems)]


def _refused(problems: Iterable[Problem]) -> Iterator[Reference]:
    return (problem.reference for problem in problems if problem.reference is not None)


def _by(reference: Reference, source: Resource, changed: Grants, is_given: bool) -> Iterator[Permission]:
    """The changed grant that permits it, the first of several."""
    grant = allowing(reference, changed)
    if grant is not None:
        yield Permission(grant, reference, source, is_given)


def _changed(where: Grants, elsewhere: Grants) -> Grants:
    """The grants of `where` whose spec is different or missing in `elsewhere`."""
    found: dict[str, GrantSpace] = {}
    for name in changed_keys(elsewhere, where):
        others = {grant.key: grant.spec for grant in elsewhere.get(name, EMPTY).grants}
        found[name] = GrantSpace.of(one for one in where.get(name, EMPTY).grants if others.get(one.key) != one.spec)
    return found


def _order(reference: Reference) -> tuple[str, str, str, str]:
    return (reference.to_namespace, reference.to_kind, reference.to_name, reference.kind)
