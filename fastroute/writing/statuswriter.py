"""StatusWriter: writes our part of the objects' statuses to the API server. Level-triggered.

It has the wanted statuses (the last Statuses). When an object's turn comes, its present status is compared with the
wanted one and only written if they differ. So a redundant check costs nothing, and our own writes cause no further
ones. An object is in the queue at most once, and its latest wanted status is written. The namespaces take turns, so
that thousands of changes in one of them do not delay the statuses of the others. A write carries the resourceVersion
that was read; after a conflict the object is read again. A status is never written for another generation than the one
it was made from, nor for another object of the same name; a status made from the newer generation will follow.

Only the leader writes. A new leader checks every object and writes the statuses that differ.
"""

import logging
import random
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, NoReturn

import trio

from fastroute.apiserver.bucket import Bucket
from fastroute.apiserver.client import ApiError
from fastroute.apiserver.kinds import BY_KIND, member
from fastroute.apiserver.objects import Held
from fastroute.difference import changed_keys
from fastroute.fairness import FairQueue
from fastroute.graph.node import Graph
from fastroute.graph.orphan import orphans
from fastroute.listed import listed
from fastroute.metrics import Metrics
from fastroute.resources.meta import Key
from fastroute.resources.route_kinds import ROUTES
from fastroute.resources.status_patch import StatusPatch
from fastroute.status import ObjectId, Statuses
from fastroute.writing import retraction
from fastroute.writing.contest import PAUSE, Claim, Contest, claim_of, with_claim
from fastroute.writing.merge import Change, Ours, has_ours, merge, without_ours
from fastroute.writing.pen import Pen
from fastroute.writing.present import Objects, Present
from fastroute.writing.room import left_out

WRITERS = 12  # concurrent requests
RATE, BURST = 500.0, 400.0  # writes of all objects: per second, and at once
BETWEEN = 0.25  # s between two writes of one object, so that a Gateway's route count is not written for each route
LONGEST_PAUSE = 15.0  # s between attempts while the API server does not accept writes
FORBIDDEN = 60.0  # s until a forbidden write is tried again
YOUNG_FORBIDDEN = 2.0  # s, the same, in the first SETTLING seconds
SETTLING = 20.0  # s; an API server that has just started forbids everything until it has loaded its RBAC roles
TOO_LARGE = ("request is too large", "message larger than max")  # messages of etcd and of its client
WITH_PARENTS = (
    *ROUTES,
    "BackendTLSPolicy",
    "XTelemetryPolicy",
)  # kinds whose status contains entries of several controllers

_log = logging.getLogger(__name__)


class Write(NamedTuple):
    """A write of one object's status, and the state that it is based on."""

    id: ObjectId
    path: str
    held: Held
    before: dict[str, Any]  # the present status
    status: dict[str, Any]
    patch: StatusPatch | None = None  # what it was made from; the wanted status may change while it is sent
    retracts: bool = False  # it withdraws the status of an object that is no longer served

    @property
    def api_version(self) -> str:
        """As in the path: /apis/GROUP/VERSION/..."""
        return "/".join(self.path.split("/")[2:4])

    @property
    def body(self) -> dict[str, Any]:
        """For PUT of the subresource, which ignores metadata and spec."""
        kind, key = self.id
        return {
            "apiVersion": self.api_version,
            "kind": kind,
            "metadata": {
                "name": key.name,
                **({"namespace": key.namespace} if key.namespace else {}),
                "resourceVersion": self.held.resource_version,
                "uid": self.held.uid,
            },
            "status": self.status,
        }


class Rest(NamedTuple):
    """How long to leave an object alone, and whether to check it afterwards in any case."""

    seconds: float
    again: bool


NONE = Rest(0.0, again=False)
AGAIN = Rest(0.0, again=True)


class StatusWriter:
    """`written` is called after each successful write."""

    def __init__(
        self, pen: Pen, objects: Objects, ours: Ours, metrics: Metrics, written: Callable[[Write], None]
    ) -> None:
        self.claim: Callable[[], Claim | None] = lambda: None  # differs from that of other writers of this name
        self._contest = Contest(ours.controller_name)
        self._yields = False  # another installation writes
        self._yielded = trio.Event()
        self._pen, self._objects, self._ours, self._written = pen, objects, ours, written
        self._present = Present(pen, objects, ours.controller_name)
        self._metrics = metrics
        self._wanted: Mapping[ObjectId, StatusPatch] | None = None  # None: nothing is known yet
        self._graph: Graph | None = None  # the graph that `_wanted` was made from
        self._left: dict[ObjectId, StatusPatch | None] = {}  # no longer served: the status that was wanted last, if any
        self._leads = False
        self._queue = FairQueue[ObjectId, str](_namespace)  # with the time since when each waits
        self._resting: dict[ObjectId, bool] = {}  # written recently: whether to check it again afterwards
        self._busy: set[ObjectId] = set()
        self._news = trio.Event()
        self._bucket = Bucket(RATE, BURST)
        self._failures = 0  # consecutive failures
        self._not_before = 0.0
        self._forbidden: dict[str, float] = {}  # kinds, and since when
        self._crowded: dict[ObjectId, str] = {}  # what had no room in a status, as it was logged
        metrics.status_queue_length.set_function(lambda: len(self._queue))
        metrics.status_queue_oldest.set_function(self._oldest)

    def post(self, statuses: Statuses) -> None:
        """Sets the wanted status of every object that is served."""
        before, self._wanted, self._graph = self._wanted, statuses.patches, statuses.graph
        changed = sorted(changed_keys(before, self._wanted)) if before is not None else []
        for id_ in changed:
            if id_ in self._wanted:
                self._left.pop(id_, None)
            elif before is not None and id_[0] in retraction.KINDS:
                self._left[id_] = before[id_]
        if not self._writes:
            return
        if before is None:
            self._look_at_all()
        for id_ in changed:
            self._look_at(id_)

    def lead(self, leads: bool) -> None:
        self._leads = leads
        self._metrics.status_leader.set(leads)
        if self._writes:
            self._look_at_all()
        else:
            self._queue.clear()

    def restated(self, kind: str, key: Key) -> None:
        """The status of an object was written, or the object was created: checks that our part is as wanted."""
        id_ = (kind, key)
        if self._present.is_from_us(id_) or not self._writes or self._wanted is None:
            return
        if id_ in self._wanted or kind in WITH_PARENTS:
            self._look_at(id_)

    async def run(self) -> NoReturn:
        """Writes, until cancelled."""
        async with trio.open_nursery() as nursery:
            for _ in range(WRITERS):
                nursery.start_soon(self._work, nursery)
            nursery.start_soon(self._try_again)
            await trio.sleep_forever()
        raise AssertionError("unreachable")

    @property
    def _writes(self) -> bool:
        return self._leads and not self._yields

    # --- The queue

    def _look_at_all(self) -> None:
        if self._graph is not None:
            self._left = {**dict.fromkeys(orphans(self._graph)), **self._left}
        for id_ in (*(self._wanted or ()), *self._stale(), *self._left):
            self._look_at(id_)

    def _stale(self) -> Iterator[ObjectId]:
        """Routes that still contain our entries, but are no longer served."""
        if self._wanted is None:
            return
        name = self._ours.controller_name
        for kind in WITH_PARENTS:
            for key, held in self._objects.all_held(kind).items():
                if (kind, key) not in self._wanted and held.names(name):
                    yield (kind, key)

    def _look_at(self, id_: ObjectId) -> None:
        if id_ in self._resting:
            self._resting[id_] = True
        else:
            self._queue.add(id_, trio.current_time())
            self._news.set()

    async def _next(self) -> ObjectId:
        while True:
            if (pause := self._not_before - trio.current_time()) > 0:
                await trio.sleep(pause)
                continue
            id_ = self._queue.take(lambda each: each not in self._busy)
            if id_ is not None:
                return id_
            if self._news.is_set():  # otherwise other tasks wait for the same event
                self._news = trio.Event()
            await self._news.wait()

    async def _rest(self, id_: ObjectId, seconds: float) -> None:
        await trio.sleep(seconds)
        if self._resting.pop(id_) and self._writes:
            self._look_at(id_)

    def _oldest(self) -> float:
        """The seconds for which the first object in the queue has waited."""
        oldest = self._queue.oldest()
        return 0.0 if oldest is None else trio.current_time() - oldest

    # --- One object

    async def _work(self, nursery: trio.Nursery) -> NoReturn:
        while True:
            id_ = await self._next()
            self._busy.add(id_)
            rest = NONE
            try:
                rest = await self._settle(id_)
            except Exception:
                _log.exception("the status of %s %s cannot be updated because of a bug in fastroute", *id_)
            self._busy.discard(id_)
            if rest.seconds:
                asked = self._queue.discard(id_)
                self._resting[id_] = asked or rest.again
                nursery.start_soon(self._rest, id_, rest.seconds)
            elif rest.again:
                self._look_at(id_)
            self._news.set()  # for objects that stayed in the queue because they were busy

    async def _settle(self, id_: ObjectId) -> Rest:
        """Writes the object's status if it differs."""
        try:
            held = await self._read(id_)
            write = self._plan(id_, held)
            if write is not None and (wait := self._bucket.reserve(trio.current_time())):
                await trio.sleep(wait)
                write = self._plan(id_, await self._read(id_, held))
        except ApiError as error:
            self._pause(error)
            return AGAIN
        if write is None or not self._writes:
            await trio.lowlevel.checkpoint()
            return NONE
        told = self._present.told(id_)
        try:
            answer = await self._pen.request("PUT", f"{write.path}/status", write.body)
        except ApiError as error:
            return await self._failed(write, error)
        self._done(write, answer, told)
        return Rest(BETWEEN, again=False)

    async def _read(self, id_: ObjectId, read: Held | None = None) -> Held | None:
        """The present state of an object, with its status if that may have to be changed. Raises ApiError."""
        held = self._present.current(id_)
        is_ours = id_ in self._left or id_ in (self._wanted or ()) or (held and held.names(self._ours.controller_name))
        return await self._present.whole(id_, read) if is_ours else held

    def _plan(self, id_: ObjectId, held: Held | None) -> Write | None:
        """The write for an object in this state. None: nothing needs to be written."""
        kind, key = id_
        version = self._objects.served.get(kind)
        if held is None or version is None or self._wanted is None:
            self._left.pop(id_, None)
            return None
        before, patch = held.status, self._wanted.get(id_)
        change = Change(key, self._ours, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        if patch is not None:
            if (patch.uid, patch.generation) != (held.uid, held.generation):
                return None
            status = merge(kind, before, patch.status, change)
            self._tell_left_out(id_, left_out(before, patch.status, status or before, self._ours.controller_name))
            if kind == "GatewayClass":
                status = self._settle_contest(held, status, change.now)
        elif id_ in self._left:
            status = retraction.retracted(kind, held, self._left[id_], change)
            if status is None:
                del self._left[id_]
        elif kind in WITH_PARENTS and has_ours(before, key, self._ours):
            status = without_ours(before, change)
        else:
            return None
        path = member(kind, version, key)
        return None if status is None else Write(id_, path, held, before, status, patch, id_ in self._left)

    def _tell_left_out(self, id_: ObjectId, lost: list[str]) -> None:
        """Logs once what has no room beside the entries of others."""
        what = listed(lost)
        if lost and what != self._crowded.get(id_):
            _log.warning("%s %s: entries of other controllers leave no room in its status for %s", *id_, what)
        self._crowded.pop(id_, None)
        if lost:
            self._crowded[id_] = what

    def _done(self, write: Write, answer: bytes, told: Held | None) -> None:
        if self._failures:
            _log.info("statuses are written again")
        self._failures = 0
        self._forbidden.pop(write.id[0], None)
        if write.retracts:  # only once: another controller may write its own status from now on
            self._left.pop(write.id, None)
        self._metrics.status_writes.inc()
        self._note_contest(write)
        self._present.remember(write.id, answer, told)
        self._written(write)

    # --- Other installations with our controllerName (contest.py)

    def _note_contest(self, write: Write) -> None:
        if write.patch is not None and self._contest.wrote(write.id, write.patch, trio.current_time()):
            self._metrics.status_contested.inc()
            for key in self._graph.classes if self._graph is not None else ():
                self._look_at(("GatewayClass", key))

    def _settle_contest(self, held: Held, status: dict[str, Any] | None, now: str) -> dict[str, Any] | None:
        """The status of a GatewayClass, with our claim while it is contested. An older claim stops the writer."""
        before, ours, at = held.status, self.claim(), trio.current_time()
        if self._contest.yields(claim_of(before), ours, at):
            self._yields = True
            self._queue.clear()
            self._yielded.set()
            return None
        wanted = ours if self._contest.claims(at) else None
        claimed = with_claim(before if status is None else status, wanted, held.generation, now)
        return None if claimed == before else claimed

    async def _try_again(self) -> NoReturn:
        """Resumes after PAUSE, because the other installation may have been removed."""
        while True:
            await self._yielded.wait()
            self._yielded = trio.Event()
            await trio.sleep(PAUSE)
            self._yields = False
            if self._leads:
                self._look_at_all()

    # --- Refusals

    async def _failed(self, write: Write, error: ApiError) -> Rest:
        kind, key = write.id
        if error.status == 404:  # the object or its CRD was deleted; the watch will report that
            return NONE
        if error.status == 409:
            self._metrics.status_conflicts.inc()
            return await self._read_again(write)
        if error.status == 403:
            return self._forbid(kind, error)
        is_too_large = any(words in error.message for words in TOO_LARGE)  # status 500, for this object only
        if is_too_large or (400 <= error.status < 500 and error.status != 429):
            _log.error("%s %s: the API server rejects its status: %s", kind, key, error)
            return Rest(BETWEEN, again=False)
        self._pause(error)
        return AGAIN

    def _forbid(self, kind: str, error: ApiError) -> Rest:
        """Logged once for a kind, until a write of that kind succeeds."""
        now = trio.current_time()
        if kind not in self._forbidden:
            self._forbidden[kind] = now
            _log.error("%s: allow update on %s/status", error, BY_KIND[kind].crd)
        return Rest(YOUNG_FORBIDDEN if now - self._forbidden[kind] < SETTLING else FORBIDDEN, again=True)

    async def _read_again(self, write: Write) -> Rest:
        """After a conflict: reads the object, unless the watch has sent a newer state."""
        current = self._present.current(write.id)
        if current is None or current.resource_version != write.held.resource_version:
            return AGAIN
        told = self._present.told(write.id)
        try:
            found = await self._present.read(write.id)
        except ApiError as error:
            self._pause(error)
            return AGAIN
        if found is None:
            return NONE
        self._present.remember(write.id, found, told)
        return AGAIN

    def _pause(self, error: ApiError) -> None:
        """Stops all writes for a time that doubles with each failure and is random for each replica. Failures of
        requests that were already in progress do not count again."""
        now = trio.current_time()
        self._failures += now >= self._not_before
        if self._failures == 1 and now >= self._not_before:
            _log.warning("statuses cannot be written, retrying: %s", error)
        longest = min(LONGEST_PAUSE, 0.25 * 2 ** min(self._failures, 10))
        pause = error.retry_after or random.uniform(longest / 2, longest)  # noqa: S311
        self._not_before = max(self._not_before, now + pause)


def _namespace(id_: ObjectId) -> str:
    return id_[1].namespace
