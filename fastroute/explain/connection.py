"""explain_connection(): where a connection or a datagram goes that an L4 listener takes, and why not elsewhere.

The target is a URL without a path: tcp://ADDRESS:PORT, tls://NAME:PORT, udp://ADDRESS:PORT. NAME is the server name
that the client asks for; with an address, it asks for none. The address selects the listeners that are bound to it.
"""

from collections.abc import Collection, Iterable, Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec

from fastroute.errors import SettingError
from fastroute.explain.arrival import is_meant
from fastroute.explain.considered import (
    AT_MOST,
    Considered,
    considered_listener,
    considered_rule,
    not_served_because,
    passed_over,
    refusal_of,
    unserved_listeners,
)
from fastroute.explain.explanation import Explanation
from fastroute.explain.matching import best_hostname, find_listener, specificity
from fastroute.explain.otherhost import other_server_names
from fastroute.explain.share import Share, l4_shares_of
from fastroute.graph.node import Graph, ListenerNode, ParentNode
from fastroute.graph.rival import rivals_of
from fastroute.place import Transport
from fastroute.resources.route_kinds import ROUTES
from fastroute.secrecy import shown_url
from fastroute.snapshot import Listener, Mode, Rule, Snapshot

SCHEMES = ("tcp", "tls", "udp")
TLS_PORT = 443  # of a URL without a port
REFUSALS = {"tcp": "reset", "tls": "close", "udp": "drop"}  # what happens to what no backend gets


class Target(msgspec.Struct, frozen=True, kw_only=True):
    scheme: str
    address: str | None = None  # None: any
    name: str = ""  # the server name of TLS; "": none
    port: int

    @property
    def transport(self) -> Transport:
        return Transport.UDP if self.scheme == "udp" else Transport.TCP

    @property
    def shown(self) -> str:
        host = self.name or self.address or "*"
        return f"{self.scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"


def is_target(url: str) -> bool:
    return url.partition("://")[0].lower() in SCHEMES


def parse_target(url: str) -> Target:
    """Raises SettingError."""
    wanted = "tcp://ADDRESS:PORT, tls://NAME:PORT or udp://ADDRESS:PORT"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise SettingError(f"{shown_url(url)!r} is not a URL: its host or port is malformed") from None
    host = (parts.hostname or "").removesuffix(".")
    port = port or (TLS_PORT if parts.scheme == "tls" and port is None else None)
    if not port or not host or parts.path.strip("/") or parts.query or parts.username:
        raise SettingError(f"{shown_url(url)!r} is not a URL as {wanted}")
    if _is_address(host):
        return Target(scheme=parts.scheme, address=host, port=port)
    return Target(scheme=parts.scheme, name=host if parts.scheme == "tls" else "", port=port)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def explain_connection(snapshot: Snapshot, graph: Graph, target: Target, gateways: Collection[str] = ()) -> Explanation:
    """What happens to a connection to `target`, or to a datagram, at all Gateways or only at `gateways` ("ns/name")."""
    here = _listening(snapshot, target, gateways)
    refused = REFUSALS[target.scheme]
    near = unserved_listeners(graph, target.port, gateways, udp=target.transport is Transport.UDP)
    if not here:
        others = (one for one in snapshot.listeners.values() if is_meant(one.gateway, gateways))
        near = (*near, *passed_over(others, f"does not accept {target.scheme} on port {target.port}"))
        decision = "drop" if refused == "drop" else "reset"
        return Explanation(decision=decision, status=None, reason="not_listening", considered=near[:AT_MOST])
    listener = _taking(snapshot, here, target)
    if listener is None:
        names = other_server_names(snapshot, here, target.name)
        near = (*names, *passed_over(here, f"does not match {_named(target)}"), *near)
        return Explanation(decision=refused, status=None, reason="no_listener", considered=near[:AT_MOST])
    if listener.scheme == "https":
        what = (
            f"takes {_named(target)}: `fastroute explain GET https://{target.name or 'NAME'}:{target.port}/` has more"
        )
        near = passed_over([listener], what)
        return Explanation(decision="respond", status=None, reason="https", considered=near)
    return _told(snapshot, graph, listener, target)


def _named(target: Target) -> str:
    return f"server name {target.name}" if target.name else "a connection without a server name"


def _listening(snapshot: Snapshot, target: Target, gateways: Collection[str]) -> list[Listener]:
    """The listeners at whose places it may arrive."""
    schemes = ("tls", "https") if target.scheme == "tls" else (target.scheme,)
    spoken = [one for one in snapshot.listeners.values() if one.scheme in schemes and is_meant(one.gateway, gateways)]
    here = [one for one in spoken if one.spec_port == target.port]
    here = here or [one for one in spoken if one.place.port == target.port]
    return [one for one in here if one.place.address == target.address] or here


def _taking(snapshot: Snapshot, here: Iterable[Listener], target: Target) -> Listener | None:
    """The listener that takes it: at the first place where a rule of one takes it, else at the first place at all."""
    taking = [find_listener(snapshot, place, target.name) for place in dict.fromkeys(one.place for one in here)]
    found = [one for one in taking if one is not None]
    return next((one for one in found if _rule(snapshot, one, target)), found[0] if found else None)


def _rule(snapshot: Snapshot, listener: Listener, target: Target) -> tuple[Rule, str] | None:
    """The rule, and its hostname that takes the server name."""
    rules = (rule for rule in snapshot.rules.values() if rule.listener == listener.id)
    taking = ((rule, best_hostname(rule.hostnames, target.name)) for rule in rules)
    named = [(rule, name) for rule, name in taking if name is not None]
    return max(named, key=lambda pair: specificity(pair[1]), default=None)


def _told(snapshot: Snapshot, graph: Graph, listener: Listener, target: Target) -> Explanation:
    found = _rule(snapshot, listener, target)
    refused = REFUSALS[target.scheme]
    near = tuple(_near_misses(snapshot, graph, listener, target, found[0] if found else None))[:AT_MOST]
    if found is None:
        return Explanation(
            decision=refused,
            status=None,
            reason="no_rule",
            gateway=listener.gateway,
            listener=listener.name,
            considered=near,
        )
    rule, name = found
    shares = l4_shares_of(snapshot, graph, rule)
    reason = _reason(shares)
    return Explanation(
        decision="forward" if reason is None else refused,
        status=None,
        reason=reason,
        gateway=rule.gateway,
        listener=rule.listener_name,
        route=rule.route,
        rule=rule.name,
        match={"hostname": name or None, "mode": _mode(listener)} if target.scheme == "tls" else None,
        backends=shares,
        considered=near,
    )


def _mode(listener: Listener) -> str:
    return "Passthrough" if listener.mode is Mode.PASSTHROUGH else "Terminate"


def _reason(shares: tuple[Share, ...]) -> str | None:
    """Why no backend gets anything; None if one does."""
    served = [share for share in shares if share.weight]
    if not served:
        return "zero_weights"
    reasons = {share.reason for share in served}
    if None in reasons:
        return None
    return reasons.pop() if len(reasons) == 1 else "no_backend"  # `backends` has the reason of each share


# --- near misses


def _near_misses(
    snapshot: Snapshot, graph: Graph, listener: Listener, target: Target, winner: Rule | None
) -> Iterator[Considered]:
    node = _node(graph, listener)
    if node is not None:
        yield from _outranked(node, target)
        yield from _not_served(graph, node, target)
    for rule in snapshot.rules.values():
        if rule.listener == listener.id and rule is not winner:
            yield considered_rule(rule, _why_not(rule, target))


def _why_not(rule: Rule, target: Target) -> str:
    if rule.hostnames == ("",):
        return f"another route has a hostname for {_named(target)}, and this route has none"
    names = ", ".join(rule.hostnames)
    if best_hostname(rule.hostnames, target.name) is None:
        return f"hostname {names} does not match {_named(target)}"
    return f"hostname {names} is less specific than that of another route for {_named(target)}"


def _node(graph: Graph, listener: Listener) -> ListenerNode | None:
    id_ = listener.id.rpartition("@")[0]
    return next((node for holder in graph.holders for node in holder.listeners if node.id == id_), None)


def _outranked(node: ListenerNode, target: Target) -> Iterator[Considered]:
    """Routes that ask for the same server name as another one that has precedence."""
    for name, ids in rivals_of(node.attachments).items():
        if best_hostname((name,), target.name) is None:
            continue
        for _, key in ids[1:]:
            what = f"hostname {name}" if name else "the listener"
            reason = f"{what} belongs to {ids[0][0]} {ids[0][1]}: the older route comes first, then by namespace/name"
            yield considered_listener(str(node.gateway), node.label, reason, route=str(key))


def _not_served(graph: Graph, node: ListenerNode, target: Target) -> Iterator[Considered]:
    """Routes that would take it if they were served."""
    names = {one.source.name for one in graph.holder(node.holder).listeners}
    for parents in graph.parents.values():
        for parent in parents:
            problem = refusal_of(parent)
            meant = parent.holder == node.holder and _means(parent, node, names)
            if problem is not None and meant and _would_take(parent, target):
                key = str(parent.route.key)
                yield considered_listener(str(node.gateway), node.label, not_served_because(problem), route=key)


def _means(parent: ParentNode, node: ListenerNode, names: Collection[str]) -> bool:
    """Whether a route is meant for this listener: it names the listener, or its kind fits and it names no other one.
    `names`: of the listeners of the Gateway or ListenerSet. Another name is a mistake."""
    section, port = parent.parent_ref.section_name, parent.parent_ref.port
    if port not in (None, node.source.port):
        return False
    if section in names:
        return section == node.source.name
    return node.source.protocol in ROUTES[parent.route.kind].protocols


def _would_take(parent: ParentNode, target: Target) -> bool:
    hostnames = tuple(name.lower() for name in parent.route.hostnames) or ("",)
    return bool(parent.route.l4_rules) and best_hostname(hostnames, target.name) is not None
