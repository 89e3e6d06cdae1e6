"""Dependencies: what a node was built from, as one set of (kind, key), however many kinds of objects were looked up.

Everything that a stage looks up for a node is in an index: a mapping of frozen values. A Reader looks entries up for
one node and records each of them, also those that do not exist. If one of them changes, appears or disappears, the node
must be built again. If nodes must depend on another kind of object, add an Index and its mapping in build.py.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, Generic, TypeVar

from fastroute.difference import changed_keys
from fastroute.graph.grant import GrantSpace
from fastroute.graph.node import Concern, GatewayNode, Holder, HolderId, ListenerSetNode, Withheld
from fastroute.resources.core import ClusterTrustBundle, ConfigMap, Namespace, Secret, Service
from fastroute.resources.meta import Key
from fastroute.resources.policy import BackendTLSPolicy
from fastroute.resources.proxy_protocol import proxy_protocol
from fastroute.resources.telemetry import XTelemetryPolicy

K = TypeVar("K")
V = TypeVar("V")
Dependency = tuple[str, Any]  # the kind of an Index, and a key of its mapping
Dependencies = frozenset[Dependency]
Section = tuple[Key, str]  # a Service, and the name of one of its ports or policy.WHOLE


class Index(Generic[K, V]):
    """Names a mapping from K to V. Compared by identity, because it is a key of Indexes.

    `part`: an entry with an equal part counts as unchanged; None: entries are compared by identity.
    """

    def __init__(self, kind: str, part: Callable[[V], Any] | None = None) -> None:
        self.kind = kind
        self.part = part

    def changed(self, old: Mapping[K, V], new: Mapping[K, V]) -> Iterable[K]:
        keys = changed_keys(old, new)
        part = self.part
        if part is None:
            return keys
        return (key for key in keys if key not in old or key not in new or part(old[key]) != part(new[key]))

    def keys_in(self, dependencies: Iterable[Dependency]) -> set[K]:
        """The keys of this index among `dependencies`."""
        return {key for kind, key in dependencies if kind == self.kind}


SERVICES = Index[Key, Service]("Service", lambda service: (service.spec, proxy_protocol(service)))
NAMESPACES = Index[Key, Namespace]("Namespace", attrgetter("metadata.labels", "omission"))
UNWATCHED = Index[str, str]("unwatched namespace")  # what is said about it
SECRETS = Index[Key, Secret]("Secret", attrgetter("data"))
CONFIG_MAPS = Index[Key, ConfigMap]("ConfigMap", lambda config_map: (config_map.data, config_map.omission))
TRUST_BUNDLES = Index[Key, ClusterTrustBundle]("ClusterTrustBundle", lambda bundle: (bundle.data, bundle.omission))
GRANTS = Index[str, GrantSpace]("ReferenceGrant")  # by namespace
POLICIES = Index[Section, tuple[BackendTLSPolicy, ...]]("BackendTLSPolicy", lambda policies: policies[0].key)
TELEMETRY = Index[Key, tuple[XTelemetryPolicy, ...]]("XTelemetryPolicy", lambda policies: policies[0].key)  # by Gateway
UNFULFILLED = Index[Key, Withheld]("unfulfilled BackendTLSPolicy")  # only of policies that cannot be fulfilled
CONCERNS = Index[str, tuple[Concern, ...]]("EndpointSlice")  # by backend; only of those that have some
GATEWAYS = Index[Key, GatewayNode]("Gateway")  # without their routes
LISTENER_SETS = Index[Key, ListenerSetNode]("ListenerSet")  # likewise
HOLDERS: Mapping[str, Index[Key, Any]] = {index.kind: index for index in (GATEWAYS, LISTENER_SETS)}

Indexes = Mapping[Index[Any, Any], Mapping[Any, Any]]


class Reader:
    """Looks up entries for one node, and records them."""

    def __init__(self, indexes: Indexes) -> None:
        self._indexes = indexes
        self._seen: set[Dependency] = set()

    @property
    def dependencies(self) -> Dependencies:
        """Of the node: all that was looked up so far."""
        return frozenset(self._seen)

    def find(self, index: Index[K, V], key: K) -> V | None:
        self._seen.add((index.kind, key))
        return self._indexes[index].get(key)

    def among(self, index: Index[K, V], *keys: K) -> Mapping[K, V]:
        """The mapping of an index, for a function that looks up only `keys`."""
        self._seen.update((index.kind, key) for key in keys)
        return self._indexes[index]

    def holder(self, id_: HolderId) -> Holder | None:
        kind, key = id_
        found: Holder | None = self.find(HOLDERS[kind], key)
        return found


def changed_entries(old: Indexes, new: Indexes) -> Dependencies:
    """All entries that differ between `old` and `new`, also those that exist in only one of them."""
    found: set[Dependency] = set()
    for index, entries in new.items():
        before = old.get(index)
        if before is not entries:
            found.update((index.kind, key) for key in index.changed(before or {}, entries))
    return frozenset(found)
