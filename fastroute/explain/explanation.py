"""explain(): how a request is handled, and why not differently.

The answer comes from the Snapshot, which is the configuration of the workers. The reasons come from the Graph: which
routes would match the request if they were served, and their status. The structure is that of `fastroute explain -o
json`.
"""

from collections.abc import Collection
from typing import Any

import msgspec

from fastroute.explain.arrival import Arrival, arrive, gets_tls, greeting, is_meant, listening, usual_port
from fastroute.explain.considered import AT_MOST, Considered, near_misses, passed_over, unserved_listeners
from fastroute.explain.filtering import Answered, Preflighted, Redirected, filter_request
from fastroute.explain.matching import Found
from fastroute.explain.otherhost import other_hosts
from fastroute.explain.request import Request
from fastroute.explain.share import Share, covered, shares_of
from fastroute.explain.shown import Effect, filters_shown, match_shown, retry_shown, session_shown
from fastroute.graph.node import Graph
from fastroute.snapshot import Listener, Snapshot


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """`decision`: "forward", "redirect" or "respond" (answered by the gateway itself); for what L4 listeners take,
    "forward", "reset", "close" or "drop". Parts that do not apply are None."""

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
    session: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET  # like `retry`
    retry: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET  # only if the rule has one
    client_certificate: str | msgspec.UnsetType = msgspec.UNSET  # "required" or "optional"; unset: not asked for


def explain(
    snapshot: Snapshot, graph: Graph, request: Request, port: int | None = None, gateways: Collection[str] = ()
) -> Explanation:
    """How `request` is handled if sent to `port` (None: the default), by all Gateways or only by `gateways`
    ("ns/name")."""
    port = port or usual_port(snapshot, request.scheme)
    here = listening(snapshot, request, port, gateways)
    arrival = arrive(snapshot, here, request)
    if arrival is None and here and request.refused is not None and gets_tls(snapshot, here, request):
        return _refused(request)
    if arrival is None:
        near = unserved_listeners(graph, port, gateways)
        if here:
            passing = [one for one in greeting(snapshot, here, request.asked or "") if one.scheme != request.scheme]
            near = (
                *passed_over(passing, "takes the connection by its server name, whatever is in it"),
                *other_hosts(snapshot, here, request),
                *passed_over(here, f"does not match the host {request.host}"),
                *near,
            )
            status = 404 if gets_tls(snapshot, here, request) else None
            return Explanation(decision="respond", status=status, reason="no_listener", considered=near[:AT_MOST])
        others = [listener for listener in snapshot.listeners.values() if is_meant(listener.gateway, gateways)]
        near = (*near, *passed_over(others, f"does not accept {request.scheme} on port {port}"))
        return Explanation(decision="respond", status=None, reason="not_listening", considered=near[:AT_MOST])
    if request.refused is not None:
        return _refused(request)
    told = _told(snapshot, graph, arrival, request)
    elsewhere = other_hosts(snapshot, here, request) if arrival.found is None and not arrival.misdirected else None
    near = near_misses(snapshot, graph, arrival.listener, request, arrival.found, elsewhere=elsewhere)
    return msgspec.structs.replace(told, considered=near, client_certificate=_asked_of_client(arrival.listener))


def _asked_of_client(listener: Listener) -> str | msgspec.UnsetType:
    if listener.tls is None or listener.tls.clients is None:
        return msgspec.UNSET
    return "optional" if listener.tls.clients.optional else "required"


def _refused(request: Request) -> Explanation:
    """For a head that is refused before a listener is selected."""
    assert request.refused is not None
    status, reason = request.refused
    return Explanation(decision="respond", status=status, reason=reason)


def _told(snapshot: Snapshot, graph: Graph, arrival: Arrival, request: Request) -> Explanation:
    listener, found, misdirected = arrival
    if found is not None:
        return _taken(snapshot, graph, listener, found, request)
    status, reason = (421, "misdirected") if misdirected else (404, "no_rule")
    return Explanation(
        decision="respond", status=status, reason=reason, gateway=listener.gateway, listener=listener.name
    )


def _taken(snapshot: Snapshot, graph: Graph, listener: Listener, found: Found, request: Request) -> Explanation:
    rule, port = found.rule, listener.spec_port
    filtered = filter_request(rule.filters, request, covered(found), port)
    shares = None if not isinstance(filtered, Request) else shares_of(snapshot, graph, found, filtered, port)
    decision, status, reason = _decision(filtered, shares or ())
    if request.max_forwards == 0:  # the gateway is the final recipient: RFC 9110 section 7.6.2
        decision, status, reason, shares = "respond", 405 if request.method == "TRACE" else 200, "max_forwards", None
    asks = shares is not None
    effect = Effect(changed=asks, forwarded=decision == "forward")
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
        filters=tuple(filters_shown(rule.filters, request, covered(found), port, effect)),
        session=session_shown(rule.session) if rule.session and asks else msgspec.UNSET,
        retry=retry_shown(rule.retry) if rule.retry and asks else msgspec.UNSET,
    )


def _decision(filtered: Request | Answered, shares: tuple[Share, ...]) -> tuple[str, int | None, str | None]:
    if isinstance(filtered, Redirected):
        return "redirect", filtered.status, "redirect"
    if isinstance(filtered, Preflighted):
        return "respond", filtered.status, "preflight"
    if not shares:
        return "respond", 500, "no_backend_refs"
    served = [share for share in shares if share.weight]
    if not served:
        return "respond", 500, "zero_weights"
    if any(share.status is None for share in served):
        return "forward", None, None
    answers = {(share.status, share.reason) for share in served}
    if len(answers) > 1:  # `backends` has the answer for each share
        return "respond", max(served, key=lambda share: share.weight).status, "no_backend"
    [(status, reason)] = answers
    return ("redirect" if reason == "redirect" else "respond"), status, reason
