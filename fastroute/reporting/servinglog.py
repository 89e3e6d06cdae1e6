"""ServingLog: logs what is served and where at the start, and later each listener that is bound or unbound.

If there is nothing to serve, that is logged with the reason, and again when it changes. (The reason why a listener
could not be bound is in its status: see StatusLog.) Only listeners that changed are compared. If there are too many
lines at a time, the namespaces take turns.
"""

import logging
from collections.abc import Mapping

from fastroute.difference import changed_keys
from fastroute.fairness import fair_part
from fastroute.graph.node import Graph
from fastroute.lint import nothing_served
from fastroute.place import Transport
from fastroute.resources.world import Resources
from fastroute.snapshot import Bound, Failed, Listener, Outcome

AT_MOST = 100  # lines at a time

_log = logging.getLogger(__name__)


class ServingLog:
    """What was logged about the listeners that are bound now."""

    def __init__(self) -> None:
        self._listeners: Mapping[str, Listener] = {}
        self._results: Mapping[str, Bound | Failed] = {}
        self._bound: dict[str, str] = {}  # by id of a Listener: the line that was logged
        self._nothing: str | None = ""  # why nothing is served; None: something is served; "": nothing was logged yet

    def show(self, resources: Resources, graph: Graph, listeners: Mapping[str, Listener], outcome: Outcome) -> None:
        """Called with what is served from now on, when every worker serves it."""
        if not outcome.complete:
            return
        changed = changed_keys(self._listeners, listeners) | changed_keys(self._results, outcome.listeners)
        self._listeners, self._results = listeners, outcome.listeners
        bound, unbound = [], []
        for id_ in sorted(changed):
            is_bound = id_ in listeners and isinstance(outcome.listeners.get(id_), Bound)
            line = _where(listeners[id_]) if is_bound else None
            before = self._bound.pop(id_, None)
            if line is not None:
                self._bound[id_] = line
            if line != before:
                bound += [(id_, line)] if line is not None else []
                unbound += [(id_, before)] if before is not None else []
        _say("%s", bound)
        _say("not bound any more: %s", unbound)
        nothing = nothing_served(resources, graph) or (None if self._bound else "no listener could be bound")
        if nothing != self._nothing:
            if nothing is not None:
                _log.warning("nothing to serve: %s", nothing)
            elif self._nothing is not None:
                _log.info("serving %s", _amounts(graph))
            self._nothing = nothing


def _say(form: str, lines: list[tuple[str, str]]) -> None:
    """Logs the lines of some listeners."""
    for _, line in fair_part(lines, AT_MOST, lambda each: _namespace(each[0])):
        _log.info(form, line)
    if len(lines) > AT_MOST:
        _log.info(form, f"{len(lines) - AT_MOST} more listeners")


def _namespace(id_: str) -> str:
    """The namespace of the Gateway or ListenerSet that contains a listener.

    >>> _namespace("infra/gw/proxy@::1"), _namespace("infra/gw/red/more/proxy@127.0.0.1")
    ('infra', 'red')
    """
    parts = id_.partition("@")[0].split("/")
    return parts[0] if len(parts) == 3 else parts[2]


def _where(one: Listener) -> str:
    """
    >>> from fastroute.place import Place
    >>> place = Place(Transport.TCP, "::1", 8080)
    >>> _where(Listener(id="", gateway="a/b", name="web", place=place, spec_port=80, hostname="a.com"))
    'listener web of Gateway a/b: http://[::1]:8080, for a.com'
    """
    place = one.place._replace(transport=Transport.TCP)  # the scheme tells the transport
    hosts = f", for {one.hostname}" if one.hostname else ""
    return f"listener {one.name} of Gateway {one.gateway}: {one.scheme}://{place}{hosts}"


def _amounts(graph: Graph) -> str:
    """The numbers of Gateways, routes and endpoints that are served."""
    serving = [listener for holder in graph.holders for listener in holder.listeners if listener.serves]
    gateways = {listener.gateway for listener in serving}
    routes = {id_ for listener in serving for id_ in listener.attachments}
    endpoints = {endpoint for backend in graph.backends.values() for endpoint in backend.endpoints}
    counts = ((gateways, "Gateway"), (routes, "route"), (endpoints, "endpoint"))
    return ", ".join(f"{len(found)} {noun}{'' if len(found) == 1 else 's'}" for found, noun in counts)
