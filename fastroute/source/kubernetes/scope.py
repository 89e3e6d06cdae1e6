"""Scope: which namespaces are read, and the watches that this needs (--watch-namespace).

For all namespaces, each kind has one watch. For some, each kind that has a namespace has one watch in each of them,
with a Role there. What has none is watched as usual, except Namespaces: each is watched by its name, so a ClusterRole
with `resourceNames` is enough. A Service given with --address may be in any namespace. If that namespace is not read,
only this Service is watched, by its name.

Without --watch-namespace, the start waits for a kind that it may not read. A namespace must not have this power: if it
was deleted, so was its RoleBinding. So a namespace is served once everything that is needed of it was read (`Doors`),
and until then nothing of it is: without its BackendTLSPolicies, backends would get cleartext. The first configuration
waits for it at most PATIENCE. If something that is needed may no longer be read, what is known of the namespace stays
as it is until everything that is needed was listed anew.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from fastroute.apiserver.client import ApiError
from fastroute.apiserver.kinds import Followed
from fastroute.resources.meta import Key, Resource
from fastroute.resources.policy import ReferenceGrant
from fastroute.source.store import Apply, Delete

PATIENCE = 20.0  # s; an API server that has just started refuses everything until it has loaded its RBAC roles
Id = tuple[type[Resource], Key]
SERVICE = "service/"  # how a value of --address that is a Service begins


class Part(NamedTuple):
    """One watch of a kind."""

    name: str  # for logs and metrics; its first word is the kind
    namespace: str = ""  # "": all
    selector: str = ""  # a fieldSelector


class Scope:
    """`namespaces`: empty for all. `addresses`: the values of --address."""

    def __init__(self, namespaces: Iterable[str] = (), addresses: Iterable[str] = ()) -> None:
        self.namespaces = tuple(dict.fromkeys(namespaces))
        named = (Key(*one.removeprefix(SERVICE).split("/", 1)) for one in addresses if one.startswith(SERVICE))
        self._services = tuple(dict.fromkeys(key for key in named if not self.reads(key.namespace)))

    def reads(self, namespace: str) -> bool:
        """Whether the objects of a namespace are read."""
        return not self.namespaces or namespace in self.namespaces

    def parts(self, row: Followed) -> tuple[Part, ...]:
        """The watches of a kind."""
        if not self.namespaces:
            return (Part(row.kind, "", row.selector),)
        if row.kind == "Namespace":
            return tuple(Part(f"Namespace /{name}", "", f"metadata.name={name}") for name in self.namespaces)
        if not row.is_namespaced:
            return (Part(row.kind, "", row.selector),)
        found = tuple(Part(self.name(row.kind, name), name, row.selector) for name in self.namespaces)
        if row.kind != "Service":
            return found
        alone = (Part(f"Service of {key}", key.namespace, f"metadata.name={key.name}") for key in self._services)
        return (*found, *alone)

    def name(self, kind: str, namespace: str) -> str:
        """The name of the watch that includes the objects of a kind in a namespace ("": those in no namespace)."""
        return f"{kind} in {namespace}" if self.namespaces and namespace else kind

    def needs(self, row: Followed) -> bool:
        """Whether nothing can be served without this kind. What is needed of a namespace is decided by Doors."""
        return row.needed and (not self.namespaces or row.kind == "GatewayClass")

    def role(self, row: Followed) -> str:
        """What must permit to read a kind, as text."""
        return (
            "Role of fastroute in this namespace"
            if self.namespaces and row.is_namespaced
            else "ClusterRole of fastroute"
        )

    def refusal(self, part: Part, row: Followed, error: ApiError, effect: str) -> str:
        """That a kind may not be read, as text. `effect`: what this means for its namespace if the kind is needed."""
        where = f" of namespace {part.namespace}" if part.namespace else ""
        way = f"; the {self.role(row)} needs list and watch on {row.plural}" if error.status == 403 else ""
        return f"{row.words}{where} cannot be read: {error}{way}{effect if row.needed else ''}"


EVERYWHERE = Scope()


class Doors:
    """The namespaces of which not everything that is needed was read yet: their changes are held back.

    Of each object only the last event is kept, and a deletion only of an object that is served. So what is held back
    is never more than the objects that are in the namespace or served.
    """

    def __init__(self, namespaces: Iterable[str]) -> None:
        self._held: dict[str, dict[Id, Apply | Delete]] = {name: {} for name in namespaces}
        self._served: dict[str, frozenset[Id]] = dict.fromkeys(
            self._held, frozenset()
        )  # of namespaces when they closed
        self._refused: dict[str, float] = {}  # closed namespaces that may not be read: since when
        self.new = set(self._held)  # namespaces that were never open

    def is_closed(self, namespace: str) -> bool:
        return namespace in self._held

    def served(self, namespace: str) -> frozenset[Id]:
        """The objects of a closed namespace that are served as they were when it closed."""
        return self._served.get(namespace, frozenset())

    def is_open(self, namespace: str) -> bool:
        """False for a namespace that is not watched as a whole, too."""
        return namespace in self._served and namespace not in self._held

    def passing(
        self, namespace: str, events: Iterable[Apply | Delete], is_gone: Callable[[Delete], bool]
    ) -> Iterable[Apply | Delete]:
        """The events for the Store: none if the namespace is closed. `is_gone`: whether no other watch holds the object
        of a deletion."""
        held = self._held.get(namespace)
        if held is None:
            return events
        for event in events:
            id_ = id_of(event)
            if isinstance(event, Delete) and not is_gone(event):
                continue
            held.pop(id_, None)
            if isinstance(event, Apply) or id_ in self._served[namespace]:
                held[id_] = event
        return ()

    def effect(self, namespace: str) -> str:
        """What it means that a namespace is closed, as text after a sentence."""
        if namespace not in self._held:
            return ""
        if namespace in self.new:
            return ". Until then nothing of this namespace is served"
        return ". Until then changes in this namespace have no effect"

    def found(self, namespace: str) -> set[Key]:
        """The ReferenceGrants of a closed namespace that was never open: they are not new, only read now."""
        if namespace not in self.new:
            return set()
        return {key for kind, key in self._held[namespace] if kind is ReferenceGrant}

    def open(self, namespace: str) -> list[Apply | Delete]:
        """Everything that is needed was read. Returns what was held back: at most one event for each object."""
        self._refused.pop(namespace, None)
        self._served[namespace] = frozenset()
        self.new.discard(namespace)
        return list(self._held.pop(namespace).values())

    def close(self, namespace: str, served: Iterable[Id]) -> None:
        """Something that is needed may no longer be read. `served`: the objects that stay as they are."""
        self._held[namespace] = {}
        self._served[namespace] = frozenset(served)

    def refuse(self, namespace: str, now: float) -> None:
        """Something that is needed may not be read."""
        if namespace in self._held:
            self._refused.setdefault(namespace, now)

    def is_given_up(self, namespace: str, now: float) -> bool:
        """Whether the first configuration no longer waits for it. If no namespace can be read, it waits for all."""
        since = self._refused.get(namespace)
        return since is not None and now - since >= PATIENCE and len(self._refused) < len(self._served)


def id_of(event: Apply | Delete) -> Id:
    """The object of an event."""
    return (type(event.resource), event.resource.key) if isinstance(event, Apply) else (event.kind, event.key)
