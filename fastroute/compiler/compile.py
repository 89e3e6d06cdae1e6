"""compile_snapshot: compiles the graph into the configuration of the data plane.

A pure function of the graph. The result is kept (Compiled) together with the nodes that it was built from: nodes are
frozen, so identical nodes (`is`) have identical rules, and a mapping without changes is reused. The rules of a listener
depend only on its id and on an Attachment; for a listener and a route there is at most one Attachment. On an L4
listener they also depend on its rivals (graph/rival.py): each server name belongs to one rule.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from fastroute.compiler.body import Body, showing_bodies
from fastroute.compiler.endpoints import Rows, changed_rows
from fastroute.compiler.route_bodies import BODIES
from fastroute.compiler.tracing import gateway_tracing, listener_tracing
from fastroute.difference import changed_keys, replaced
from fastroute.graph.certificate import CertificateNode
from fastroute.graph.node import (
    Attachment,
    BackendNode,
    GatewayNode,
    Graph,
    Holder,
    ListenerNode,
    ListenerSetNode,
    RouteId,
    TelemetryNode,
)
from fastroute.graph.rival import NO_RIVALS, Rivals, moved, names_of, rivals_of
from fastroute.place import Place
from fastroute.resources.meta import Key
from fastroute.snapshot import Certificate, Listener, ListenerTracing, Rule, Snapshot


class ListenerRules(NamedTuple):
    """The result for one listener on one address."""

    listener: Listener | None
    attachments: Mapping[RouteId, Attachment]
    rules: Mapping[RouteId, tuple[Rule, ...]]  # for each attachment
    rivals: Rivals = NO_RIVALS  # of an L4 listener


_NO_RULES = ListenerRules(None, {}, {})


class Compiled(msgspec.Struct, frozen=True, kw_only=True):
    """A Snapshot, and what it was built from: passed to the next compile_snapshot."""

    snapshot: Snapshot
    parts: Mapping[str, ListenerRules]  # by Listener.id, sorted
    backends: Mapping[str, BackendNode]
    certificates: Mapping[str, CertificateNode]
    gateways: Mapping[Key, GatewayNode] = {}
    listener_sets: Mapping[Key, ListenerSetNode] = {}
    telemetry: Mapping[Key, TelemetryNode] = {}
    tracing: Mapping[Key, ListenerTracing] = {}  # by Gateway
    rules_made: int  # number of rules that were compiled for this snapshot, not reused


NOTHING = Compiled(snapshot=Snapshot(), parts={}, backends={}, certificates={}, rules_made=0)


def compile_snapshot(graph: Graph, port_offset: int = 0, previous: Compiled = NOTHING) -> Compiled:
    """The Snapshot of `graph`. Listeners are bound to their port plus `port_offset`."""
    compilation = _Compilation(previous.parts)
    parts, snapshot = previous.parts, previous.snapshot
    tracing = previous.tracing
    if graph.telemetry is not previous.telemetry:
        tracing = listener_tracing(graph.telemetry)
        snapshot = replace(snapshot, tracing=gateway_tracing(graph.telemetry))
    changes = _changed_listeners(graph, tracing, previous, port_offset)
    if changes:
        made: dict[str, ListenerRules | None] = {}
        for id_, pair in sorted(changes.items()):
            made[id_] = compilation.listener_rules(*pair) if pair else None
            if pair is None:
                compilation.leave(id_)
        parts = replaced(parts, made, in_order=True)
    if parts is not previous.parts:
        listeners = {id_: part.listener if part else None for id_, part in made.items()}
        snapshot = replace(
            snapshot,
            listeners=replaced(snapshot.listeners, listeners, in_order=True),
            rules=replaced(snapshot.rules, compilation.changes),
        )
    rows = _changed_rows(graph, previous)
    if rows.backends:
        snapshot = replace(
            snapshot,
            backends=replaced(snapshot.backends, rows.backends, in_order=True),
            endpoints=replaced(snapshot.endpoints, rows.endpoints, in_order=True),
        )
    if graph.certificates is not previous.certificates:
        snapshot = replace(snapshot, certificates=_certificates(graph.certificates))
    return Compiled(
        snapshot=snapshot,
        parts=parts,
        backends=graph.backends,
        certificates=graph.certificates,
        gateways=graph.gateways,
        listener_sets=graph.listener_sets,
        telemetry=graph.telemetry,
        tracing=tracing,
        rules_made=compilation.rules_made,
    )


def _changed_rows(graph: Graph, previous: Compiled) -> Rows:
    """Of the backends that changed, and of those to which a changed certificate is shown."""
    ids = set(changed_keys(previous.backends, graph.backends))
    if renewed := {str(key) for key in changed_keys(previous.certificates, graph.certificates)}:
        ids |= {id_ for id_, node in graph.backends.items() if not renewed.isdisjoint(node.certificates)}
    nodes = {id_: (previous.backends.get(id_), graph.backends.get(id_)) for id_ in ids}
    return changed_rows(nodes, graph.certificates)


def _certificates(nodes: Mapping[str, CertificateNode]) -> Mapping[str, Certificate]:
    """The PEM data of each."""
    return {id_: node.certificate for id_, node in nodes.items() if node.certificate is not None}


def _changed_listeners(
    graph: Graph, tracing: Mapping[Key, ListenerTracing], previous: Compiled, port_offset: int
) -> dict[str, tuple[Listener, ListenerNode] | None]:
    """Listeners of Gateways and ListenerSets that changed, or whose requests are traced in another way, by Listener.id;
    None: it no longer serves."""
    changes: dict[str, tuple[Listener, ListenerNode] | None] = {}
    old, new = _changed_holders(previous, graph)
    traced = changed_keys(previous.tracing, tracing)
    new += [graph.gateways[key] for key in traced if key in graph.gateways]
    new += [one for one in graph.listener_sets.values() if one.gateway in traced] if traced else []
    for listener, _ in _serving(old, port_offset, tracing):
        changes[listener.id] = None
    for listener, node in _serving(new, port_offset, tracing):
        changes[listener.id] = (listener, node)
    return {id_: pair for id_, pair in changes.items() if pair is not None or id_ in previous.parts}


def _changed_holders(previous: Compiled, graph: Graph) -> tuple[list[Holder], list[Holder]]:
    """Changed Gateways and ListenerSets: before and now."""
    old: list[Holder] = []
    new: list[Holder] = []
    for key in changed_keys(previous.gateways, graph.gateways):
        old += [previous.gateways[key]] if key in previous.gateways else []
        new += [graph.gateways[key]] if key in graph.gateways else []
    for key in changed_keys(previous.listener_sets, graph.listener_sets):
        old += [previous.listener_sets[key]] if key in previous.listener_sets else []
        new += [graph.listener_sets[key]] if key in graph.listener_sets else []
    return old, new


def _serving(
    holders: Iterable[Holder], port_offset: int, tracing: Mapping[Key, ListenerTracing]
) -> Iterator[tuple[Listener, ListenerNode]]:
    """Every listener that serves, once for each address that its Gateway binds to."""
    for holder in holders:
        for node in holder.listeners:
            if node.serves:
                own = tracing.get(node.gateway)
                yield from ((_listener(node, address, port_offset, own), node) for address in holder.bind)


def _listener(node: ListenerNode, address: str, port_offset: int, tracing: ListenerTracing | None) -> Listener:
    return Listener(
        id=f"{node.id}@{address}",
        gateway=str(node.gateway),
        name=node.label,
        place=Place(node.transport, address, node.source.port + port_offset),
        spec_port=node.source.port,
        hostname=node.hostname,
        mode=node.mode,
        tls=node.tls,
        tracing=None if node.is_l4 else tracing,
    )


class _Compilation:
    """One compilation: the previous result, the changes of the rules, and a cache for routes with several listeners."""

    def __init__(self, before: Mapping[str, ListenerRules]) -> None:
        self.rules_made = 0
        self.changes: dict[str, Rule | None] = {}  # by Rule.id; None: removed
        self._before = before
        # By id() of the RouteNode, which the graph keeps alive, and by client certificate.
        self._bodies: dict[tuple[int, str | None], tuple[Body, ...]] = {}

    def listener_rules(self, listener: Listener, node: ListenerNode) -> ListenerRules:
        before = self._before.get(listener.id, _NO_RULES)
        if before.attachments is node.attachments and before.listener == listener:
            return before
        rivals = rivals_of(node.attachments, before.attachments, before.rivals) if node.is_l4 else NO_RIVALS
        made: dict[RouteId, tuple[Rule, ...] | None] = {}
        changed = changed_keys(before.attachments, node.attachments).union(moved(before.rivals, rivals))
        for id_ in sorted(changed):
            attachment = node.attachments.get(id_)
            if attachment is not None:
                names = names_of(id_, attachment, rivals) if node.is_l4 else attachment.hostnames
                made[id_] = self._rules(listener, attachment, names) if names else ()
            else:
                made[id_] = None
            self._exchange(before.rules.get(id_, ()), made[id_] or ())
        same = before.listener if before.listener == listener else listener
        return ListenerRules(same, node.attachments, replaced(before.rules, made), rivals)

    def leave(self, listener_id: str) -> None:
        """Remove the rules of a listener that no longer serves."""
        for rules in self._before[listener_id].rules.values():
            self._exchange(rules, ())

    def _exchange(self, old: tuple[Rule, ...], new: tuple[Rule, ...]) -> None:
        self.changes.update((rule.id, None) for rule in old)
        self.changes.update((rule.id, rule) for rule in new)

    def _rules(self, listener: Listener, attachment: Attachment, hostnames: tuple[str, ...]) -> tuple[Rule, ...]:
        route = attachment.route
        key, kind = str(route.key), route.kind
        known = id(route), attachment.client_certificate
        bodies = self._bodies.get(known)
        if bodies is None:
            shown = attachment.client_certificate
            bodies = self._bodies[known] = showing_bodies(BODIES[route.kind](route), shown, attachment.secured)
        rules = tuple(
            Rule(
                id=f"{listener.id}|{kind}|{key}|{body.index}",
                listener=listener.id,
                hostnames=hostnames,
                gateway=listener.gateway,
                listener_name=listener.name,
                route=key,
                route_kind=kind,
                name=body.name,
                calls=body.calls,
                matches=body.matches,
                filters=body.filters,
                backends=body.backends,
                request_timeout_ms=body.request_timeout_ms,
                backend_timeout_ms=body.backend_timeout_ms,
                retry=body.retry,
                session=body.session,
            )
            for body in bodies
        )
        self.rules_made += len(rules)
        return rules
