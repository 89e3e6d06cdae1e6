"""explain(): what becomes of one request, and why not something else.

It answers from the Snapshot, which is what the workers obey, and takes reasons from the Graph: which routes would have
taken the request if they were served, and what their status says. The shape is that of `fastroute explain -o json`.
"""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import msgspec

from fastroute.explain.considered import Considered, near_misses
from fastroute.explain.filtering import Redirected, filter_request, replaced_path
from fastroute.explain.matching import Found, find_listener, find_rule, takes_host
from fastroute.explain.request import WELL_KNOWN_PORTS, Request
from fastroute.graph.node import Graph
from fastroute.snapshot import Endpoint, Filter, HeaderModifier, Listener, Rewrite, Snapshot, WeightedBackend

_PROTOCOLS = {"http": "HTTP", "https": "HTTPS"}


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What one backendRef gets of the requests its rule takes."""

    backend: str
    weight: int
    share: float  # 0 to 1; exactly `fraction`, as near as a float comes
    fraction: str  # "7/10"
    endpoints: tuple[str, ...] | None  # None: it is not forwarded to
    status: int | None  # what the share is answered with by the gateway itself
    reason: str | None
    filters: tuple[dict[str, Any], ...]


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
    return _taken(snapshot, arrival.listener, arrival.found, request, considered)


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


def _taken(
    snapshot: Snapshot, listener: Listener, found: Found, request: Request, considered: tuple[Considered, ...]
) -> Explanation:
    rule = found.rule
    prefix = covered(found)
    filtered = filter_request(rule.filters, request, prefix, listener.spec_port)
    shares = tuple(_shares(snapshot, found, filtered, listener.spec_port))
    decision, status, reason = _decision(filtered, shares)
    return Explanation(
        decision=decision,
        status=status,
        reason=reason,
        gateway=rule.gateway,
        listener=rule.listener_name,
        route=rule.route,
        rule=rule.name,
        match=_match_shown(found),
        backends=None if decision == "redirect" else shares,
        filters=tuple(_filters_shown(rule.filters, request, prefix, listener.spec_port)),
        considered=considered,
    )


def covered(found: Found) -> int:
    """Characters of the path that the matched PathPrefix covers: what ReplacePrefixMatch replaces."""
    return len(found.match.path.value) if found.match.path.type == "PathPrefix" else 0


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


def _shares(snapshot: Snapshot, found: Found, request: Request | Redirected, port: int) -> Iterator[Share]:
    whole = sum(backend.weight for backend in found.rule.backends)
    for backend in found.rule.backends:
        share = Fraction(backend.weight, whole) if whole else Fraction(0)
        endpoints = snapshot.endpoints.get(backend.backend, ()) if backend.status is None else None
        shown: tuple[dict[str, Any], ...] = ()
        status, reason = _share_answer(backend, endpoints)
        if isinstance(request, Request):
            shown = tuple(_filters_shown(backend.filters, request, covered(found), port))
            filtered = filter_request(backend.filters, request, covered(found), port)
            if isinstance(filtered, Redirected):
                status, reason = filtered.status, "redirect"
        yield Share(
            backend=backend.backend,
            weight=backend.weight,
            share=float(share),
            fraction=str(share),
            endpoints=None if endpoints is None else tuple(map(_endpoint_shown, endpoints)),
            status=status,
            reason=reason,
            filters=shown,
        )


def _share_answer(backend: WeightedBackend, endpoints: tuple[Endpoint, ...] | None) -> tuple[int | None, str | None]:
    return (503, "no_endpoint") if endpoints == () else (backend.status, backend.reason)


# --- how parts are shown: names and shapes of the Gateway API


def _endpoint_shown(endpoint: Endpoint) -> str:
    address = f"[{endpoint.address}]" if ":" in endpoint.address else endpoint.address
    return f"{address}:{endpoint.port}"


def _match_shown(found: Found) -> dict[str, Any]:
    match = found.match
    return {
        "index": found.index,
        "hostname": found.hostname or None,
        "path": {"type": match.path.type, "value": match.path.value or "/"},
        "method": match.method,
        "headers": [msgspec.to_builtins(test) for test in match.headers],
        "queryParams": [msgspec.to_builtins(test) for test in match.query],
    }


def _filters_shown(filters: Iterable[Filter], request: Request, prefix: int, port: int) -> Iterator[dict[str, Any]]:
    """Each filter and what it does to this very request, as the ones before it left it."""
    for step in filters:
        after = filter_request((step,), request, prefix, port)
        if isinstance(after, Redirected):
            yield {"type": "RequestRedirect", "statusCode": after.status, "location": after.location}
            return
        if isinstance(step, HeaderModifier):
            yield _modifier_shown(step)
        elif isinstance(step, Rewrite):
            yield {
                "type": "URLRewrite",
                "hostname": step.hostname,
                "path": None if after.path == request.path else replaced_path(step, request.path, prefix),
            }
        request = after


def _modifier_shown(modifier: HeaderModifier) -> dict[str, Any]:
    return {
        "type": "RequestHeaderModifier" if modifier.direction == "request" else "ResponseHeaderModifier",
        "set": [msgspec.to_builtins(field) for field in modifier.set],
        "add": [msgspec.to_builtins(field) for field in modifier.add],
        "remove": list(modifier.remove),
    }
