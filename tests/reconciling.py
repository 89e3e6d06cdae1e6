"""A running reconcile loop, with a source and a data plane that the test controls."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing
from applying import apply
from worlds import world

from fastroute import reconcile as loop
from fastroute.metrics import Metrics
from fastroute.publication import Downward, difference, publication
from fastroute.reporting.statuslog import StatusLog
from fastroute.resources.meta import Key
from fastroute.resources.problem import ManifestProblem
from fastroute.settings import GraphSettings
from fastroute.snapshot import Bound, Outcome, Snapshot
from fastroute.source.store import FIELDS, Apply, Delete, Store
from fastroute.wire import Decoder, encode


class Shelf:
    """A source with the objects that the test adds."""

    def __init__(self, *manifests: str) -> None:
        self.store = Store()
        self._changed: Callable[[], None] = lambda: None
        self.put(*manifests)

    def put(self, *manifests: str) -> None:
        resources = world(*manifests)
        objects = [each for field in FIELDS.values() for each in getattr(resources, field).values()]
        self.store.apply([Apply(each) for each in objects])
        self._changed()

    def take(self, kind: type[Any], namespace: str, name: str) -> None:
        self.store.apply([Delete(kind, Key(namespace, name))])
        self._changed()

    def report(self, problems: list[ManifestProblem]) -> None:
        self.store.report(problems)
        self._changed()

    async def watch(self, changed: Callable[[float], None]) -> None:
        self._changed = lambda: changed(trio.current_time())
        await trio.sleep_forever()


class Workers:
    """A data plane that applies the messages it decodes, and records them. `gate` delays acknowledgements; with `late`,
    they do not arrive in time."""

    def __init__(self) -> None:
        self.snapshots: list[Snapshot] = []
        self.messages: list[list[Downward]] = []
        self.outcome = Outcome(version=0)
        self.gate: trio.Event | None = None
        self._changed: Callable[[], None] = lambda: None
        self.late = False
        self.effort = 0.0  # seconds
        self.failure: Exception | None = None

    @property
    def serving(self) -> Snapshot:
        return self.snapshots[-1] if self.snapshots else Snapshot()

    async def publish(self, snapshot: Snapshot) -> Outcome:
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        version = len(self.snapshots) + 1
        changes = difference(self.serving, snapshot)
        if self.snapshots and not changes:
            return self.outcome
        decoder = Decoder[Downward](Downward)
        decoder.feed(b"".join(map(encode, publication(version, version - 1, changes))))
        self.messages.append(list(decoder))
        self.snapshots.append(apply(self.serving, changes))
        assert self.serving == snapshot
        if self.gate is not None:
            await self.gate.wait()
        await trio.lowlevel.checkpoint()
        listeners = {id: Bound() for id in snapshot.listeners}
        self.report(Outcome(version=0 if self.late else version, target=version, listeners=listeners))
        return self.outcome

    def report(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self._changed()

    async def watch(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        await trio.sleep_forever()


class Running:
    """A running loop, with its source, data plane, metrics and status log."""

    def __init__(self, *manifests: str) -> None:
        self.source = Shelf(*manifests)
        self.workers = Workers()
        self.metrics = Metrics()
        self.log = StatusLog(self.metrics.status_writes.inc)

    async def settle(self, passes: int) -> None:
        """Waits until the loop is idle; `passes` is the expected number of snapshots published so far."""
        await trio.testing.wait_all_tasks_blocked()
        assert len(self.workers.snapshots) == passes

    def value(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"fastroute_{name}", labels)

    def condition(self, kind: str, key: Key, type_: str) -> tuple[str, str]:
        status = self.log.patches[kind, key].status
        holder = status["parents"][0] if "parents" in status else status
        [condition] = [each for each in holder["conditions"] if each["type"] == type_]
        return condition["status"], condition["reason"]

    def shares(self) -> list[int | None]:
        [rule] = self.workers.serving.rules.values()
        return [backend.status for backend in rule.backends]


@asynccontextmanager
async def running(*manifests: str, settings: GraphSettings | None = None) -> AsyncIterator[Running]:
    one = Running(*manifests)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(loop.reconcile, one.source, one.workers, one.log, settings or GraphSettings(), one.metrics)
        await one.settle(1)
        yield one
        nursery.cancel_scope.cancel()
