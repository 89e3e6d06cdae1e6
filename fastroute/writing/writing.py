"""Writing: all writes to the API server, by the replica that leads: statuses, Events and infrastructure.

    Statuses -> StatusWriter -> PUT status, then Events for the conditions that changed
             -> grant_changes -> Events of ReferenceGrants, and of what they permit or refuse
             -> Infrastructure -> Services (with --infrastructure)

GatewayClasses get no finalizer while Gateways use them (gateway-exists-finalizer): that would need permission to update
GatewayClasses, and after fastroute is uninstalled, classes with the finalizer could not be deleted.
"""

from collections.abc import Callable, Iterator
from typing import NoReturn, Protocol

import trio

from fastroute.apiserver.account import Account
from fastroute.apiserver.client import Client
from fastroute.graph.audit import GrantChange, grant_changes
from fastroute.graph.node import Graph
from fastroute.metrics import Metrics
from fastroute.resources.gateway import GROUP
from fastroute.resources.meta import Key, Resource
from fastroute.settings import GraphSettings
from fastroute.status import Statuses
from fastroute.writing.event import DEFAULT, Events, Happening, Regarding
from fastroute.writing.infrastructure import Infrastructure
from fastroute.writing.lease import Leader
from fastroute.writing.merge import Ours
from fastroute.writing.pen import Pen
from fastroute.writing.present import Objects
from fastroute.writing.statuswriter import StatusWriter, Write
from fastroute.writing.transition import transitions

LEASE = "fastroute"  # the default name; its namespace is that of the pod
PATIENCE = 3.0  # s to release the Lease


def lease_of(named: str | None, account: Account) -> Key | None:
    """The Lease that elects the writer. None: nothing is written to the API server.

    `named`: "NAMESPACE/NAME" (--status-lease). Without it only a pod with its own ServiceAccount writes: a kubeconfig
    belongs to a person, who wants to see what would be served without changing the cluster.
    """
    if named is not None:
        return Key(*named.split("/"))
    return Key(account.namespace, LEASE) if account.is_pods_own else None


class Followed(Objects, Protocol):
    """The objects of the API server that are watched."""

    def renew(self) -> None:
        """Lists everything again."""

    async def watch_statuses(self, restated: Callable[[str, Key], None]) -> NoReturn:
        """Calls `restated(kind, key)` after an object was created or its status changed."""


class Writing:
    """`lease`: only its holder writes. Nothing is written unless `run` runs."""

    def __init__(
        self,
        client: Client,
        objects: Followed,
        settings: GraphSettings,
        metrics: Metrics,
        lease: Key,
        *,
        infrastructure: bool = False,
    ) -> None:
        self._ours = Ours(settings.controller_name, settings.gateways)
        self._objects = objects
        self._leader = Leader(client, lease, self._lead, objects.renew)
        pen = Pen(client, self._leader)
        self._statuses = StatusWriter(pen, objects, self._ours, metrics, self._tell)
        self._statuses.claim = lambda: self._leader.claim
        self._events = Events(pen, (settings.controller_name, self._leader.identity))
        self._infrastructure = Infrastructure(pen) if infrastructure else None
        self._graph: Graph | None = None  # the last graph, to compare permissions with
        self._leads = False
        # Events about GatewayClasses are in this namespace. With --watch-namespace there may be no Role in it.
        self._may_write_default = not settings.watched or DEFAULT in settings.watched

    def post(self, statuses: Statuses) -> None:
        """Sets the wanted status of every object that is served, and the graph that they were made from."""
        before, self._graph = self._graph, statuses.graph
        self._statuses.post(statuses)
        if self._infrastructure is not None:
            self._infrastructure.post(statuses.graph)
        if self._leads and before is not None:
            for change in grant_changes(before, statuses.graph):
                for happening in _happenings(change):
                    self._events.tell(happening)

    async def run(self) -> NoReturn:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._objects.watch_statuses, self._statuses.restated)
            nursery.start_soon(self._leader.run)
            nursery.start_soon(self._statuses.run)
            nursery.start_soon(self._events.run)
            if self._infrastructure is not None:
                nursery.start_soon(self._infrastructure.run)
        raise AssertionError("unreachable")

    async def release(self) -> None:
        """Releases the Lease, so that another replica can write at once."""
        with trio.move_on_after(PATIENCE, shield=True):
            await self._leader.release()

    def _lead(self, leads: bool) -> None:
        self._leads = leads
        self._statuses.lead(leads)
        if not leads:
            self._events.clear()
        if self._infrastructure is not None:
            self._infrastructure.lead(leads)

    def _tell(self, write: Write) -> None:
        kind, key = write.id
        if not key.namespace and not self._may_write_default:
            return
        regarding = Regarding(write.api_version, kind, key.namespace, key.name, write.held.uid)
        for change in transitions(kind, write.before, write.status, self._ours):
            self._events.tell(Happening(regarding, change.is_warning, change.reason, change.action, change.note))


def _happenings(change: GrantChange) -> Iterator[Happening]:
    """On the grant, and on the objects whose references it permits or refuses."""
    grant = _regarding(change.grant)
    yield Happening(grant, False, f"Grant{change.what.capitalize()}", "Grant", change.note)
    for one in change.permissions:
        reason = "ReferencePermitted" if one.is_given else "ReferenceRefused"
        yield Happening(grant, False, reason, "Grant", one.note)
        yield Happening(_regarding(one.source), not one.is_given, reason, "ResolveReferences", one.news)


def _regarding(one: Resource) -> Regarding:
    metadata = one.metadata
    version = one.api_version or f"{GROUP}/v1"
    return Regarding(version, type(one).__name__, metadata.namespace, metadata.name, metadata.uid)
