"""KubernetesSource: an API server as a source. It owns the Store and keeps it in step with the API server.

There is one watch for each kind that is served (served.py), from the creation to the deletion of its CRD, and one for
each Secret and ConfigMap that is watched by name (named.py); further ones are read in turn (looks.py). Their notices
become events for the Store (collection.py). An object is in the Store while any of them holds it; losing the connection
removes nothing.

No change is reported (`watch`) before every kind has been listed once, so the first configuration is complete. If a
kind must not be read (403), the start waits for it if nothing can be served without it, else it counts as empty.
"""

import logging
import time
from collections import ChainMap
from collections.abc import Callable, Container, Iterable, Iterator
from typing import NoReturn

import msgspec
import trio

from fastroute.apiserver.client import ApiError, Client
from fastroute.apiserver.contact import Contact
from fastroute.apiserver.kinds import BY_KIND, CERTAIN, CRD_GROUP, CRDS, Followed, collection
from fastroute.apiserver.objects import Held
from fastroute.metrics import Metrics
from fastroute.resources.core import ConfigMap, Secret
from fastroute.resources.meta import Key, Resource
from fastroute.resources.problem import ManifestProblem
from fastroute.source.kubernetes.backlog import Notice
from fastroute.source.kubernetes.collection import Collection
from fastroute.source.kubernetes.crds import Crds
from fastroute.source.kubernetes.lives import Life, Lives, key_of
from fastroute.source.kubernetes.looks import Looks
from fastroute.source.kubernetes.named import (
    DECIDING,
    NAMING,
    PERMITTING,
    choose,
    config_maps_of,
    config_maps_of_gateways,
    is_possible,
)
from fastroute.source.kubernetes.postponed import Postponed
from fastroute.source.kubernetes.quota import rooms
from fastroute.source.kubernetes.scope import EVERYWHERE, Doors, Part, Scope
from fastroute.source.kubernetes.served import Doubts, Served, discover, judge, why_refused
from fastroute.source.kubernetes.unread import Unread
from fastroute.source.kubernetes.watch import Watch, delay
from fastroute.source.store import Apply, Delete, Store, WatchEvent

REDISCOVER = 600.0  # s; CRDs are watched, so this is for servers that do not permit that
BLIND_REDISCOVER = 15.0  # s, if CRDs are not watched
NAMES_SHARE = 10.0  # times the duration of a check of what is followed by name: the pause after it
BY_NAME = (Secret, ConfigMap)

_log = logging.getLogger(__name__)


class KubernetesSource:
    """`controller_name` decides whose Gateways may name Secrets. Nothing happens unless `run` runs."""

    def __init__(self, client: Client, metrics: Metrics, controller_name: str, scope: Scope = EVERYWHERE) -> None:
        self.store = Store()
        self.loaded = trio.Event()  # set when every kind was listed once
        self._client, self._controller_name = client, controller_name
        self._contact = Contact(client.host, metrics)
        self._scope, self._doors = scope, Doors(scope.namespaces)
        self._lives = Lives(scope, self._doors)
        self._refused: set[str] = set()  # watches that the API server refuses
        self._forbidden: dict[str, str] = {}  # optional kinds that the API server refuses: the reason
        self._crds = Crds()
        self._crds_asked = trio.Event()  # set when the CRDs were listed or refused
        self._doubts = Doubts()
        self._stale = trio.Event()  # set when the served kinds must be checked again
        self._names = trio.Event()  # set when what is followed by name must be checked again
        self._names_known = False
        self._rooms = rooms()
        self._looks = {kind: self._made_looks(BY_KIND[kind]) for kind in NAMING}
        self._postponed = Postponed(lambda one: config_maps_of(one, self.store.now(), controller_name), self._is_read)
        self._unread = Unread(lambda key: self._is_read(key) or self._is_held(ConfigMap, key))
        self._problems: tuple[ManifestProblem, ...] = ()
        self._changed: Callable[[float], None] | None = None
        self._restated: Callable[[str, Key], None] = lambda kind, key: None

    def _made_looks(self, row: Followed) -> Looks:
        room = self._rooms[row.type]
        role = self._scope.role(row)
        return Looks(row, self._client, self._apply, self._note_read, self._looked, room=room, role=role)

    @property
    def bundle_version(self) -> str | None:
        """The release of the installed CRDs: "v1.6.3"."""
        return self._crds.bundle_version

    @property
    def served(self) -> dict[str, str]:
        """The version in which each kind is watched, by kind."""
        return self._lives.versions

    def held(self, kind: str, key: Key) -> Held | None:
        """The state of an object as the API server last sent it. None: there is no such object."""
        return self._lives.held(kind, key)

    def all_held(self, kind: str) -> dict[Key, Held]:
        """The state of every object of a kind."""
        return self._lives.all_held(kind)

    def renew(self) -> None:
        """Lists every collection again, because the state of the API server went back."""
        for life in self._lives.values():
            life.watch.renew()
        for looks in self._looks.values():
            looks.renew()

    async def watch(self, changed: Callable[[float], None]) -> NoReturn:
        """Calls `changed(noticed)` after each batch that changed the Store; `noticed` is on trio's clock."""
        self._changed = changed
        changed(trio.current_time())  # for the changes before this call
        await trio.sleep_forever()

    async def watch_statuses(self, restated: Callable[[str, Key], None]) -> NoReturn:
        """Calls `restated(kind, key)` after an object was created or its status changed."""
        self._restated = restated
        await trio.sleep_forever()

    async def run(self) -> NoReturn:
        """Watches everything, until cancelled."""
        watch = Watch(
            self._client,
            self._contact,
            "CustomResourceDefinition",
            collection(CRD_GROUP, "v1", CRDS),
            metadata_only=True,
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch.run, self._take_crds, self._crds_refused)
            nursery.start_soon(self._follow_served, nursery)
            nursery.start_soon(self._follow_named, nursery)
            for looks in self._looks.values():
                nursery.start_soon(looks.run)
            nursery.start_soon(self._release)
            await trio.sleep_forever()
        raise AssertionError("unreachable")

    # --- What is served

    def _take_crds(self, notices: list[Notice]) -> None:
        self._crds.take(notices)
        if self._crds.is_known:
            self._crds_asked.set()
        self._stale.set()

    def _crds_refused(self, error: ApiError) -> None:
        if not self._crds_asked.is_set():
            _log.warning("CustomResourceDefinitions cannot be read (%s): changes of CRDs are found with a delay", error)
        self._crds_asked.set()
        self._stale.set()

    async def _follow_served(self, nursery: trio.Nursery) -> NoReturn:
        await self._crds_asked.wait()
        tries = 0
        while True:
            self._stale = trio.Event()
            settled = False
            try:
                served = judge(await discover(self._client), self._crds.installed)
            except (ApiError, msgspec.DecodeError) as error:
                refusal = error if isinstance(error, ApiError) else ApiError(0, "Malformed", str(error))
                self._contact.failed("discovery", refusal)
            else:
                self._contact.heard("discovery")
                settled = served.is_settled
                self._settle(served, nursery)
            tries = 0 if settled else tries + 1
            patience = REDISCOVER if self._crds.is_known else BLIND_REDISCOVER
            with trio.move_on_after(patience if settled else 0.1 + delay(tries)):
                await self._stale.wait()

    def _settle(self, served: Served, nursery: trio.Nursery) -> None:
        """Starts watches of the kinds that are served and ends the others."""
        served = self._doubts.trusted(served, self.served, is_told=self._crds.is_known, now=trio.current_time())
        for kind, row in BY_KIND.items():
            if row.by_name:
                continue
            version, former = served.versions.get(kind), self._lives.versions.get(kind)
            if None not in (version, former) and version != former:
                _log.info("%s are now read as %s", row.words, version)
            for part in self._scope.parts(row):
                self._settle_one(part, row, version, nursery)
        self._tell_missing(served)
        self._advance()

    def _settle_one(self, part: Part, row: Followed, version: str | None, nursery: trio.Nursery) -> None:
        life = self._lives.get(part.name)
        if life is not None and life.collection.version != version:
            if version is None:
                self._end(part.name)
            else:  # the known objects stay until the other version is listed
                life.scope.cancel()
        if version is not None and (life is None or life.collection.version != version):
            self._begin(part, row, version, nursery, former=life)

    def _tell_missing(self, served: Served) -> None:
        before = self.store.missing
        served = msgspec.structs.replace(served, missing={**served.missing, **self._forbidden})
        for kind, why in served.missing.items():
            if before.get(kind) != why and BY_KIND[kind].is_expected:
                _log.warning("%s are not read: %s", BY_KIND[kind].words, why)
        for kind in before.keys() - served.missing.keys():
            _log.info("%s are now read, as %s", BY_KIND[kind].words, served.versions[kind])
        if (before, self.store.bundle_version) != (served.missing, self.bundle_version):
            self.store.missing, self.store.bundle_version = served.missing, self.bundle_version
            self._tell(trio.current_time())

    # --- Watches

    def _begin(
        self, part: Part, row: Followed, version: str, nursery: trio.Nursery, *, former: Life | None = None
    ) -> None:
        """`former`: the watch of the same kind in another version; its objects are kept until this watch has listed its
        own."""
        name = part.name
        followed = Collection(
            row,
            version,
            self._client.host,
            lambda key: self._restated(row.kind, key),
            self._controller_name,
            room=self._rooms.get(row.type),
            role=self._scope.role(row),
        )
        if former is not None:
            followed.held.update(former.collection.held)
        path = collection(row.group, version, row.plural, part.namespace)
        watch = Watch(self._client, self._contact, name, path, selector=part.selector)
        life = self._lives[name] = Life(followed, trio.CancelScope(), watch, part.namespace)

        async def run() -> None:
            with life.scope:
                await watch.run(lambda notices: self._take(name, followed, notices), self._refusal(part, row))

        nursery.start_soon(run)

    def _end(self, name: str) -> None:
        life = self._lives.pop(name)
        life.scope.cancel()
        self._contact.forget(name)
        self._refused.discard(name)
        self._forbidden.pop(name, None)
        self._admit(life.namespace, life.collection.dropped())

    def _refusal(self, part: Part, row: Followed) -> Callable[[ApiError], None]:
        name = part.name

        def refused(error: ApiError) -> None:
            if row.needed and error.status in (403, 404):
                self._lives.refuse(name, trio.current_time())
            if error.status == 404:
                self._stale.set()
                return
            if (key := key_of(row.kind, name)) is not None and (life := self._lives.get(name)) is not None:
                self._apply(life.collection.refuse(key, error))
                self._note_read(row.kind, key)
            if name not in self._refused:
                is_known = row.by_name and any(one.partition(" ")[0] == row.kind for one in self._refused)
                self._refused.add(name)
                if row.optional:
                    self._forbidden[row.kind] = why_refused(row, error)
                    self._stale.set()
                if not is_known:
                    effect = self._doors.effect(part.namespace)
                    _log.error("%s", self._scope.refusal(part, row, error, effect))
            self._advance()

        return refused

    def _admit(self, namespace: str, events: Iterable[Apply | Delete]) -> None:
        """Applies events, unless their namespace is closed."""
        self._apply(self._doors.passing(namespace, events, self._is_gone))
        if self._doors.is_closed(namespace) and self._lives.has_read(namespace):
            unwritten = self._lives.with_status(namespace)  # while it was closed, their statuses were not written
            self.store.found_grants |= self._doors.found(namespace)
            self._apply(self._doors.open(namespace))
            for kind, key in unwritten:
                self._restated(kind, key)

    def _take(self, name: str, followed: Collection, notices: list[Notice]) -> None:
        if not self._lives.has(name, followed):
            return  # sent by a watch that has just ended
        if name in self._refused:
            self._refused.discard(name)
            self._names.set()  # while Secrets were refused, none was watched by name
            if self._forbidden.pop(name, None):
                self._stale.set()
            _log.info("%s can be read again", name)
        was_listed, known = followed.is_listed, len(followed.held)
        self._admit(self._lives[name].namespace, followed.take(notices))
        if followed.row.type in BY_NAME and (followed.is_listed, len(followed.held)) != (was_listed, known):
            self._names.set()
        if followed.is_listed and not was_listed:
            if (key := key_of("ConfigMap", name)) is not None:
                self._note_read("ConfigMap", key)
            self._advance()

    def _apply(self, events: Iterable[Apply | Delete]) -> None:
        """Applies events to the Store, except deletions of objects that another watch still holds."""
        noticed = trio.current_time()
        touched: set[type[Resource]] = set()
        changed = self.store.apply(self._kept(events, touched), noticed)
        if self.loaded.is_set() and not touched.isdisjoint(PERMITTING):
            permitted = config_maps_of_gateways(self.store.now(), self._controller_name).permitted
            changed |= self.store.apply(self._unread.expect(one.key for one in permitted), noticed)
        problems = self._all_problems()
        if problems != self._problems:
            self._problems = problems
            changed |= self.store.report(problems)
        if not touched.isdisjoint(DECIDING):
            self._names.set()
        if changed:
            self._tell(noticed)

    def _kept(self, events: Iterable[Apply | Delete], touched: set[type[Resource]]) -> Iterator[WatchEvent]:
        for event in events:
            kind = type(event.resource) if isinstance(event, Apply) else event.kind
            if self.loaded.is_set():
                waits, unread = self._postponed.takes(event)
                if waits:
                    self._names.set()
                    continue
                yield from self._unread.expect(unread)
            if kind not in BY_NAME or isinstance(event, Delete):  # what changed is watched as before
                touched.add(kind)
            if not isinstance(event, Delete) or self._is_gone(event):
                yield event

    def _is_gone(self, event: Delete) -> bool:
        """Whether no watch holds an object that one of them no longer has."""
        if self._is_held(event.kind, event.key):
            return False
        if (room := self._rooms.get(event.kind)) is not None:
            room.drop(event.key)
        return True

    def _note_read(self, kind: str, key: Key) -> None:
        """An object that is followed by name was read for the first time."""
        if kind == "ConfigMap":
            self._apply([*self._unread.note_read(key), *self._postponed.note_read(key)])

    async def _release(self) -> NoReturn:
        while True:
            self._apply(await self._postponed.late())

    def _is_read(self, config_map: Key) -> bool:
        life = self._lives.get(f"ConfigMap {config_map}")
        if life is not None and (life.collection.is_listed or config_map in life.collection.held):
            return True
        return not is_possible(config_map) or self._looks["ConfigMap"].has_read(config_map)

    def _is_held(self, kind: type[Resource], key: Key) -> bool:
        if kind is ConfigMap and key in self._unread.keys:
            return True
        if any(looks.collection.row.type is kind and key in looks.collection.held for looks in self._looks.values()):
            return True
        return self._lives.hold(kind, key)

    def _all_problems(self) -> tuple[ManifestProblem, ...]:
        return (*self._lives.problems(), *(problem for looks in self._looks.values() for problem in looks.problems))

    # --- Secrets and ConfigMaps by name

    async def _follow_named(self, nursery: trio.Nursery) -> NoReturn:
        while True:
            await self._names.wait()
            self._names = trio.Event()
            by_type = list(self._lives.of_kind("Secret"))
            if not by_type or any(map(self._is_awaited, by_type)):
                continue  # checked again once they are listed: they may contain what would be watched by name
            began = time.perf_counter()
            self._follow_by_name("Secret", ChainMap(*(life.collection.held for life in by_type)), nursery)
            self._follow_by_name("ConfigMap", (), nursery)
            self._names_known = True
            self._apply(())
            self._advance()
            await trio.sleep(NAMES_SHARE * (time.perf_counter() - began))

    def _follow_by_name(self, kind: str, known: Container[Key], nursery: trio.Nursery) -> None:
        """`known`: the objects that another watch includes."""
        row, looks = BY_KIND[kind], self._looks[kind]
        by_name = {key: life for name, life in self._lives.items() if (key := key_of(kind, name))}
        there = [key for key, life in by_name.items() if key in life.collection.held or not life.collection.is_listed]
        found = {*there, *looks.collection.held}
        names = NAMING[kind](self.store.now(), self._controller_name)
        if kind == "ConfigMap":
            self._apply(self._unread.renew({one.key for one in names.permitted}))
            names = names._replace(permitted=names.permitted | self._postponed.names)
        names = names._replace(refused=frozenset(one for one in names.refused if self._may_read(kind, one.key)))
        choice = choose(names, known, found, by_name)
        unwatched = {one.key for one in choice.unwatched}
        for key in by_name.keys() - set(choice.watched):
            followed = by_name[key].collection
            if key in unwatched and (followed.is_listed or key in followed.held):
                looks.adopt(key, followed.held.get(key))
            self._end(f"{kind} {key}")
        for key in choice.watched:
            if key not in by_name and self._may_read(kind, key):
                part = Part(f"{kind} {key}", key.namespace, f"metadata.name={key.name}")
                self._begin(part, row, row.versions[0], nursery)
        kept = {one for one in looks.wanted if one in choice.unwatched or self._is_begun(kind, one.key)}
        looks.follow(frozenset(kept | {one for one in choice.unwatched if self._may_read(kind, one.key)}))

    def _may_read(self, kind: str, key: Key) -> bool:
        """False: its namespace is not read, or the watch that includes such objects is refused."""
        return self._scope.reads(key.namespace) and self._scope.name(kind, key.namespace) not in self._refused

    def _looked(self) -> None:
        """An object appeared or disappeared, or every object of a kind was read once."""
        self._names.set()
        self._advance()

    def _is_begun(self, kind: str, key: Key) -> bool:
        """Whether a watch by name exists that has not listed its object yet."""
        life = self._lives.get(f"{kind} {key}")
        return life is not None and not life.collection.is_listed

    # --- The first configuration

    def _advance(self) -> None:
        """Sets `loaded` if everything is known."""
        if self.loaded.is_set() or not self.served.keys() >= CERTAIN:
            return
        if any(map(self._is_awaited, self._lives.values())):
            return
        if not all(looks.is_settled for looks in self._looks.values()):
            return
        if not self._names_known or self._names.is_set():
            self._names.set()
            return
        self.loaded.set()

    def _is_awaited(self, life: Life) -> bool:
        if life.collection.is_listed:
            return False
        if self._doors.is_closed(life.namespace):
            return not self._doors.is_given_up(life.namespace, trio.current_time())
        return self._scope.needs(life.collection.row) or life.watch.name not in self._refused

    def _tell(self, noticed: float) -> None:
        if self.loaded.is_set() and self._changed is not None:
            self._changed(noticed)
