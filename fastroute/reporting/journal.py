"""Journal: the logs about what is served: warnings, expiring certificates, listeners."""

from collections.abc import Iterable

import trio

from fastroute.graph.node import Graph
from fastroute.reporting.expirylog import ExpiryLog
from fastroute.reporting.servinglog import ServingLog
from fastroute.reporting.warninglog import WarningLog
from fastroute.resources.world import Resources
from fastroute.snapshot import Outcome, Snapshot


class Journal:
    """`gateways`: the values of --gateway, as "ns/name"."""

    def __init__(self, gateways: Iterable[str]) -> None:
        self._warnings, self._expiry, self._serving = WarningLog(gateways), ExpiryLog(), ServingLog()

    def show(self, resources: Resources, graph: Graph, snapshot: Snapshot, outcome: Outcome) -> None:
        """Called with what is served from now on."""
        self._warnings.show(resources, graph)
        self._expiry.take(graph.certificates)
        self._serving.show(resources, graph, snapshot.listeners, outcome)

    async def run(self) -> None:
        """Logs what is due between passes, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._expiry.run)
            nursery.start_soon(self._warnings.run)
