"""The Supervisor keeps worker processes running and brings each of them to the published snapshot.

One task per slot restarts its worker. Within it one task sends to the worker and one receives from it. The sender
compares the state of the worker with the target (snapshot and sockets) and sends the difference, one publication at a
time. So a slow or stuck worker delays no other worker, however many publications it has missed, and a new worker is
simply one with an empty state.

    publish -> target, sockets -> feeders -> Ack -> Outcome
"""

import errno
import logging
import resource
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import trio

from fastroute.descriptors import Shortages, explained, is_shortage, sockets_afforded
from fastroute.ext.message.reason import REASONS
from fastroute.metrics import Metrics
from fastroute.place import Place
from fastroute.publication import (
    Ack,
    AnnounceDrain,
    Confined,
    Downward,
    Drain,
    Drained,
    EndpointFailures,
    Listen,
    Lost,
    Ping,
    Pong,
    Refused,
    RemoveListener,
    RemoveRule,
    TicketKeys,
    Trouble,
    Unlisten,
    WriteLog,
    difference,
)
from fastroute.settings import ServeSettings
from fastroute.snapshot import Outcome, Snapshot
from fastroute.supervisor.confinement import Confinement
from fastroute.supervisor.history import History
from fastroute.supervisor.lending import lend
from fastroute.supervisor.memory import counter_memory
from fastroute.supervisor.outlets import Outlets
from fastroute.supervisor.parcel import Parcel, Target, parcel, start_message
from fastroute.supervisor.patience import replaced_when_endless
from fastroute.supervisor.process import Owed, Worker, worker_process
from fastroute.supervisor.sockets import ListeningSockets, Results
from fastroute.supervisor.standing import avoided_by, install_cpu, standing_of
from fastroute.supervisor.tally import Tally, WorkerSample
from fastroute.supervisor.tickets import ROTATION, Tickets
from fastroute.view.state import Standing
from fastroute.wire import WireError

PATIENCE = 1.0  # seconds that `publish` waits for a worker; after that the worker is late and not waited for
FIRST_PATIENCE = 15.0  # the same for the first publication, while workers start
HEARTBEAT = 10.0  # seconds without a message after which a worker is pinged
STUCK = 30.0  # seconds without a response after which a worker is replaced
RETRY = 0.5  # seconds between attempts to bind a place that is in use
STEADY = 10.0  # seconds; a worker's death after a longer life is treated as the first one again
BACK_OFF = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)  # seconds before the next start, by consecutive deaths
BEHIND = 0.2  # seconds until retired sockets are closed in all processes
SLACK = 1.0  # seconds that workers may exceed the drain timeout, which they enforce themselves
SETTLE = 0.02  # seconds for TCP handshakes in progress when sockets are closed to new connections

_log = logging.getLogger(__name__)


class Supervisor:
    """Workers, their sockets and their counters. They exist while `run` runs."""

    def __init__(self, settings: ServeSettings, metrics: Metrics, workers: int) -> None:
        self._settings = settings
        self._metrics = metrics
        self._slots = workers
        self._shortages = Shortages(lambda use, times=1: metrics.shortages.labels(use).inc(times))
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._sockets = ListeningSockets(workers, sockets_afforded(files), self._shortages)
        self._results = Results()
        self._workers: dict[int, Worker] = {}  # the running processes, by slot
        self._served: set[int] = set()  # slots whose worker has acknowledged at least once
        self._lent: dict[int, int] = {}
        self._target: Target | None = None
        self._parcels: dict[int, Parcel] = {}  # publications of the target, by the version they start from
        self._changed = trio.Event()  # set and replaced whenever any state here changes
        self._announced = self._ending = False
        self.effort = 0.0  # CPU seconds for the last publication: of this process, and of the slowest worker
        self._tickets = Tickets()
        self._memory = [counter_memory(settings.metrics_series) for _ in range(workers)]
        self._counters = [memory.counters for memory in self._memory]
        self._tally = Tally(self._counters, REASONS, self._samples, settings.metrics_series, metrics.exemplars)
        self._book = self._tally.book
        self.history = History(self._counters, self._book)
        self._confinement = Confinement(metrics.worker_confinement)
        self._outlets = Outlets(settings, metrics)
        metrics.registry.register(self._tally)
        self.failures = self._tally.failures
        metrics.endpoints.avoided = lambda: avoided_by(tuple(self._workers.values()))

    # --- public state

    @property
    def ready(self) -> bool:
        """Whether every slot has served a complete configuration, at least one serves now, and no drain has started."""
        return len(self._served) == self._slots and bool(self._serving()) and not self._announced

    def standing(self) -> tuple[Standing, ...]:
        """The running workers. Any thread may call this."""
        return tuple(standing_of(one, self._counters[one.slot]) for _, one in sorted(self._workers.items()))

    @property
    def outcome(self) -> Outcome:
        """The outcome of the target so far."""
        return Outcome(
            version=min((worker.version for worker in self._serving()), default=0),
            target=self._target.version if self._target else 0,
            listeners=self._results.of(self._target.snapshot.listeners if self._target else {}, self._sockets.failed),
        )

    async def watch(self, changed: Callable[[], None]) -> None:
        """Calls `changed` whenever the outcome changes: a port became free, a worker caught up."""
        seen = self.outcome
        while True:
            await self._changed.wait()
            before, seen = seen, self.outcome
            if seen != before:
                changed()

    async def publish(self, snapshot: Snapshot) -> Outcome:
        """Brings every worker to `snapshot`, waits for those that are not late, and returns the outcome."""
        began, cpu, self.effort = trio.current_time(), time.thread_time(), 0.0
        before = self._target.snapshot if self._target else None
        self._outlets.trace(snapshot.tracing)
        changes = difference(before, snapshot, self._book.assign, self._book.assign_listener)
        if self._ending or (self._target is not None and not changes):
            return self.outcome
        for change in changes:
            if isinstance(change, RemoveRule):
                self._book.release(change.id)
            elif isinstance(change, RemoveListener):
                self._book.release_listener(change.id)
        base = self._target.version if self._target else 0
        target = Target(base + 1, snapshot)
        self._parcels = {base: parcel(base, target, changes)}
        self._target = target
        self.failures.serve(snapshot.endpoints)
        self._sockets.follow_listeners(before.listeners if before else {}, snapshot.listeners)
        self._announce_change()
        self.effort, installed = time.thread_time() - cpu, install_cpu(self._counters)
        if await self._wait_acknowledged(target.version):
            spent = max(now - then for now, then in zip(install_cpu(self._counters), installed, strict=True))
            self.effort += min(spent, PATIENCE)  # a worker that is taken over may write any number
            self._metrics.config_apply.observe(trio.current_time() - began)
            self._parcels.clear()
        if self._sockets.close_retired():
            await self._bind_behind()
        return self.outcome

    async def _bind_behind(self) -> None:
        """Retries failed places: a retired socket may have blocked one, and a worker closes its copy after its
        acknowledgement."""
        with trio.move_on_after(BEHIND):
            while self._sockets.failed and not self._sockets.try_again():  # noqa: ASYNC110 (no event reports it)
                await trio.sleep(BEHIND / 20)
        self._announce_change()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keeps the workers running until they are drained. Cancellation kills them."""
        try:
            async with trio.open_nursery() as retrying:
                retrying.start_soon(self._try_binding)
                retrying.start_soon(self._rotate_tickets)
                async with trio.open_nursery() as nursery:
                    for slot in range(self._slots):
                        nursery.start_soon(self._keep, slot)
                    task_status.started()
                retrying.cancel_scope.cancel()
        finally:
            self._sockets.close()
            for memory in self._memory:
                memory.close()
            self._outlets.close()

    async def drain(self) -> None:
        """Announces the drain for `drain_delay`, then lets every worker finish the requests in flight; then `run`
        returns."""
        self._announced = True
        async with trio.open_nursery() as telling:
            telling.start_soon(self._tell_all, AnnounceDrain())
            await trio.sleep(self._settings.drain_delay)
            self._ending = True
            self._sockets.close_to_new()
            await trio.sleep(SETTLE)
            self._sockets.close()
            telling.start_soon(self._tell_all, Drain())
            with trio.move_on_after(self._settings.drain_timeout + SLACK):
                while self._workers:
                    await self._changed.wait()
            for worker in self._workers.values():
                worker.kill()
            telling.cancel_scope.cancel()

    async def reopen_log(self) -> None:
        """Opens the access log again; every worker writes to the new file."""
        log = self._outlets.log
        if log is None:
            return
        if trouble := log.reopen():
            _log.warning(trouble)
        else:
            await self._tell_all(WriteLog(), log.fd)

    # --- one worker

    async def _keep(self, slot: int) -> None:
        deaths = 0
        while not self._ending:
            began = trio.current_time()
            ending = await self._one_life(slot)
            if self._ending:
                break
            deaths = 1 if trio.current_time() - began >= STEADY else deaths + 1
            pause = BACK_OFF[min(deaths, len(BACK_OFF)) - 1]
            _log.error("worker %d ended: %s; replaced in %g s", slot, ending, pause)
            self._metrics.worker_restarts.inc()
            await trio.sleep(pause)

    async def _one_life(self, slot: int) -> str:
        """Starts a worker and serves it until it ends; returns a description of how it ended."""
        try:
            async with worker_process(slot, self._shortages) as worker:
                await self._attend(worker)
        except OSError as error:
            if is_shortage(error):
                self._metrics.shortages.labels("worker").inc()
            return f"it cannot be started: {explained(error)}"
        return f"process {worker.pid}, {worker.ending}"

    async def _attend(self, worker: Worker) -> None:
        """Exchanges messages with one worker until the stream ends."""
        if self._ending:
            worker.kill()
            return
        self._workers[worker.slot] = worker
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._feed, worker)
                await self._hear(worker)
                nursery.cancel_scope.cancel()
        finally:
            del self._workers[worker.slot]
            self._counters[worker.slot].zero_gauges()
            self._announce_change()

    async def _hear(self, worker: Worker) -> None:
        try:
            async for message in worker.messages():
                worker.patience.deadline = trio.current_time() + STUCK
                match message:
                    case Ack():
                        worker.acknowledge()
                        self._served.add(worker.slot)
                        self._announce_change()
                    case Refused():
                        _log.error("worker %d refused version %d: %s", worker.slot, message.version, message.reason)
                        worker.refuse()
                        self._announce_change()
                    case Pong():
                        worker.pinged = False
                        self._announce_change()
                    case Confined():
                        self._confinement.report(message.missing)
                    case Lost():
                        self._lose(worker, (message.place, message.slot))
                    case EndpointFailures():
                        self.failures.note(message.endpoints)
                    case Trouble():
                        _log.warning("worker %d: %s", worker.slot, message.text)
                    case Drained():
                        return
        except WireError as error:
            _log.error("worker %d sent an invalid message: %s", worker.slot, error)

    async def _feed(self, worker: Worker) -> None:
        worker.greeted = True
        descriptors = [self._memory[worker.slot].fd, *self._outlets.descriptors]
        await worker.send(start_message(self._settings, self._counters[0]), *descriptors)
        await worker.send(TicketKeys(self._tickets.keys))
        if self._announced:
            await worker.send(AnnounceDrain())
        while True:
            changed, target = self._changed, self._target
            if target is None or self._ending:
                await changed.wait()
            elif target.version not in (worker.version, worker.refused):
                await self._bring(worker, target)
            elif not await self._bring_changed_sockets(worker):
                with trio.move_on_at(worker.resend_at if worker.lost else trio.current_time() + HEARTBEAT) as silence:
                    await changed.wait()
                if silence.cancelled_caught and worker.lost:
                    worker.lost.clear()
                elif silence.cancelled_caught:
                    await self._check(worker)

    async def _bring(self, worker: Worker, target: Target) -> None:
        """Sends the difference between the worker and the target, and waits for the acknowledgement."""
        base = worker.version if worker.held is not None else 0
        opening, closing = self._parcel(base, worker.held, target)
        worker.owed = Owed(target.version, base, target.snapshot)
        endless = replaced_when_endless(worker, target.version, self._all_serve, lambda: self._changed)
        async with self._replaced_when_stuck(worker), endless:
            await worker.send_encoded(opening)
            await self._bring_sockets(worker)
            await worker.send_encoded(closing)
            while worker.owed is not None:
                await self._changed.wait()

    async def _check(self, worker: Worker) -> None:
        """Pings the worker."""
        worker.pinged = True
        async with self._replaced_when_stuck(worker):
            await worker.send(Ping())
            while worker.pinged:
                await self._changed.wait()

    @asynccontextmanager
    async def _replaced_when_stuck(self, worker: Worker) -> AsyncIterator[None]:
        """A context for code that sends a message and waits for the response. Kills the worker if it sends nothing for
        too long. During a long installation, the worker sends a Pong from time to time."""
        with trio.move_on_after(STUCK) as worker.patience:
            yield
        if worker.patience.cancelled_caught and not self._ending:
            _log.error("worker %d has not responded for %g s: replacing it", worker.slot, STUCK)
            worker.kill()

    def _parcel(self, base: int, held: Snapshot | None, target: Target) -> Parcel:
        """The publication from `base` to the target, encoded once for all workers with the same state."""
        if base not in self._parcels:
            changes = difference(held, target.snapshot, self._book.slots, self._book.listener_slot)
            self._parcels[base] = parcel(base, target, changes)
        return self._parcels[base]

    async def _bring_changed_sockets(self, worker: Worker) -> bool:
        async with self._replaced_when_stuck(worker):
            return await self._bring_sockets(worker)
        return True

    async def _bring_sockets(self, worker: Worker) -> bool:
        """Sends the sockets to accept from and those to close; returns whether there were any."""
        wanted = {key: one for key, one in self._sockets_of(worker.slot) if key not in worker.lost}
        held, worker.sockets = worker.sockets, wanted
        gone = [key for key, one in held.items() if wanted.get(key) is not one]
        new = [(key, one) for key, one in wanted.items() if held.get(key) is not one]
        for place, slot in gone:
            await worker.send(Unlisten(place, slot))
        for (place, slot), one in new:  # the socket may be closed during a send, and its number reused by another file
            try:
                copy = one.dup()
            except OSError as error:
                if error.errno != errno.EBADF:  # EBADF: it is closed already, and another change follows
                    self._lose(worker, (place, slot), error)
                continue
            with copy:
                await worker.send(Listen(place, slot), copy.fileno())
        return bool(gone or new)

    def _lose(self, worker: Worker, key: tuple[Place, int], error: OSError | None = None) -> None:
        """The worker does not have this socket, because no descriptor was free in the worker or, with `error`, in this
        process. `_feed` sends the socket again later."""
        if not worker.lost:
            worker.resend_at = trio.current_time() + RETRY
        worker.lost.add(key)
        worker.sockets = {other: one for other, one in worker.sockets.items() if other != key}
        error = error or OSError(errno.EMFILE, "in the worker")
        self._shortages.note("listen", f"worker {worker.slot} cannot accept connections at {key[0]}", error)
        self._announce_change()

    def _sockets_of(self, by: int) -> Iterator[tuple[tuple[Place, int], socket.socket]]:
        """The sockets that the worker of slot `by` accepts from: its own, and those lent to it."""
        slots = [by, *(slot for slot, borrower in self._lent.items() if borrower == by)]
        for place, sockets in self._sockets.bound.items():
            for slot in slots:
                yield (place, slot), sockets[slot]

    # --- all of them

    def _serving(self) -> list[Worker]:
        # A copy, because the thread that answers /readyz calls this too.
        return [worker for worker in tuple(self._workers.values()) if worker.serving]

    def _all_serve(self) -> bool:
        return len(self._serving()) == self._slots and not self._ending

    def _announce_change(self) -> None:
        """Wakes all tasks that wait for a state change."""
        self._lent = lend(self._slots, {worker.slot for worker in self._serving()}, self._lent)
        self._metrics.config_version.set(self.outcome.version)
        self._changed.set()
        self._changed = trio.Event()

    async def _wait_acknowledged(self, version: int) -> bool:
        """Waits until every worker that is not late serves `version`, at least one; False if some did not."""
        with trio.move_on_after(PATIENCE if self._served else FIRST_PATIENCE):
            while not self._acknowledged(version):
                await self._changed.wait()
            return True
        for worker in self._in_time():
            if worker.version != version:
                worker.late = True
                _log.warning("worker %d still serves version %d, not %d", worker.slot, worker.version, version)
        return False

    def _acknowledged(self, version: int) -> bool:
        return bool(self._serving()) and all(version in (one.version, one.refused) for one in self._in_time())

    def _in_time(self) -> list[Worker]:
        """The workers to wait for: neither late ones, nor replacements that are still starting."""
        serving_or_first = [one for one in self._workers.values() if one.serving or one.slot not in self._served]
        return [one for one in serving_or_first if not one.late]

    async def _tell_all(self, message: Downward, *descriptors: int) -> None:
        async with trio.open_nursery() as nursery:
            for worker in self._workers.values():
                if worker.greeted:  # nothing is sent before Start
                    nursery.start_soon(worker.send, message, *descriptors)

    async def _try_binding(self) -> None:
        """Retries ports that were in use, because they may become free."""
        while True:
            await trio.sleep(RETRY)
            if self._sockets.failed and not self._ending and self._sockets.try_again():
                self._announce_change()

    async def _rotate_tickets(self) -> None:
        while True:
            await trio.sleep(ROTATION)
            self._tickets.rotate()
            await self._tell_all(TicketKeys(self._tickets.keys))

    def _samples(self) -> Iterator[WorkerSample]:
        for slot, worker in sorted(self._workers.items()):
            yield WorkerSample(slot, worker.version, *worker.usage())
