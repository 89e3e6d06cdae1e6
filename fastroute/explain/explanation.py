"""explain(): what becomes of one request, and why not something else.

It answers from the Snapshot, which is what the workers obey, and takes reasons from the Graph: which routes would have
taken the request if they were served, and what their status says. The shape is that of `fastroute explain -o json`.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from fastroute.explain.considered import Considered, near_misses
from fastroute.explain.filtering import Redirected, filter_request
from fastroute.explain.matching import Found, find_listener, find_rule, takes_host
from fastroute.explain.request import WELL_KNOWN_PORTS, Request
from fastroute.explain.share import Share, covered, shares_of
from fastroute.explain.shown import filters_shown, match_shown
from fastroute.graph.node import Graph
from fastroute.snapshot import Listener, Snapshot

_PROTOCOLS = {"http": "HTTP", "https": "HTTPS"}


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """`decision`: "forward", "redirect" or "respond" (by the gateway itself). Absent parts are None."""

    decision: str
    status: int | None
    reason: str | None
    gateway: str | None = None
    listener: str | None = None
    route: str | None = None
    rule: str | None = None
    match: dict[str, Any] | None = None
    backends: tuple[Share, ...] | None = None
    filters: tuple[dict[str, Any], ...] | None = None
    considered: tuple[Considered, ...] = ()


def explain(
    snapshot: Snapshot, graph: Graph, request: Request, port: int | None = None, gateway: str | None = None
) -> Explanation:
    """What becomes of `request`, sent to `port` (None: its scheme's, or the only one there is), of any Gateway or of
    one, "ns/name"."""
    arrival = _arrival(snapshot, request, port, gateway)
    if arrival.listener is None:
        return arrival.nobody
    considered = near_misses(snapshot, graph, arrival.listener, request, arrival.found)
    if arrival.found is None:
        return Explanation(
            decision="respond",
            status=404,
            reason="no_rule",
            gateway=arrival.listener.gateway,
            listener=arrival.listener.name,
            considered=considered,
        )
    taken = _taken(snapshot, graph, arrival.listener, arrival.found, request)
    return msgspec.structs.replace(taken, considered=considered)


# --- where it comes in


class _Arrival(NamedTuple):
    listener: Listener | None
    found: Found | None
    nobody: Explanation  # when there is no listener


def _arrival(snapshot: Snapshot, request: Request, port: int | None, gateway: str | None) -> _Arrival:
    """Of several sockets that the request could come in on (Gateways with addresses of their own) the first that
    takes it."""
    ours = [listener for listener in snapshot.listeners.values() if gateway in (None, listener.gateway)]
    spoken = [listener for listener in ours if listener.protocol == _PROTOCOLS[request.scheme]]
    wanted = port or _usual_port(spoken, request.scheme)
    here = [listener for listener in spoken if listener.spec_port == wanted]
    here = here or [listener for listener in spoken if listener.port == wanted]
    here = [listener for listener in here if listener.address == request.host.strip("[]")] or here
    if not here:
        return _Arrival(None, None, _not_listening(ours, request.scheme, wanted))
    answers = []
    for address, number in dict.fromkeys((listener.address, listener.port) for listener in here):
        listener = find_listener(snapshot, address, number, request.host)
        if listener is not None and listener in here:
            answers.append((listener, find_rule(snapshot, listener, request)))
    if not answers:
        return _Arrival(None, None, _no_listener(here, request))
    listener, found = next((answer for answer in answers if answer[1] is not None), answers[0])
    return _Arrival(listener, found, _no_listener(here, request))


def _usual_port(listeners: Iterable[Listener], scheme: str) -> int:
    """The port of a URL that names none: the scheme's, unless nobody listens there and there is only one other."""
    ports = {listener.spec_port for listener in listeners}
    usual = WELL_KNOWN_PORTS[scheme]
    return ports.pop() if len(ports) == 1 and usual not in ports else usual


def _not_listening(listeners: Iterable[Listener], scheme: str, port: int) -> Explanation:
    """Nobody is there: the client's connection is refused, or not understood."""
    reason = f"does not take {scheme} on port {port}"
    return Explanation(
        decision="respond", status=None, reason="not_listening", considered=tuple(_passed_over(listeners, reason))
    )


def _no_listener(listeners: Iterable[Listener], request: Request) -> Explanation:
    reason = f"hostname does not take {request.host}"
    passed_over = _passed_over((each for each in listeners if not takes_host(each.hostname, request.host)), reason)
    return Explanation(decision="respond", status=404, reason="no_listener", considered=tuple(passed_over))


def _passed_over(listeners: Iterable[Listener], reason: str) -> Iterator[Considered]:
    for listener in listeners:
        what = f"{listener.protocol} {listener.hostname or '*'}:{listener.spec_port}"
        yield Considered(
            gateway=listener.gateway,
            listener=listener.name,
            route=None,
            rule=None,
            match=None,
            reason=f"the listener, {what}, {reason}",
        )


# --- what its rule does


def _taken(snapshot: Snapshot, graph: Graph, listener: Listener, found: Found, request: Request) -> Explanation:
    rule, port = found.rule, listener.spec_port
    filtered = filter_request(rule.filters, request, covered(found), port)
    shares = None if isinstance(filtered, Redirected) else shares_of(snapshot, graph, found, filtered, port)
    decision, status, reason = _decision(filtered, shares or ())
    return Explanation(
        decision=decision,
        status=status,
        reason=reason,
        gateway=rule.gateway,
        listener=rule.listener_name,
        route=rule.route,
        rule=rule.name,
        match=match_shown(found),
        backends=shares,
        filters=tuple(filters_shown(rule.filters, request, covered(found), port)),
    )


def _decision(filtered: Request | Redirected, shares: tuple[Share, ...]) -> tuple[str, int | None, str | None]:
    if isinstance(filtered, Redirected):
        return "redirect", filtered.status, "redirect"
    if not shares:
        return "respond", 500, "no_backend_refs"
    served = [share for share in shares if share.weight]
    if not served:
        return "respond", 500, "zero_weights"
    if any(share.status is None for share in served):
        return "forward", None, None
    answers = {(share.status, share.reason) for share in served}
    if len(answers) > 1:  # each share by itself, as `backends` says
        return "respond", max(served, key=lambda share: share.weight).status, "no_backend"
    [(status, reason)] = answers
    return ("redirect" if reason == "redirect" else "respond"), status, reason
