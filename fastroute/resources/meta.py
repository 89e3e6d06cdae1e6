"""What every object has: its key, its metadata, and its position in the manifests."""

from typing import NamedTuple

import msgspec


class Key(NamedTuple):
    """Identifies an object within its kind; `namespace` is "" for cluster-scoped kinds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Origin(msgspec.Struct, frozen=True):
    """Where an object was read: a file, and the line at which its document begins. An object from an API server has
    none."""

    file: str
    line: int


class Typed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of every struct that users write. Fields have the API's names in snake_case; unknown fields are ignored."""


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
