"""ReferenceGrant, v1 and v1beta1 alike (GEP-709): who may refer to what, written by the owner of what."""

from fastroute.resources.meta import Resource, Typed


class ReferenceGrantFrom(Typed, frozen=True):
    group: str
    kind: str
    namespace: str


class ReferenceGrantTo(Typed, frozen=True):
    group: str
    kind: str
    name: str | None = None  # None: every object of that kind in the grant's namespace


class ReferenceGrantSpec(Typed, frozen=True, rename={"from_": "from"}):
    from_: tuple[ReferenceGrantFrom, ...]
    to: tuple[ReferenceGrantTo, ...]


class ReferenceGrant(Resource, frozen=True, kw_only=True):
    spec: ReferenceGrantSpec
