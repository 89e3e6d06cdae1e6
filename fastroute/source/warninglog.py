"""WarningLog: says while serving what no status can say, each thing once, and when it is mended.

That is a Gateway which --gateway names and which is not there or not of a class of ours, a route of a kind that is not
served at a Gateway of ours, and a policy that targets an object of ours and is not served. (What `check` warns of
besides is about what users meant, and is no news to a gateway.)
"""

import logging
from collections.abc import Iterable

from fastroute.graph.finding import Finding
from fastroute.graph.node import Graph
from fastroute.graph.targeted import policies_not_served
from fastroute.lint import routes_not_served
from fastroute.resources.meta import Key
from fastroute.resources.problem import ManifestProblem
from fastroute.resources.world import Resources
from fastroute.source.problemlog import ProblemLog

_log = logging.getLogger(__name__)


class WarningLog:
    """What was said, and has not been mended since. `gateways`: those that --gateway names, as "ns/name"."""

    def __init__(self, gateways: Iterable[str]) -> None:
        self._gateways = sorted(gateways)
        self._absent: dict[str, str] = {}  # by name of a Gateway: why
        self._unserved = ProblemLog()

    def show(self, resources: Resources, graph: Graph) -> None:
        """The world that is served from now on."""
        for name in self._gateways:
            self._show_gateway(name, _absence(name, resources, graph))
        found = (*routes_not_served(resources, graph), *policies_not_served(resources, graph))
        self._unserved.show([_problem(finding) for finding in found])

    def _show_gateway(self, name: str, why: str | None) -> None:
        said = self._absent.pop(name, None)
        if why is not None:
            self._absent[name] = why
            if why != said:
                _log.warning("--gateway names %s, %s: nothing of it is served", name, why)
        elif said is not None:
            _log.info("Gateway %s, which --gateway names, is there now", name)


def _absence(name: str, resources: Resources, graph: Graph) -> str | None:
    key = Key(*name.split("/", 1))
    if key in graph.gateways:
        return None
    gateway = resources.gateways.get(key)
    return f"whose class {gateway.spec.gateway_class_name} is not ours" if gateway else "which does not exist"


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
