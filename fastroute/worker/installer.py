"""Builds the tables of a publication in slices, between turns of the engine.

Backends and endpoints change at once, one backend after another. Listeners, rules and sockets of a publication wait for
its Commit. Then, in this order: the tables are finished, the accept queues of removed sockets are emptied and the
sockets closed, tables and certificates are swapped, new sockets accept connections, the Ack is sent, and what no
version uses any more is freed. Everything is done in steps of less than a millisecond, except the swap: it exchanges
one pointer for the tables and three for each changed certificate. Publications are installed one after the other: what
arrives during an installation waits until its remains are freed.
"""

import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from fastroute.ext.engine.engine import Engine
from fastroute.ext.memory.graveyard import collect
from fastroute.ext.routing.backends import Listing
from fastroute.ext.routing.tables import TableBuilder, Tables, Upstreams
from fastroute.ext.tls.certificate import Certificates
from fastroute.place import Place
from fastroute.publication import (
    Ack,
    Begin,
    Change,
    ClientCertificate,
    Commit,
    EndpointUpdate,
    Listen,
    MoreEndpoints,
    Refused,
    RemoveBackend,
    RemoveCertificate,
    RemoveEndpoints,
    RemoveListener,
    RemoveRule,
    SetEndpoints,
    Trouble,
    TrustAnchors,
    Unlisten,
    UpsertBackend,
    UpsertCertificate,
    UpsertListener,
    UpsertRule,
    restored,
    restored_backend,
)
from fastroute.snapshot import Backend, Certificate, Endpoint, backend_label
from fastroute.worker.slices import Slices


class SlotSocket(NamedTuple):
    """A socket: its place, and the worker slot it was bound for."""

    place: Place
    slot: int


class Installer:
    """The state of this worker: the tables, endpoints and sockets of one version."""

    def __init__(self, engine: Engine, upstreams: Upstreams, slices: Slices) -> None:
        self._engine = engine
        self._upstreams = upstreams
        self._slices = slices
        self._certificates = Certificates()
        self._shown: set[str] = set()  # ids of certificates
        self._tables: Tables | None = None
        self._version = 0
        self._backends: set[str] = set()
        self._sockets: dict[SlotSocket, int] = {}
        self._begun: Begin | None = None
        self._begun_at = 0.0  # on the clock of time.monotonic
        self._builder: TableBuilder | None = None  # of the current publication; None: it is refused
        self._trouble = ""
        self._listens: list[tuple[SlotSocket, int]] = []
        self._unlistens: list[SlotSocket] = []
        self._leaving: set[str] = set()  # backends that no rule of the new version refers to
        self._listings: dict[str, Listing] = {}  # by backend: endpoints of a SetEndpoints in several messages
        self._anchors: dict[int, bytes] = {}  # of this publication, by number
        self._certificates_shown: dict[int, Certificate] = {}  # likewise: to backends
        self._spoken: dict[str, Backend] = {}  # changed backends whose endpoints have not changed so far
        self._waste: list[Iterator[None]] = []  # frees the replaced objects in steps, after the Ack

    async def obey(
        self, message: Change | MoreEndpoints | TrustAnchors | ClientCertificate | Begin | Commit | EndpointUpdate
    ) -> Ack | Refused | Trouble | None:
        """Applies `message`; returns the message to send back, if any."""
        match message:
            case EndpointUpdate():
                self._begin_installation()
                return await self._update(message)
            case Begin():
                self._begin(message)
            case Commit():
                return await self._commit(message.version)
            case _ if self._builder is not None:
                try:
                    return await self._change(self._builder, message)
                except (ValueError, MemoryError) as error:
                    self._refuse(f"{type(error).__name__}: {error}")
        return None

    async def finish(self) -> None:
        """Frees the objects that only the previous version used. Call it after the answer was sent."""
        while self._waste:
            await self._in_steps(self._waste.pop())
        while collect(self._slices.length):
            await self._slices.let_traffic_by()
        await self._in_steps(self._certificates.release())  # also of what the freed listeners used

    async def _in_steps(self, work: Iterator[None]) -> None:
        for _ in work:
            await self._slices.step_aside()

    def listen(self, message: Listen, fd: int) -> None:
        """Serves `fd`: at once, or when its publication is installed."""
        key = SlotSocket(message.place, message.slot)
        if self._begun is not None:
            self._listens.append((key, fd))
        else:
            self._open(key, fd)

    def unlisten(self, message: Unlisten) -> None:
        """Closes a socket: at once, or when its publication is installed."""
        key = SlotSocket(message.place, message.slot)
        if self._begun is not None:
            self._unlistens.append(key)
        else:
            self._shut(key)

    def _begin(self, message: Begin) -> None:
        self._begun = message
        self._begin_installation()
        self._trouble = ""
        self._anchors, self._certificates_shown = {}, {}
        if message.base not in (0, self._version):
            self._refuse(f"it starts from version {message.base}, version {self._version} is installed")
            return
        previous = self._tables if message.base else None
        self._builder = TableBuilder(self._upstreams, previous, message.version, self._certificates)
        self._leaving = set() if message.base else set(self._backends)
        for id in () if message.base else tuple(self._shown):
            self._remove_certificate(id)

    async def _change(
        self, builder: TableBuilder, change: Change | MoreEndpoints | TrustAnchors | ClientCertificate
    ) -> Trouble | None:
        match change:
            case UpsertCertificate():
                return await self._put_certificate(change)
            case RemoveCertificate():
                self._remove_certificate(change.id)
            case TrustAnchors():
                self._anchors[change.number] = change.pem
            case ClientCertificate():
                self._certificates_shown[change.number] = change.certificate
            case UpsertBackend():
                return await self._put_backend(restored_backend(change, self._anchors, self._certificates_shown))
            case UpsertRule():
                await self._in_steps(builder.putting_rule(change.rule, change.slots))
            case MoreEndpoints():
                self._listing(change.backend).add(change.endpoints)
            case SetEndpoints():
                await self._set_endpoints(change.backend, change.endpoints)
            case UpsertListener():
                return await self._put_listener(builder, restored(change, self._anchors))
            case RemoveRule():
                builder.remove_rule(change.id)
            case RemoveListener():
                builder.remove_listener(change.id)
            case RemoveEndpoints():
                self._leaving.add(change.backend)
            case RemoveBackend():
                self._leaving.add(change.id)
        return None

    async def _put_certificate(self, change: UpsertCertificate) -> Trouble | None:
        """A certificate that cannot be loaded does not block the publication: its listeners refuse their clients."""
        self._shown.add(change.id)
        try:
            await self._in_steps(self._certificates.putting(change.id, change.certificate))
        except ValueError as error:
            return Trouble(f"certificate {change.id} cannot be shown: {error}")
        return None

    def _remove_certificate(self, id: str) -> None:
        self._certificates.remove(id)
        self._shown.discard(id)

    async def _put_listener(self, builder: TableBuilder, change: UpsertListener) -> Trouble | None:
        """If the CAs of its clients cannot be loaded, that does not block the publication: it refuses all clients."""
        trouble = None
        try:
            await self._in_steps(self._certificates.preparing(change.listener.tls))
        except ValueError as error:
            trouble = Trouble(f"no client of listener {change.listener.id} can be verified: {error}")
        builder.put_listener(change.listener, change.slot)
        return trouble

    async def _put_backend(self, change: UpsertBackend) -> Trouble | None:
        """Takes effect with the endpoints of the backend, or before the tables are finished (`_speak`). If its TLS is
        not possible, that does not block the publication: every connection to it fails."""
        trouble = None
        if change.backend.tls is not None:
            try:
                await self._in_steps(self._upstreams.preparing(change.backend))
            except ValueError as error:
                trouble = Trouble(f"no connection to backend {backend_label(change.id)} is possible: {error}")
        self._spoken[change.id] = change.backend
        self._backends.add(change.id)
        self._leaving.discard(change.id)
        return trouble

    async def _speak(self) -> None:
        while self._spoken:
            await self._in_steps(self._upstreams.speaking(*self._spoken.popitem()))

    def _listing(self, backend: str) -> Listing:
        return self._listings.setdefault(backend, Listing(self._upstreams, backend))

    async def _set_endpoints(self, backend: str, endpoints: Iterable[Endpoint]) -> None:
        self._listing(backend).add(endpoints)
        listing = self._listings.pop(backend)
        if (spoken := self._spoken.pop(backend, None)) is not None:
            listing.speak(spoken)
        await self._in_steps(listing.replacing())
        self._backends.add(backend)
        self._leaving.discard(backend)

    async def _update(self, message: EndpointUpdate) -> Ack | Refused:
        if message.base != self._version:
            return Refused(message.version, f"version {self._version} is installed, not {message.base}")
        try:
            for backend, endpoints in message.endpoints.items():
                await self._set_endpoints(backend, endpoints)
        except (ValueError, MemoryError) as error:
            self._listings.clear()
            return Refused(message.version, f"{type(error).__name__}: {error}")
        self._version = message.version
        return self._acknowledged()

    def _refuse(self, trouble: str) -> None:
        if self._builder is not None:
            self._waste.append(self._builder.discard())
        self._builder = None
        self._trouble = trouble
        self._listings.clear()
        self._spoken.clear()
        self._certificates.forget()

    async def _commit(self, version: int) -> Ack | Refused:
        tables = await self._finish()
        self._begun = None
        self._anchors, self._certificates_shown = {}, {}
        for key in self._unlistens:
            self._shut(key)
            await self._slices.step_aside()
        if tables is not None:
            self._swap(tables, version)
        for key, fd in self._listens:
            self._open(key, fd)
            await self._slices.step_aside()
        self._listens, self._unlistens = [], []
        return Refused(version, self._trouble) if tables is None else self._acknowledged()

    def _swap(self, tables: Tables, version: int) -> None:
        """Makes the publication effective. Short, because it is one step."""
        self._engine.install(tables)
        self._certificates.commit()
        if self._tables is not None:
            self._waste.append(self._tables.discard())
        self._waste.append(self._letting_go(self._leaving))
        self._tables, self._version, self._leaving = tables, version, set()

    def _begin_installation(self) -> None:
        self._begun_at = time.monotonic()
        self._slices.begin_installation()

    def _acknowledged(self) -> Ack:
        self._slices.installed(time.monotonic() - self._begun_at)
        return Ack(self._version)

    async def _finish(self) -> Tables | None:
        """The tables of the publication, built in slices; None if it is refused."""
        if self._builder is None:
            return None
        try:
            await self._speak()
            while self._builder.step(self._slices.length):
                await self._slices.let_traffic_by()
            await self._in_steps(self._certificates.prepare())
            tables = self._builder.finish()
        except (ValueError, MemoryError) as error:
            self._refuse(f"{type(error).__name__}: {error}")
            return None
        self._waste.append(self._builder.discard())
        self._builder = None
        return tables

    def _letting_go(self, backends: set[str]) -> Iterator[None]:
        while backends:
            backend = backends.pop()
            yield from self._upstreams.removing(backend)
            self._backends.discard(backend)

    def _open(self, key: SlotSocket, fd: int) -> None:
        self._engine.listen(fd, key.place)
        self._sockets[key] = fd

    def _shut(self, key: SlotSocket) -> None:
        if (fd := self._sockets.pop(key, None)) is not None:
            self._engine.unlisten(key.place, fd)
