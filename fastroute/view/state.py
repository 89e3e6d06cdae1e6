"""State: the input of every view. Frozen values, and copies of counters and states of workers, made when it is asked
for: any thread may read them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from fastroute.graph.node import Graph
from fastroute.place import Transport
from fastroute.resources.status_patch import StatusPatch
from fastroute.snapshot import Endpoint, Outcome, Snapshot
from fastroute.status.build import ObjectId
from fastroute.view.traffic import NO_TRAFFIC, Traffic


class Standing(NamedTuple):
    """A worker process."""

    slot: int
    pid: int
    version: int  # of the configuration that it serves; 0: none yet
    state: str  # "starting", "serving", "late", "ending"
    cpu: float  # seconds
    memory: int  # bytes
    worst_turn: float  # seconds
    worst_install_step: float  # seconds
    clients: int  # open connections of clients
    backends: int  # open connections to backends


class FailedTries(NamedTuple):
    """Tries that failed because of one endpoint."""

    total: int  # since it was first noted
    recent: int  # in the last minute
    last: float  # seconds since the epoch
    reasons: Mapping[str, int]  # all of them, by reason


class State(NamedTuple):
    """What the gateway serves at one time."""

    graph: Graph
    snapshot: Snapshot
    outcome: Outcome
    statuses: Mapping[ObjectId, StatusPatch]
    now: float = 0.0  # seconds since the epoch
    ready: bool = False  # as /readyz
    slots: int = 0  # how many workers there should be
    workers: tuple[Standing, ...] = ()
    traffic: Traffic = NO_TRAFFIC
    failed: Mapping[tuple[str, Endpoint], FailedTries] = MappingProxyType({})  # by backend in the graph, and endpoint
    avoided: Mapping[Transport, frozenset[Endpoint]] = MappingProxyType({})  # by at least one worker
