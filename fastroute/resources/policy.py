"""Objects that apply to other objects: ReferenceGrant (GEP-709), BackendTLSPolicy (GEP-1897), and policies of other
kinds, of which only the targets are read (GEP-713).

A ReferenceGrant is the same in v1 and v1beta1, a BackendTLSPolicy in v1 and v1alpha3.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from fastroute.resources.defaults import NAMESPACE
from fastroute.resources.gateway import GROUP
from fastroute.resources.meta import Key, Metadata, Origin, Resource, Typed
from fastroute.resources.route_kinds import ROUTES

_CORE, _SERVICES = ("", "core", "v1"), ("service", "services")  # as users write them
UNSERVED_POLICY = "policy"  # the kind in the Id of every UnservedPolicy
TARGETED = frozenset(
    {
        ("", "Service"),
        *((GROUP, kind) for kind in ("GatewayClass", "Gateway", "ListenerSet", *ROUTES)),
    }
)


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


class PolicyTarget(Typed, frozen=True):
    """An object in the namespace of the policy."""

    name: str
    group: str = ""
    kind: str = ""
    section_name: str | None = None  # for a Service, the name of a port; None: the whole object

    @property
    def is_service(self) -> bool:
        return (self.group, self.kind) == ("", "Service")


class LocalReference(Typed, frozen=True):
    """An object in the namespace of the object that refers to it."""

    name: str
    group: str
    kind: str


class SubjectAltName(Typed, frozen=True):
    type: str  # Hostname, URI
    hostname: str | None = None
    uri: str | None = None


class Validation(
    Typed,
    frozen=True,
    rename={
        "authorities": "caCertificateRefs",
        "well_known": "wellKnownCACertificates",
        "subject_alt_names": "subjectAltNames",
    },
):
    """How the certificate of a backend is verified."""

    hostname: str
    authorities: tuple[LocalReference, ...] = ()
    well_known: str | None = None
    subject_alt_names: tuple[SubjectAltName, ...] = ()


class BackendTLSPolicySpec(Typed, frozen=True):
    target_refs: tuple[PolicyTarget, ...]
    validation: Validation | None = None  # None: the policy breaks the schema, see `unusable_policy`
    options: dict[str, str] = {}


class BackendTLSPolicy(Resource, frozen=True, kw_only=True):
    spec: BackendTLSPolicySpec
    status: dict[str, Any] = {}


def unusable_policy(value: dict[str, Any], key: Key, origin: Origin) -> BackendTLSPolicy | None:
    """A BackendTLSPolicy that breaks the schema, reduced to the Services that it names; None if it names none. Where a
    part of a reference cannot be read, it is taken to mean a Service, and all its ports."""
    spec = value.get("spec")
    targets = tuple(
        PolicyTarget(name=written["name"], kind="Service", section_name=section if isinstance(section, str) else None)
        for _, written in (_targets(spec) if isinstance(spec, dict) else ())
        if isinstance(written, dict) and isinstance(written.get("name"), str) and _may_be_service(written)
        for section in (written.get("sectionName"),)
    )
    if not targets:
        return None
    metadata = Metadata(name=key.name, namespace=key.namespace)
    spec = BackendTLSPolicySpec(target_refs=targets)
    return BackendTLSPolicy(metadata=metadata, api_version=value["apiVersion"], origin=origin, spec=spec)


def _may_be_service(target: dict[str, Any]) -> bool:
    group, kind = target.get("group"), target.get("kind")
    return (not isinstance(group, str) or group in _CORE) and (not isinstance(kind, str) or kind.lower() in _SERVICES)


class UnservedPolicy(Resource, frozen=True, kw_only=True):
    """An object of a kind that is not read and that has `spec.targetRefs` or `spec.targetRef`."""

    kind: str
    group: str
    targets: tuple[tuple[str, PolicyTarget], ...]  # each with its field: "spec.targetRefs[0]"

    @property
    def key(self) -> Key:
        """Its name is "NAME.KIND.GROUP", which is unique among all such kinds."""
        return Key(self.metadata.namespace, f"{self.metadata.name}.{self.kind}.{self.group}")


def read_policy(value: dict[str, Any], group: str) -> UnservedPolicy | None:
    """An object of an unknown kind as a policy; None if none of its targets is of a kind that fastroute reads."""
    spec = value.get("spec")
    metadata = value.get("metadata")
    if not isinstance(spec, dict) or not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        return None
    targets = tuple((field, target) for field, written in _targets(spec) if (target := _target(written)) is not None)
    if not targets:
        return None
    namespace = metadata.get("namespace")
    named = Metadata(name=metadata["name"], namespace=namespace if isinstance(namespace, str) else NAMESPACE)
    return UnservedPolicy(
        metadata=named, api_version=value["apiVersion"], kind=value["kind"], group=group, targets=targets
    )


def _targets(spec: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Each target as written, with its field."""
    if "targetRef" in spec:
        yield "spec.targetRef", spec["targetRef"]
    several = spec.get("targetRefs")
    for index, written in enumerate(several if isinstance(several, list) else ()):
        yield f"spec.targetRefs[{index}]", written


def _target(written: Any) -> PolicyTarget | None:
    """None if it is malformed, or of a kind that fastroute does not read."""
    try:
        target = msgspec.convert(written, PolicyTarget)
    except msgspec.ValidationError:
        return None
    return target if (target.group, target.kind) in TARGETED else None
