"""Looks: reads the objects of a kind that are followed by name but not watched, one after the other, again and again.

The namespaces take turns, and RATE limits the requests. So a namespace that names thousands of Secrets does not delay
the others: it only waits longer for its own. Objects that were not read yet come first, except in every SHARE-th
turn. An object is read at most every PAUSE seconds, or every RETRY seconds until it was read once.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from math import inf
from typing import NamedTuple, NoReturn

import msgspec
import trio

from fastroute.apiserver.bucket import Bucket
from fastroute.apiserver.client import ApiError, Client
from fastroute.apiserver.kinds import Followed, collection
from fastroute.apiserver.objects import Found, Held
from fastroute.fairness import FairQueue
from fastroute.resources.meta import Key
from fastroute.resources.problem import ManifestProblem
from fastroute.source.kubernetes.backlog import Notice
from fastroute.source.kubernetes.collection import Collection
from fastroute.source.kubernetes.named import Named
from fastroute.source.kubernetes.quota import Quota
from fastroute.source.store import Apply, Delete

PAUSE = 10.0  # s between two reads of an object
RETRY = 1.0  # s until the next try to read an object that was never read
SHARE = 4  # one of so many turns is for an object that was read before
RATE, BURST = 20.0, 200.0  # reads of all objects of a kind: per second, and at once
PATIENCE = 2.0  # s that the first configuration waits for the first reads
TOO_MANY = {
    "Secret": "certificateRefs name too many Secrets that are missing or of another type; give it the type "
    "kubernetes.io/tls",
    "ConfigMap": "BackendTLSPolicies and Gateways name too many ConfigMaps; use one for several of them",
}

_log = logging.getLogger(__name__)


class _Rest(NamedTuple):
    until: float  # on trio's clock
    named: Named


class Looks:
    """`follow` sets what to read; `run` reads. `take` gets the changes for the Store. `note_read` gets the kind and the
    key of an object that was read for the first time: its content is known, or that it does not exist, or that it must
    not be read. `looked` is called when an object appeared or disappeared, and when the first objects to follow were
    read, or after PATIENCE. `room`, `role`: as for a Collection."""

    def __init__(
        self,
        row: Followed,
        client: Client,
        take: Callable[[Iterable[Apply | Delete]], None],
        note_read: Callable[[str, Key], None],
        looked: Callable[[], None],
        *,
        room: Quota | None = None,
        role: str = "ClusterRole of fastroute",
    ) -> None:
        self._client, self._take, self._note_read, self._looked = client, take, note_read, looked
        self._row = row
        self.collection = Collection(
            self._row, self._row.versions[0], client.host, lambda key: None, "", room=room, role=role
        )
        self.is_settled = True
        self._begun, self._all_read = trio.Event(), trio.Event()
        self.wanted: frozenset[Named] = frozenset()  # what is read
        self._unread: set[Named] = set()
        self._read: set[Key] = set()
        self._first, self._again = (FairQueue[Named, str](lambda one: one.space) for _ in range(2))
        self._resting, self._failed = (deque[_Rest]() for _ in range(2))  # in the order of time
        self._turns = 0
        self._news = trio.Event()
        self._bucket = Bucket(RATE, BURST)
        self._unwatched: dict[Key, ManifestProblem] = {}
        self._complained = False

    def has_read(self, key: Key) -> bool:
        """Whether it is known what the object contains, that it does not exist, or that it must not be read."""
        return key in self._read

    @property
    def problems(self) -> tuple[ManifestProblem, ...]:
        """Of the objects that are read in turn. That they are is a problem, too."""
        for key in self.collection.held.keys() - self._unwatched.keys():
            self._unwatched[key] = self._not_watched(key)
        unwatched = (self._unwatched[key] for key in self.collection.held)
        return (*self.collection.problems.values(), *unwatched)

    def _not_watched(self, key: Key) -> ManifestProblem:
        return ManifestProblem(
            file=self._client.host,
            kind=self._row.kind,
            namespace=key.namespace,
            name=key.name,
            message=f"is not watched but read every {PAUSE:g} s, or less often: {TOO_MANY[self._row.kind]}",
        )

    def adopt(self, key: Key, held: Held | None) -> None:
        """Takes over an object that a watch followed until now. None: it does not exist."""
        self._read.add(key)
        if held is not None:
            self.collection.held[key] = held

    def follow(self, wanted: frozenset[Named]) -> None:
        """`wanted`: what to read from now on. The others are dropped."""
        before, self.wanted = self.wanted, wanted
        for one in before - wanted:
            self._first.discard(one)
            self._again.discard(one)
            self._unread.discard(one)
        for one in sorted(wanted - before):
            self._unread.add(one)
            self._enqueue(one)
        if wanted and not self._begun.is_set():
            self.is_settled = False
            self._begun.set()
        self._check_all_read()
        keys = {one.key for one in wanted}
        self._read &= keys
        for key in self._unwatched.keys() - keys:
            del self._unwatched[key]
        gone = [key for key in self.collection.held if key not in keys]
        self._take([event for key in gone for event in self.collection.drop(key)])

    def renew(self) -> None:
        """Reads everything again soon, because the state of the API server went back."""
        for rests in (self._resting, self._failed):
            while rests:
                self._enqueue(rests.popleft().named)

    async def run(self) -> NoReturn:
        """Reads, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._settle)
            while True:
                one = await self._next()
                await trio.sleep(self._bucket.reserve(trio.current_time()))
                if one in self.wanted:
                    is_final = await self._look(one)
                    self._note_looked(one, is_final)
        raise AssertionError("unreachable")

    async def _settle(self) -> None:
        await self._begun.wait()
        with trio.move_on_after(PATIENCE):
            await self._all_read.wait()
        self.is_settled = True
        self._looked()

    def _note_looked(self, one: Named, is_final: bool) -> None:
        now = trio.current_time()
        if not is_final and one.key not in self._read:
            self._failed.append(_Rest(now + RETRY, one))
            return
        self._resting.append(_Rest(now + PAUSE, one))
        self._unread.discard(one)
        self._check_all_read()
        if one in self.wanted and one.key not in self._read:
            self._read.add(one.key)
            self._note_read(self._row.kind, one.key)

    def _check_all_read(self) -> None:
        if self._begun.is_set() and not self._unread:
            self._all_read.set()

    def _enqueue(self, one: Named) -> None:
        if one in self.wanted:
            (self._again if one.key in self._read else self._first).add(one)
            self._news.set()

    async def _next(self) -> Named:
        """The object whose turn it is."""
        while True:
            now = trio.current_time()
            for rests in (self._resting, self._failed):
                while rests and rests[0].until <= now:
                    self._enqueue(rests.popleft().named)
            if (one := self._taken()) is not None:
                return one
            self._news = trio.Event()
            ends = [rests[0].until for rests in (self._resting, self._failed) if rests]
            with trio.move_on_at(min(ends, default=inf)):
                await self._news.wait()

    def _taken(self) -> Named | None:
        self._turns += 1
        if self._turns % SHARE == 0 and (one := self._again.take()) is not None:
            return one
        return self._first.take() or self._again.take()

    async def _look(self, one: Named) -> bool:
        """Lists one object by its name: a GET would need the permission `get`, which nothing else needs. Returns
        whether the answer is final: after a temporary error it is not."""
        key = one.key
        path = collection(self._row.group, self._row.versions[0], self._row.plural, key.namespace)
        try:
            answer = await self._client.request("GET", path, query={"fieldSelector": f"metadata.name={key.name}"})
            items = msgspec.json.decode(answer, type=Found).items
        except (ApiError, msgspec.DecodeError) as error:
            if not self._complained:
                _log.warning("%s %s cannot be read: %s", self._row.kind, key, error)
            self._complained = True
            is_refused = isinstance(error, ApiError) and error.is_refusal
            if is_refused or key not in self._read:
                self._apply(one, self.collection.refuse(key, error))
            return is_refused
        self._complained = False
        notices = [Notice("Put", item, since=trio.current_time()) for item in items]
        self._apply(one, self.collection.take(notices) if notices else self.collection.drop(key))
        return True

    def _apply(self, one: Named, changes: Iterator[Apply | Delete]) -> None:
        """`changes`: what happens to the collection, unless the object was dropped in the meantime."""
        if one not in self.wanted:
            return
        key = one.key
        was_there = key in self.collection.held
        self._take([*changes])
        if (key in self.collection.held) != was_there:
            self._looked()
