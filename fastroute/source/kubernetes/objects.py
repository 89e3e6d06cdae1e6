"""Objects: from the JSON that an API server sends to the typed object, and to what is held of it.

The typed object has only what we act on: of the metadata what is read, of statuses the addresses of Services and, as
they were when the Gateway was first read, of Gateways (graph/address.py: who had which). So an object is equal to its
predecessor when nothing changed that concerns us, whoever wrote what into it; above all, our own status writes change
nothing. What the status writer needs beyond that is `Held`.
"""

import re
from typing import Any, NamedTuple

import msgspec

from fastroute.resources.core import SERVICE_NAME_LABEL, EndpointSlice, Namespace, Service
from fastroute.resources.gateway import Gateway
from fastroute.resources.meta import Key, Metadata, Resource
from fastroute.resources.problem import ManifestProblem
from fastroute.source.kubernetes.kinds import FOLLOWED, Followed

_AT = re.compile(r" - at `\$\.?([^`]*)`$")  # how msgspec says where in the object


class Held(msgspec.Struct, frozen=True):
    """What the API server last said of an object."""

    resource_version: str
    generation: int
    uid: str
    is_leaving: bool = False  # deleted, but a finalizer still holds it
    raw_status: bytes = b""  # JSON; of kinds whose status we write

    @property
    def status(self) -> dict[str, Any]:
        """As it was read: a new copy each time."""
        read = msgspec.json.decode(self.raw_status) if self.raw_status else None
        return read if isinstance(read, dict) else {}

    def has_same_spec(self, other: "Held") -> bool:
        """Of custom resources: their generation moves with everything but metadata and status."""
        return (self.uid, self.generation, self.is_leaving) == (other.uid, other.generation, other.is_leaving)


class Named(NamedTuple):
    """An object before its spec is looked at."""

    key: Key
    held: Held


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    namespace: str = ""
    resource_version: str = ""
    generation: int = 1
    uid: str = ""
    deletion_timestamp: str | None = None


class _Envelope(msgspec.Struct, frozen=True):
    metadata: _Metadata
    status: msgspec.Raw = msgspec.Raw()


_ENVELOPE = msgspec.json.Decoder(_Envelope)
_DECODERS = {row.kind: msgspec.json.Decoder(row.type) for row in FOLLOWED}


def named(row: Followed, content: msgspec.Raw) -> Named:
    """Raises msgspec.DecodeError: that is no object."""
    envelope = _ENVELOPE.decode(content)
    metadata = envelope.metadata
    held = Held(
        resource_version=metadata.resource_version,
        generation=metadata.generation,
        uid=metadata.uid,
        is_leaving=metadata.deletion_timestamp is not None,
        raw_status=bytes(envelope.status) if row.has_status else b"",
    )
    return Named(Key(metadata.namespace, metadata.name), held)


def typed(row: Followed, version: str, content: msgspec.Raw) -> Resource:
    """Raises msgspec.ValidationError: it has not the shape that its kind has."""
    resource = _DECODERS[row.kind].decode(content)
    changes: dict[str, Any] = {
        "metadata": _read_part(row, resource),
        "api_version": f"{row.group}/{version}".lstrip("/"),
    }
    if isinstance(resource, Service):
        balancer = resource.status.get("loadBalancer")
        changes["status"] = {"loadBalancer": balancer} if balancer else {}
    elif isinstance(resource, Gateway):
        addresses = resource.status.get("addresses")
        changes["status"] = {"addresses": addresses} if addresses else {}
    elif row.has_status:
        changes["status"] = {}
    return msgspec.structs.replace(resource, **changes)


def _read_part(row: Followed, resource: Resource) -> Metadata:
    """The metadata that somebody reads."""
    metadata = resource.metadata
    if row.is_custom:
        return Metadata(
            name=metadata.name,
            namespace=metadata.namespace,
            generation=metadata.generation,
            creation_timestamp=metadata.creation_timestamp,
            uid=metadata.uid,
            deletion_timestamp=metadata.deletion_timestamp,
        )
    return Metadata(name=metadata.name, namespace=metadata.namespace, labels=_labels(resource))


def _labels(resource: Resource) -> dict[str, str]:
    labels = resource.metadata.labels
    if isinstance(resource, Namespace):
        return labels
    if isinstance(resource, EndpointSlice) and SERVICE_NAME_LABEL in labels:
        return {SERVICE_NAME_LABEL: labels[SERVICE_NAME_LABEL]}
    return {}


def problem(row: Followed, key: Key, error: msgspec.ValidationError, host: str) -> ManifestProblem:
    """Of an object that `typed` cannot make."""
    text = str(error)
    at = _AT.search(text)
    return ManifestProblem(
        file=host,
        kind=row.kind,
        namespace=key.namespace,
        name=key.name,
        field=at[1] if at and at[1] else None,
        message=f"{_AT.sub('', text)}; its last good version stays",
    )
