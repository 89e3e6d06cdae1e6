"""ReferenceGrants (GEP-709): decided once, for both status and traffic.

A grant is in the namespace of the target. It allows every pair of one of its `from` and one of its `to`; several grants
add up. References within one namespace need no grant. Values are not normalised: group "core" is not the empty group.
The existence of the target is not checked, so that a refusal does not reveal it.
"""

from collections.abc import Iterable, Mapping
from itertools import islice

import msgspec

from fastroute.difference import replaced
from fastroute.resources.gateway import GROUP
from fastroute.resources.meta import Key
from fastroute.resources.policy import ReferenceGrant, ReferenceGrantFrom, ReferenceGrantTo

Origin = tuple[str, str, str]  # group, kind, namespace of `from`
Target = tuple[str, str, str | None]  # group, kind, name of `to`; None: any
_COMPARED = 20  # grants whose `from` is compared to find the nearest one: a namespace can have thousands


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A reference to an object in another namespace."""

    kind: str  # of the referrer
    namespace: str
    to_group: str
    to_kind: str
    to_namespace: str
    to_name: str
    group: str = GROUP  # of the referrer


class GrantSpace(msgspec.Struct, frozen=True, eq=False):
    """The grants of one namespace, and what they allow together. What a reference needs is found without a search."""

    grants: tuple[ReferenceGrant, ...] = ()  # sorted by name
    names: frozenset[str] = frozenset()
    first: Mapping[Origin, ReferenceGrant] = {}  # the first one with this `from`
    allowed: Mapping[Origin, Mapping[Target, ReferenceGrant]] = {}  # the first one that allows the pair
    free: dict[str, str] = {}  # for names that are taken: an unused one, remembered by fix.py

    @classmethod
    def of(cls, grants: Iterable[ReferenceGrant]) -> "GrantSpace":
        members = tuple(grants)
        first: dict[Origin, ReferenceGrant] = {}
        allowed: dict[Origin, dict[Target, ReferenceGrant]] = {}
        for grant in reversed(members):
            targets: dict[Target, ReferenceGrant] = {(to.group, to.kind, to.name): grant for to in grant.spec.to}
            for origin in grant.spec.from_:
                one = (origin.group, origin.kind, origin.namespace)
                first[one] = grant
                allowed.setdefault(one, {}).update(targets)
        return cls(members, frozenset(grant.metadata.name for grant in members), first, allowed)

    def allowing(self, origin: Origin, group: str, kind: str, name: str) -> ReferenceGrant | None:
        """A grant that allows a reference to this target."""
        targets = self.allowed.get(origin, {})
        return targets.get((group, kind, name)) or targets.get((group, kind, None))


EMPTY = GrantSpace()
Grants = Mapping[str, GrantSpace]  # by namespace


class UnreadGrants(dict[str, GrantSpace]):
    """No grants, because the API server does not serve ReferenceGrants. `why`: the reason as text."""

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why


def index_grants(
    grants: Mapping[Key, ReferenceGrant], touched: Iterable[Key] | None = None, last: Grants | None = None
) -> Grants:
    """Index by namespace; with `last`, only the namespaces of `touched` are indexed again."""
    keys: Iterable[Key] = grants if last is None or touched is None else touched
    names = {key.namespace for key in keys}
    members: dict[str, list[ReferenceGrant]] = {name: [] for name in names}
    for key in sorted(key for key in grants if key.namespace in names):
        members[key.namespace].append(grants[key])
    return replaced(last or {}, {name: GrantSpace.of(found) if found else None for name, found in members.items()})


def allowing(reference: Reference, grants: Grants) -> ReferenceGrant | None:
    """A grant in the namespace of the target that allows the reference, the first of several."""
    space = grants.get(reference.to_namespace, EMPTY)
    return space.allowing(_origin(reference), reference.to_group, reference.to_kind, reference.to_name)


def _origin(reference: Reference) -> Origin:
    return reference.group, reference.kind, reference.namespace


def permitted(reference: Reference, grants: Grants) -> bool:
    """Whether a ReferenceGrant allows the reference, or none is needed."""
    if reference.namespace == reference.to_namespace:
        return True
    return allowing(reference, grants) is not None


def refusal_cause(reference: Reference, grants: Grants) -> str:
    """Why a reference that is not `permitted` is refused, as text.

    No grant in the target's namespace, one whose `from` does not match, one whose `to` does not match, or grants cannot
    be read.
    """
    if isinstance(grants, UnreadGrants):
        return f"no ReferenceGrant can be read: {grants.why}"
    space = grants.get(reference.to_namespace, EMPTY)
    here = space.grants
    if (grant := space.first.get(_origin(reference))) is not None:
        why = _nearest([_to_mismatch(reference, to) for to in grant.spec.to])
        return f"`to` mismatch: ReferenceGrant {grant.key} allows this referrer, but {why}"
    if here:
        grant = here[0]
        compared = islice(here, _COMPARED)
        why = _nearest([_from_mismatch(reference, origin) for grant in compared for origin in grant.spec.from_])
        named = f"ReferenceGrant {grant.key}" if len(here) == 1 else f"none of the {len(here)} ReferenceGrants there"
        return f"`from` mismatch: {named} {'does not allow' if len(here) == 1 else 'allows'} this referrer ({why})"
    own = grants.get(reference.namespace, EMPTY)
    misplaced = own.allowing(_origin(reference), reference.to_group, reference.to_kind, reference.to_name)
    if misplaced:  # a common mistake: it is in the namespace of the referrer
        return (
            f"no ReferenceGrant in namespace {reference.to_namespace}: {misplaced.key} would allow it, but is in the "
            f"wrong namespace: a grant must be in the namespace of its target"
        )
    return f"no ReferenceGrant in namespace {reference.to_namespace}"


def _from_mismatch(reference: Reference, origin: ReferenceGrantFrom) -> list[str]:
    wanted = (("group", origin.group, reference.group), ("kind", origin.kind, reference.kind))
    wrong = [f'from.{name} is "{is_}", not "{should}"' for name, is_, should in wanted if is_ != should]
    if origin.namespace != reference.namespace:
        wrong.append(f'from.namespace is "{origin.namespace}", not "{reference.namespace}"')
    return wrong


def _to_mismatch(reference: Reference, to: ReferenceGrantTo) -> list[str]:
    wanted = (("group", to.group, reference.to_group), ("kind", to.kind, reference.to_kind))
    wrong = [f'to.{name} is "{is_}", not "{should}"' for name, is_, should in wanted if is_ != should]
    if to.name is not None and to.name != reference.to_name:
        wrong.append(f'to.name is not "{reference.to_name}"')
    return wrong


def _nearest(mismatches: list[list[str]]) -> str:
    nearest: list[str] = min(mismatches, key=len, default=[])
    return " and ".join(nearest) or "it lists nothing"
