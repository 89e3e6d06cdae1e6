"""ReferenceGrant, v1 and v1beta1 alike (GEP-709): who may refer to what, written by the owner of what."""

from fastroute.resources.meta import Resource, Typed


class ReferenceGrantFrom(Typed):
    group: str
    kind: str
    namespace: str


class ReferenceGrantTo(Typed):
    group: str
    kind: str
    name: str | None = None             # None: every object of that kind in the grant's namespace


class ReferenceGrantSpec(Typed, rename={"from_": "from"}):
    from_: tuple[ReferenceGrantFrom, ...]
    to: tuple[ReferenceGrantTo, ...]


class ReferenceGrant(Resource, kw_only=True):
    spec: ReferenceGrantSpec
