"""The configuration that the workers serve, without secrets."""

from collections.abc import Iterable

from fastroute.explain.shown import retry_shown, session_shown
from fastroute.graph.conditions import written
from fastroute.snapshot import Backend, Listener, Match, Rule, Snapshot, WeightedBackend
from fastroute.view.answers import Config, ConfigBackend, ConfigBackendRef, ConfigListener, ConfigMatch, ConfigRule
from fastroute.view.endpoints import MOST
from fastroute.view.hidden import hidden_filters, hidden_tests
from fastroute.view.paging import Window, cut
from fastroute.view.state import State

LISTENER, RULE, BACKEND = "1 ", "2 ", "3 "  # what keys begin with: the order of the kinds


def config(state: State, window: Window) -> Config:
    def make(key: str) -> ConfigListener | ConfigRule | ConfigBackend:
        return _item(state.snapshot, key[: len(RULE)], key[len(RULE) :])

    found = cut(_keys(state.snapshot), window, make, _rows)
    return Config(version=state.outcome.target, total=found.total, next=found.next, items=found.items)


def _rows(item: ConfigListener | ConfigRule | ConfigBackend) -> int:
    if isinstance(item, ConfigBackend):
        return 1 + len(item.endpoints)
    if isinstance(item, ConfigListener):
        return 1 + len(item.certificates)
    tests = sum(1 + len(match.headers) + len(match.query) for match in item.matches)
    return 1 + tests + len(item.hostnames) + len(item.filters) + sum(1 + len(ref.filters) for ref in item.backends)


def _keys(snapshot: Snapshot) -> Iterable[str]:
    for kind, ids in ((LISTENER, snapshot.listeners), (RULE, snapshot.rules), (BACKEND, snapshot.backends)):
        for id_ in ids:
            yield kind + id_


def _item(snapshot: Snapshot, kind: str, id_: str) -> ConfigListener | ConfigRule | ConfigBackend:
    if kind == LISTENER:
        return _listener(snapshot.listeners[id_])
    if kind == RULE:
        return _rule(snapshot.rules[id_])
    return _backend(snapshot, id_, snapshot.backends[id_])


def _listener(listener: Listener) -> ConfigListener:
    tls = listener.tls
    clients = tls.clients if tls else None
    return ConfigListener(
        id=listener.id,
        gateway=listener.gateway,
        name=listener.name,
        address=str(listener.place),
        port=listener.spec_port,
        mode=listener.mode,
        hostname=listener.hostname,
        certificates=tls.certificates if tls else (),
        min_tls=tls.min_version if tls else None,
        max_tls=tls.max_version if tls else None,
        alpn=tls.alpn if tls else (),
        client_certificates=("optional" if clients.optional else "required") if clients else None,
    )


def _rule(rule: Rule) -> ConfigRule:
    return ConfigRule(
        id=rule.id,
        gateway=rule.gateway,
        listener=rule.listener_name,
        route=rule.route,
        route_kind=rule.route_kind,
        name=rule.name,
        hostnames=rule.hostnames,
        matches=tuple(map(_match, rule.matches)),
        filters=hidden_filters(rule.filters),
        backends=tuple(map(_backend_ref, rule.backends)),
        request_timeout_ms=rule.request_timeout_ms,
        backend_timeout_ms=rule.backend_timeout_ms,
        session=session_shown(rule.session) if rule.session else None,
        retry=retry_shown(rule.retry) if rule.retry else None,
    )


def _match(match: Match) -> ConfigMatch:
    return ConfigMatch(
        path=match.path, method=match.method, headers=hidden_tests(match.headers), query=hidden_tests(match.query)
    )


def _backend_ref(ref: WeightedBackend) -> ConfigBackendRef:
    return ConfigBackendRef(
        weight=ref.weight,
        backend=ref.backend,
        status=ref.status,
        reason=ref.reason,
        filters=hidden_filters(ref.filters),
    )


def _backend(snapshot: Snapshot, id_: str, backend: Backend) -> ConfigBackend:
    found = snapshot.endpoints.get(id_, ())
    return ConfigBackend(
        id=id_,
        protocol=backend.protocol,
        server_name=backend.tls.server_name if backend.tls else None,
        shows_certificate=backend.tls is not None and backend.tls.client_certificate is not None,
        proxy_protocol=backend.proxy_protocol,
        endpoints=tuple(map(written, found[:MOST])),
        endpoints_total=len(found),
    )
