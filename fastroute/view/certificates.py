"""Certificates of listeners and Gateways: names, validity, and who uses them. Never a key."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial

from fastroute.graph.certificate import CertificateNode
from fastroute.graph.node import Graph
from fastroute.view.answers import Certificate, Certificates
from fastroute.view.paging import Window, cut
from fastroute.view.state import State

MOST_USERS = 100
SOON = 21 * 86_400.0  # seconds before the end


def certificates(state: State, window: Window) -> Certificates:
    users, known = _users(state.graph), state.graph.certificates

    def make(id_: str) -> Certificate:
        return _certificate(known[id_], state.now, tuple(users.get(id_, ())[:MOST_USERS]))

    chosen = (id_ for id_, node in known.items() if window.choice.finds(partial(_texts, node)))
    found = cut(chosen, window, make, lambda one: 1 + len(one.names) + len(one.used_by))
    return Certificates(version=state.outcome.target, total=found.total, next=found.next, items=found.items)


def _texts(node: CertificateNode) -> tuple[str, ...]:
    return node.id, *node.names


def _users(graph: Graph) -> Mapping[str, list[str]]:
    users: defaultdict[str, list[str]] = defaultdict(list)
    for holder in graph.holders:
        for listener in holder.listeners:
            for id_ in listener.tls.certificates if listener.tls else ():
                users[id_].append(listener.id)
        if holder.client_certificate is not None:
            users[holder.client_certificate].append(str(holder.gateway))
    return users


def _certificate(node: CertificateNode, now: float, users: tuple[str, ...]) -> Certificate:
    known = node.certificate is not None
    return Certificate(
        secret=node.id,
        names=node.names,
        not_before=moment(node.not_before) if known else None,
        not_after=moment(node.not_after) if known else None,
        state=_state(node, now),
        message=node.mistake,
        used_by=users,
    )


def _state(node: CertificateNode, now: float) -> str:
    if node.certificate is None:
        return "unusable"
    if now > node.not_after:
        return "expired"
    return "not yet valid" if now < node.not_before else "valid"


def ending(node: CertificateNode, now: float) -> str | None:
    """ "expired", "not yet valid", "ends soon", or None. One that is unusable has no dates."""
    state = _state(node, now)
    if state == "valid":
        return "ends soon" if node.not_after - now < SOON else None
    return None if state == "unusable" else state


def moment(seconds: float) -> str:
    """
    >>> moment(0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
