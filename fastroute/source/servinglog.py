"""ServingLog: logs what is served and where at the start, and later each listener that is bound or unbound.

If there is nothing to serve, that is logged with the reason, and again when it changes. (The reason why a listener
could not be bound is in its status: see StatusLog.)
"""

import logging
from collections.abc import Mapping

from fastroute.graph.node import Graph
from fastroute.lint import nothing_served
from fastroute.resources.world import Resources
from fastroute.snapshot import Bound, Listener, Outcome

AT_MOST = 100  # lines at a time

_log = logging.getLogger(__name__)


class ServingLog:
    """What was logged about the listeners that are bound now."""

    def __init__(self) -> None:
        self._bound: dict[str, str] = {}  # by id of a Listener: the line that was logged
        self._nothing: str | None = ""  # why nothing is served; None: something is served; "": nothing was logged yet

    def show(self, resources: Resources, graph: Graph, listeners: Mapping[str, Listener], outcome: Outcome) -> None:
        """Called with what is served from now on, when every worker serves it."""
        if not outcome.complete:
            return
        bound = {id_: _where(one) for id_, one in listeners.items() if isinstance(outcome.listeners.get(id_), Bound)}
        before, self._bound = self._bound, bound
        _say("%s", [line for id_, line in bound.items() if before.get(id_) != line])
        _say("not bound any more: %s", [line for id_, line in before.items() if bound.get(id_) != line])
        nothing = nothing_served(resources, graph) or (None if bound else "no listener could be bound")
        if nothing != self._nothing:
            if nothing is not None:
                _log.warning("nothing to serve: %s", nothing)
            elif self._nothing is not None:
                _log.info("serving %s", _amounts(graph))
            self._nothing = nothing


def _say(form: str, lines: list[str]) -> None:
    for line in lines[:AT_MOST]:
        _log.info(form, line)
    if len(lines) > AT_MOST:
        _log.info(form, f"{len(lines) - AT_MOST} more listeners")


def _where(one: Listener) -> str:
    """
    >>> _where(Listener(id="", gateway="a/b", name="web", address="::1", port=8080, spec_port=80, hostname="a.com"))
    'listener web of Gateway a/b: http://[::1]:8080, for a.com'
    """
    address = f"[{one.address}]" if ":" in one.address else one.address
    hosts = f", for {one.hostname}" if one.hostname else ""
    return f"listener {one.name} of Gateway {one.gateway}: {one.protocol.lower()}://{address}:{one.port}{hosts}"


def _amounts(graph: Graph) -> str:
    """The numbers of Gateways, routes and endpoints that are served."""
    serving = [listener for holder in graph.holders for listener in holder.listeners if listener.serves]
    gateways = {listener.gateway for listener in serving}
    routes = {id_ for listener in serving for id_ in listener.attachments}
    endpoints = {endpoint for backend in graph.backends.values() for endpoint in backend.endpoints}
    counts = ((gateways, "Gateway"), (routes, "route"), (endpoints, "endpoint"))
    return ", ".join(f"{len(found)} {noun}{'' if len(found) == 1 else 's'}" for found, noun in counts)
