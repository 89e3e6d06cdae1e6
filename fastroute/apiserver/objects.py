"""Objects: converts the JSON of an API server to the typed object and to its `Held` state.

The typed object contains only what fastroute uses: the metadata fields that are read, the addresses in the status of
Services, certificates and keys in Secrets, CA certificates in ConfigMaps and ClusterTrustBundles, and the addresses in
the status of Gateways as they were when the Gateway was first read (graph/address.py assigns addresses by them). So an
object is equal to its predecessor unless something relevant changed; in particular, our own status writes change
nothing. `Held` is what the status writer needs in addition.
"""

import hashlib
import re
from typing import Any, NamedTuple

import msgspec

from fastroute.apiserver.kinds import FOLLOWED, Followed
from fastroute.resources.core import (
    SERVICE_NAME_LABEL,
    ClusterTrustBundle,
    ConfigMap,
    EndpointSlice,
    Namespace,
    Secret,
    Service,
)
from fastroute.resources.gateway import Gateway
from fastroute.resources.meta import Key, Metadata, Resource
from fastroute.resources.problem import ManifestProblem
from fastroute.resources.proxy_protocol import ANNOTATION as PROXY_PROTOCOL
from fastroute.resources.proxy_protocol import proxy_protocol
from fastroute.resources.route_kinds import ROUTES
from fastroute.resources.web_origins import ANNOTATION, kept_text

MOST_ASKED = 64  # characters of an annotation that is kept
MOST_POINTS = 64  # addresses of a load balancer; a Gateway has at most 16 addresses

_AT = re.compile(r" - at `\$\.?([^`]*)`$")  # msgspec's path to the field


class Held(msgspec.Struct, frozen=True):
    """What the API server last sent about an object."""

    resource_version: str
    generation: int
    uid: str
    is_leaving: bool = False  # deleted, but it still has a finalizer
    web_origins: str | None = None  # an annotation of some kinds of routes (resources/web_origins.py)
    raw_status: bytes = b""  # JSON; only of kinds whose status fastroute writes
    status_digest: bytes = b""  # of a status that is not kept: `raw_status` is empty then
    names_us: bool = False  # whether a status that is not kept contains our controllerName

    @property
    def has_whole_status(self) -> bool:
        return not self.status_digest

    @property
    def status(self) -> dict[str, Any]:
        """The status as it was read; a new copy at each access."""
        read = msgspec.json.decode(self.raw_status) if self.raw_status else None
        return read if isinstance(read, dict) else {}

    def names(self, controller_name: str) -> bool:
        """Whether the status contains the controllerName, which is ours."""
        return self.names_us or controller_name.encode() in self.raw_status

    def without_status(self, controller_name: str) -> "Held":
        """The same without the content of the status. `controller_name`: ours."""
        digest = hashlib.blake2b(self.raw_status, digest_size=16).digest()
        names_us = self.names(controller_name)
        return msgspec.structs.replace(self, raw_status=b"", status_digest=digest, names_us=names_us)

    def has_same_status(self, other: "Held") -> bool:
        return (self.raw_status, self.status_digest) == (other.raw_status, other.status_digest)

    def has_same_spec(self, other: "Held") -> bool:
        """For custom resources: their generation changes with everything except metadata and status."""
        return self._served == other._served

    @property
    def _served(self) -> tuple[object, ...]:
        return self.uid, self.generation, self.is_leaving, self.web_origins


class Named(NamedTuple):
    """An object before its spec is decoded."""

    key: Key
    held: Held


class Found(msgspec.Struct, frozen=True):
    """A list of objects."""

    items: tuple[msgspec.Raw, ...] = ()


class _Annotations(msgspec.Struct, frozen=True):
    """Those that are used."""

    web_origins: str | None = msgspec.field(default=None, name=ANNOTATION)


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    namespace: str = ""
    resource_version: str = ""
    generation: int = 1
    uid: str = ""
    deletion_timestamp: str | None = None
    annotations: _Annotations | None = None


class _Envelope(msgspec.Struct, frozen=True):
    metadata: _Metadata
    status: msgspec.Raw = msgspec.Raw()


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_WITH_ORIGINS = {kind.name for kind in ROUTES.values() if kind.has_web_origins}
_DECODERS = {row.kind: msgspec.json.Decoder(row.type) for row in FOLLOWED}


def named(row: Followed, content: msgspec.Raw) -> Named:
    """Raises msgspec.DecodeError if the content is not an object."""
    envelope = _ENVELOPE.decode(content)
    metadata = envelope.metadata
    annotations = metadata.annotations if row.kind in _WITH_ORIGINS else None
    origins = None if annotations is None else annotations.web_origins
    held = Held(
        resource_version=metadata.resource_version,
        generation=metadata.generation,
        uid=metadata.uid,
        is_leaving=metadata.deletion_timestamp is not None,
        web_origins=origins if origins is None else kept_text(origins),
        raw_status=bytes(envelope.status) if row.has_status else b"",
    )
    return Named(Key(metadata.namespace, metadata.name), held)


def typed(row: Followed, version: str, content: msgspec.Raw) -> Resource:
    """Raises msgspec.ValidationError if the content does not match the kind."""
    resource = _DECODERS[row.kind].decode(content)
    changes: dict[str, Any] = {
        "metadata": _read_part(row, resource),
        "api_version": f"{row.group}/{version}".lstrip("/"),
    }
    if isinstance(resource, Service):
        points = _points(resource.status)
        changes["status"] = {"loadBalancer": {"ingress": points}} if points else {}
    elif isinstance(resource, Gateway):
        addresses = resource.status.get("addresses")
        changes["status"] = {"addresses": addresses} if addresses else {}
    elif row.has_status:
        changes["status"] = {}
    resource = msgspec.structs.replace(resource, **changes)
    return resource.trimmed() if isinstance(resource, Secret | ConfigMap | ClusterTrustBundle) else resource


def _points(status: dict[str, Any]) -> list[dict[str, str]]:
    """The addresses of the load balancer of a Service, at most MOST_POINTS."""
    balancer = status.get("loadBalancer")
    ingress = balancer.get("ingress") if isinstance(balancer, dict) else None
    found = [point for point in ingress[:MOST_POINTS] if isinstance(point, dict)] if isinstance(ingress, list) else []
    names = ("ip", "hostname")
    return [{name: point[name] for name in names if isinstance(point.get(name), str)} for point in found]


def _read_part(row: Followed, resource: Resource) -> Metadata:
    """The metadata fields that are used."""
    metadata = resource.metadata
    if row.is_custom:
        return Metadata(
            name=metadata.name,
            namespace=metadata.namespace,
            generation=metadata.generation,
            creation_timestamp=metadata.creation_timestamp,
            uid=metadata.uid,
            deletion_timestamp=metadata.deletion_timestamp,
            annotations=_annotations(resource) if row.kind in _WITH_ORIGINS else {},
        )
    return Metadata(
        name=metadata.name,
        namespace=metadata.namespace,
        labels=_labels(resource),
        annotations=_asked(resource) if isinstance(resource, Service) else {},
    )


def _asked(service: Service) -> dict[str, str]:
    """The annotation of a Service that is used. Annotations may have 256 KiB, but its values are short."""
    asked = proxy_protocol(service)
    return {} if asked is None else {PROXY_PROTOCOL: asked[:MOST_ASKED]}


def _annotations(resource: Resource) -> dict[str, str]:
    """Those that are used."""
    annotations = resource.metadata.annotations
    return {ANNOTATION: kept_text(annotations[ANNOTATION])} if ANNOTATION in annotations else {}


def _labels(resource: Resource) -> dict[str, str]:
    labels = resource.metadata.labels
    if isinstance(resource, Namespace):
        return labels
    if isinstance(resource, EndpointSlice) and SERVICE_NAME_LABEL in labels:
        return {SERVICE_NAME_LABEL: labels[SERVICE_NAME_LABEL]}
    return {}


def problem(row: Followed, key: Key, error: msgspec.ValidationError, host: str) -> ManifestProblem:
    """The problem for an object that `typed` cannot decode."""
    text = str(error)
    at = _AT.search(text)
    return ManifestProblem(
        file=host,
        kind=row.kind,
        namespace=key.namespace,
        name=key.name,
        field=at[1] if at and at[1] else None,
        message=f"{_AT.sub('', text)}; its last good version is used",
    )
