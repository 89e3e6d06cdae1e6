"""The loop of the control plane: wait for a change, build, compile, publish, write statuses; repeat.

It keeps only the last successful pass. A pass consists of pure stages; each stage gets its previous result, so that the
cost of a change depends on what the change affects. Changes that arrive during a pass are combined into the next one.
A pass takes a PORTION of them, in which the namespaces take turns (source/pending.py): bulk changes in one namespace do
not delay a change in another one. Only the first pass takes everything. A pass that fails is logged and repeated from
scratch; if that fails too, the previous configuration stays in service, and if single objects cause the failure,
everything else is served without their changes (source/quarantine.py).
"""

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple, Protocol

import msgspec
import trio

from fastroute.compiler.compile import NOTHING, Compiled, compile_snapshot
from fastroute.graph.audit import grant_changes
from fastroute.graph.build import NOTHING as NO_GRAPH
from fastroute.graph.build import build_graph, forgotten
from fastroute.graph.burden import burdens
from fastroute.graph.node import Graph
from fastroute.metrics import Metrics
from fastroute.reporting.gauges import show_objects
from fastroute.reporting.grantlog import log_grants
from fastroute.reporting.journal import Journal
from fastroute.reporting.problemlog import ProblemLog
from fastroute.resources.world import Resources
from fastroute.settings import GraphSettings
from fastroute.snapshot import Outcome, Snapshot
from fastroute.source.debts import Charge
from fastroute.source.quarantine import Quarantine
from fastroute.source.store import Portion, Store
from fastroute.status import Statuses, build_statuses

PORTION = 50  # units of work (source/pending.py) that a pass takes, about 5 ms

_log = logging.getLogger(__name__)


class Source(Protocol):
    """The source of Resources: `store` has the current objects, loaded before the loop starts, and their problems."""

    @property
    def store(self) -> Store: ...

    async def watch(self, changed: Callable[[float], None]) -> None:
        """Calls `changed(noticed)` after each change of the store; `noticed` is its time on trio's clock."""


class DataPlane(Protocol):
    @property
    def outcome(self) -> Outcome:
        """The current result of what was published."""

    @property
    def effort(self) -> float:
        """CPU seconds that the last publication cost."""

    async def watch(self, changed: Callable[[], None]) -> None:
        """Calls `changed` after each change of the outcome: a port became free, or a slow worker acknowledged."""

    async def publish(self, snapshot: Snapshot) -> Outcome:
        """Sends the changes to the workers; returns when every living worker has acknowledged or the wait timed out
        (`version` of the Outcome tells which)."""


class StatusWriter(Protocol):
    def post(self, statuses: Statuses) -> None:
        """Takes the statuses of all managed objects; writes those that changed, asynchronously."""


class Changes:
    """Changes since the last pass, combined into one."""

    def __init__(self) -> None:
        self._any = trio.Event()
        self._later = math.inf

    def note(self, noticed: float = 0.0) -> None:
        """Records a change. (The Store knows when it was noticed.)"""
        self._any.set()

    def note_at(self, time: float) -> None:
        """A further pass is needed at that time."""
        self._later = time

    async def wait(self) -> None:
        """Waits for a change and clears all recorded changes."""
        with trio.move_on_at(self._later):
            await self._any.wait()
        self._any, self._later = trio.Event(), math.inf


class Pass(NamedTuple):
    """The resources of a pass and the results of its stages."""

    resources: Resources
    graph: Graph
    compiled: Compiled
    outcome: Outcome | None = None
    statuses: Statuses | None = None


FIRST = Pass(Resources(), NO_GRAPH, NOTHING)  # before the first build


async def reconcile(
    source: Source,
    data_plane: DataPlane,
    writer: StatusWriter,
    settings: GraphSettings,
    metrics: Metrics,
    *,
    served: Callable[[Pass], None] = lambda last: None,
) -> None:
    """Serves the configuration of `source`; never returns. `served` gets each pass that succeeded."""
    changes, quarantine, last = Changes(), Quarantine(), FIRST
    problems, journal = ProblemLog(), Journal(settings.gateways)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(source.watch, changes.note)
        nursery.start_soon(data_plane.watch, changes.note)
        nursery.start_soon(journal.run)
        changes.note()  # whatever existed before the watch
        while True:
            await changes.wait()
            problems.show(source.store.reports.take_news())
            portion = next_portion(source.store, last)
            changes.note_at(source.store.next_portion(trio.current_time()))
            resources, world = quarantine.stand_in(portion.resources), served_world(settings, source.store)
            if resources is last.resources and last.graph.settings == world and data_plane.outcome == last.outcome:
                continue
            try:
                cost, began = Cost(), trio.current_time()
                with cost:
                    made = build(resources, world, last)
                outcome = await data_plane.publish(made.compiled.snapshot)
                observe(metrics, last, made, [trio.current_time() - since for since in portion.since.values()])
                report_grants(metrics, last, made)
                listeners = burdens(last.graph, made.graph)
                with cost:
                    last = show(made, outcome, writer)
                served(last)
                charge(source.store, portion, cost.seconds + data_plane.effort, began, listeners)
                journal.show(resources, made.graph, made.compiled.snapshot, outcome)
            except Exception:
                _log.exception("a change cannot be served; the previous configuration stays in service")
                good = rebased(last, world)
                if await quarantine.find(good.resources, resources, good, partial(attempt, world)):
                    changes.note()


def next_portion(store: Store, last: Pass) -> Portion:
    """What the next pass takes: at first everything."""
    return Portion(store.snapshot()) if last is FIRST else store.portion(PORTION, trio.current_time())


def charge(store: Store, portion: Portion, seconds: float, began: float, listeners: Mapping[str, int]) -> None:
    """Charges a pass to the namespaces of its changes. `seconds`: of CPU time; `listeners`: see `burdens`."""
    now = trio.current_time()
    store.charge(portion, Charge(seconds, max(seconds, now - began)), now, listeners)


class Cost:
    """The CPU time of the blocks that it is entered for."""

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        self.seconds = 0.0
        self._clock = clock

    def __enter__(self) -> None:
        self.seconds -= self._clock()

    def __exit__(self, *exception: object) -> None:
        self.seconds += self._clock()


def served_world(settings: GraphSettings, store: Store) -> GraphSettings:
    """The settings with what the API server supports of the Gateway API."""
    if store.bundle_version is None and not store.missing:
        return settings
    return msgspec.structs.replace(settings, bundle_version=store.bundle_version, missing=store.missing)


def build(resources: Resources, settings: GraphSettings, last: Pass) -> Pass:
    """Runs the pure stages on their last results; if that fails, from scratch except for the assigned addresses."""
    last = rebased(last, settings)
    try:
        return _built(resources, settings, last)
    except Exception:
        if last is FIRST:
            raise
        _log.exception("the incremental build failed; building from scratch")
        return _built(resources, settings, FIRST._replace(graph=forgotten(last.graph), statuses=last.statuses))


def rebased(last: Pass, settings: GraphSettings) -> Pass:
    """The part of the last pass that is still valid with these settings."""
    if last is FIRST or last.graph.settings == settings:
        return last
    return FIRST._replace(graph=forgotten(last.graph, settings), statuses=last.statuses)


def _built(resources: Resources, settings: GraphSettings, last: Pass) -> Pass:
    graph = build_graph(resources, settings, last.graph)
    compiled = compile_snapshot(graph, settings.addressing.port_offset, last.compiled)
    return last._replace(resources=resources, graph=graph, compiled=compiled)


def attempt(settings: GraphSettings, resources: Resources, last: Pass) -> Pass:
    """Runs the pure stages, including statuses, and raises what they raise. Nothing is published or logged."""
    made = _built(resources, settings, last)
    return made._replace(statuses=build_statuses(made.graph, made.outcome or Outcome(version=0), made.statuses))


def show(made: Pass, outcome: Outcome, writer: StatusWriter) -> Pass:
    """Builds and posts the statuses after the data plane has answered: only then is anything Programmed. While a worker
    is late, nothing that changed or was not programmed before is reported as Programmed."""
    statuses = build_statuses(made.graph, outcome, made.statuses)
    writer.post(statuses)
    return made._replace(outcome=outcome, statuses=statuses)


def report_grants(metrics: Metrics, last: Pass, made: Pass) -> None:
    """Counts and logs the ReferenceGrants that changed since the first pass."""
    if last is not FIRST:
        changes = grant_changes(last.graph, made.graph)
        metrics.grant_changes.inc(len(changes))
        log_grants(changes)


# --- Metrics


def observe(metrics: Metrics, last: Pass, made: Pass, durations: Iterable[float]) -> None:
    """`durations`: for each namespace with changes in this pass, the seconds from the first of them until all workers
    serve it."""
    before, now = last.compiled.snapshot, made.compiled.snapshot
    for seconds in durations if last is not FIRST and now is not before else ():
        metrics.propagation.observe(seconds)
        if now.endpoints is not before.endpoints:
            metrics.endpoint_lag.observe(seconds)
    show_objects(metrics, (last.resources, last.graph, before), (made.resources, made.graph, now))
