"""WarningLog: logs warnings that no status can report: each once, and again when the cause is fixed.

They are: a Gateway that --gateway names but that does not exist or has a GatewayClass of another controller; a route of
a kind that is not supported, with a served Gateway as its parent; and a policy that is not supported and targets an
object that is served. (The other warnings of `check` concern likely mistakes in manifests and are not repeated here.)
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
    """The warnings that were logged and still apply. `gateways`: the values of --gateway, as "ns/name"."""

    def __init__(self, gateways: Iterable[str]) -> None:
        self._gateways = sorted(gateways)
        self._absent: dict[str, str] = {}  # by name of a Gateway: the reason
        self._unserved = ProblemLog()

    def show(self, resources: Resources, graph: Graph) -> None:
        """`resources` and `graph` are served from now on."""
        for name in self._gateways:
            self._show_gateway(name, _absence(name, resources, graph))
        found = (*routes_not_served(resources, graph), *policies_not_served(resources, graph))
        self._unserved.show([_problem(finding) for finding in found])

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
