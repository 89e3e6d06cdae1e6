"""Looks: reads the objects of a kind that are followed by name but not watched, one after the other, again and again.

The namespaces take turns, and RATE limits the requests. So a namespace that names thousands of Secrets does not delay
the others: it only waits longer for its own. An object is read at most every PAUSE seconds.
"""

import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
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
    key of an object that was read for the first time. `looked` is called when an object appeared or disappeared, and
    when the first objects to follow were read, or after PATIENCE. `room`: as for a Collection."""

    def __init__(
        self,
        row: Followed,
        client: Client,
        take: Callable[[Iterable[Apply | Delete]], None],
        note_read: Callable[[str, Key], None],
        looked: Callable[[], None],
        *,
        room: Quota | None = None,
    ) -> None:
        self._client, self._take, self._note_read, self._looked = client, take, note_read, looked
        self._row = row
        self.collection = Collection(self._row, self._row.versions[0], client.host, lambda key: None, "", room=room)
        self.is_settled = True
        self._begun, self._all_read = trio.Event(), trio.Event()
        self.wanted: frozenset[Named] = frozenset()  # what is read
        self._unread: set[Named] = set()
        self._read: set[Key] = set()
        self._queue = FairQueue[Named, str](lambda one: one.space)
        self._resting: deque[_Rest] = deque()  # in the order of time
        self._news = trio.Event()
        self._bucket = Bucket(RATE, BURST)
        self._unwatched: dict[Key, ManifestProblem] = {}
        self._complained = False

    def has_read(self, key: Key) -> bool:
        """Whether it is known what the object contains, or that it does not exist."""
        return key in self._read or key in self.collection.held

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

    def adopt(self, key: Key, held: Held) -> None:
        """Takes over an object that a watch held until now."""
        self.collection.held[key] = held

    def follow(self, wanted: frozenset[Named]) -> None:
        """`wanted`: what to read from now on. The others are dropped."""
        before, self.wanted = self.wanted, wanted
        for one in before - wanted:
            self._queue.discard(one)
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
        while self._resting:
            self._enqueue(self._resting.popleft().named)

    async def run(self) -> NoReturn:
        """Reads, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._settle)
            while True:
                one = await self._next()
                await trio.sleep(self._bucket.reserve(trio.current_time()))
                if one in self.wanted:
                    await self._look(one)
                    self._note_looked(one)
                    self._resting.append(_Rest(trio.current_time() + PAUSE, one))
        raise AssertionError("unreachable")

    async def _settle(self) -> None:
        await self._begun.wait()
        with trio.move_on_after(PATIENCE):
            await self._all_read.wait()
        self.is_settled = True
        self._looked()

    def _note_looked(self, one: Named) -> None:
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
            self._queue.add(one)
            self._news.set()

    async def _next(self) -> Named:
        """The object whose turn it is."""
        while True:
            now = trio.current_time()
            while self._resting and self._resting[0].until <= now:
                self._enqueue(self._resting.popleft().named)
            if (one := self._queue.take()) is not None:
                return one
            self._news = trio.Event()
            with trio.move_on_at(self._resting[0].until if self._resting else math.inf):
                await self._news.wait()

    async def _look(self, one: Named) -> None:
        """Lists one object by its name: a GET would need the permission `get`, which nothing else needs."""
        key = one.key
        path = collection(self._row.group, self._row.versions[0], self._row.plural, key.namespace)
        try:
            answer = await self._client.request("GET", path, query={"fieldSelector": f"metadata.name={key.name}"})
            items = msgspec.json.decode(answer, type=Found).items
        except (ApiError, msgspec.DecodeError) as error:
            if not self._complained:
                _log.warning("%s %s cannot be read: %s", self._row.kind, key, error)
            self._complained = True
            if one in self._unread or (isinstance(error, ApiError) and error.is_refusal):
                self._apply(one, self.collection.refuse(key, error))
            return
        self._complained = False
        notices = [Notice("Put", item, since=trio.current_time()) for item in items]
        self._apply(one, self.collection.take(notices) if notices else self.collection.drop(key))

    def _apply(self, one: Named, changes: Iterator[Apply | Delete]) -> None:
        """`changes`: what happens to the collection, unless the object was dropped in the meantime."""
        if one not in self.wanted:
            return
        key = one.key
        was_there = key in self.collection.held
        self._take([*changes])
        if (key in self.collection.held) != was_there:
            self._looked()
