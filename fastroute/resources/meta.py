"""What every object has: its key, its metadata, and where in the manifests it stands."""

from typing import NamedTuple

import msgspec


class Key(NamedTuple):
    """Names an object within its kind; `namespace` is "" for cluster-scoped kinds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Origin(msgspec.Struct, frozen=True):
    """Where an object was read: a file and the line its document begins at (None from an API server)."""

    file: str
    line: int


class Typed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of every struct that users write: fields are the API's in snake_case; unknown ones are ignored."""


class Metadata(Typed, frozen=True):
    name: str
    namespace: str = ""
    generation: int = 1
    creation_timestamp: str = ""  # RFC 3339; "" counts as equal to every other ""
    resource_version: str = ""
    uid: str = ""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    deletion_timestamp: str | None = None


class Resource(Typed, frozen=True):
    """Base of the kinds we read."""

    metadata: Metadata
    api_version: str = ""
    origin: Origin | None = None  # set by the source, never read from a document

    @property
    def key(self) -> Key:
        return Key(self.metadata.namespace, self.metadata.name)
