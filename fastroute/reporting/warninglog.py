"""WarningLog: logs warnings that no status can report: each once, and again when the cause is fixed.

They are: a Gateway that --gateway names but that does not exist or has a GatewayClass of another controller; and a
policy that is not supported and targets an object that is served. (The other warnings of `check` concern likely
mistakes in manifests and are not repeated here.)

There may be thousands of such policies, and a change of any object may concern them. So they are searched beside the
passes, in lots, and at most a tenth of the time.
"""

import logging
from collections.abc import Iterable
from itertools import islice
from typing import NoReturn

import trio

from fastroute.graph.finding import Finding
from fastroute.graph.node import Graph
from fastroute.graph.targeted import policies_not_served
from fastroute.reporting.problemlog import ProblemLog
from fastroute.resources.meta import Key
from fastroute.resources.problem import ManifestProblem
from fastroute.resources.world import Resources
from fastroute.source.slices import step_aside

LOT = 50  # warnings
PAUSE = 10.0  # times the duration of a search
_log = logging.getLogger(__name__)


class WarningLog:
    """The warnings that were logged and still apply. `gateways`: the values of --gateway, as "ns/name"."""

    def __init__(self, gateways: Iterable[str]) -> None:
        self._served: tuple[Resources, Graph] | None = None  # not yet searched
        self._news = trio.Event()
        self._gateways = sorted(gateways)
        self._absent: dict[str, str] = {}  # by name of a Gateway: the reason
        self._unserved = ProblemLog()

    def show(self, resources: Resources, graph: Graph) -> None:
        """`resources` and `graph` are served from now on."""
        for name in self._gateways:
            self._show_gateway(name, _absence(name, resources, graph))
        self._served = resources, graph
        self._news.set()

    async def run(self) -> NoReturn:
        """Logs what `show` was given, until cancelled."""
        while True:
            await self._news.wait()
            self._news = trio.Event()
            began = trio.current_time()
            try:
                await self._search()
            except Exception:
                _log.exception("the warnings cannot be found because of a bug in fastroute")
            await trio.sleep(PAUSE * (trio.current_time() - began))

    async def _search(self) -> None:
        assert self._served is not None
        problems: list[ManifestProblem] = []
        findings = map(_problem, policies_not_served(*self._served))
        while lot := list(islice(findings, LOT)):
            problems += lot
            if len(lot) == LOT:
                await step_aside()
        self._unserved.show({"": problems})

    def _show_gateway(self, name: str, why: str | None) -> None:
        said = self._absent.pop(name, None)
        if why is not None:
            self._absent[name] = why
            if why != said:
                _log.warning("--gateway names %s, %s: it is not served", name, why)
        elif said is not None:
            _log.info("Gateway %s, which --gateway names, is served now", name)


def _absence(name: str, resources: Resources, graph: Graph) -> str | None:
    key = Key(*name.split("/", 1))
    if key in graph.gateways:
        return None
    gateway = resources.gateways.get(key)
    return (
        f"whose class {gateway.spec.gateway_class_name} does not belong to this controller"
        if gateway
        else "which does not exist"
    )


def _problem(finding: Finding) -> ManifestProblem:
    return ManifestProblem(
        file=finding.origin.file if finding.origin else "API server",
        line=finding.origin.line if finding.origin else None,
        kind=finding.kind,
        namespace=finding.key.namespace,
        name=finding.key.name,
        field=finding.field,
        message=finding.message,
    )
