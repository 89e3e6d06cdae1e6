"""The attributes of spans: a server span for each request, and a client span for each try. Pure.

Names are those of the semantic conventions of OpenTelemetry for HTTP where these are stable; those of objects begin
with `fastroute.`. The query is in no attribute, because it may contain credentials.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from fastroute.snapshot import GatewayTracing
from fastroute.traces.record import Attempt, Traced

Attributes = dict[str, Any]  # text and numbers
ADDED_MOST = 4_096  # characters of the attributes that a policy adds to a span

_VERSIONS = {0: "1.0", 1: "1.1", 2: "2"}
# "http.request.method" of another one is _OTHER.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
_FAILED_CALLS = frozenset({2, 4, 12, 13, 14, 15})  # statuses of gRPC that are errors of the server
_SCHEMES = {False: "http", True: "https"}


class ServerKind(NamedTuple):
    """What many requests share."""

    method: str | None
    encrypted: bool
    host: str | None
    version: int | None
    status: int
    reason: str | None
    grpc_status: int | None
    user_agent: str | None
    gateway: str | None
    listener: str | None
    route: str | None
    route_kind: str | None
    rule: str | None
    backend: str | None
    tries: int

    @property
    def error(self) -> str | None:
        """`error.type`; a status below 500 is no error of the server. None: no error."""
        if self.status >= 500 or self.status == 0:
            return self.reason or str(self.status)
        return (self.reason or str(self.grpc_status)) if self.grpc_status in _FAILED_CALLS else None

    def attributes(self) -> Attributes:
        return _present(
            {
                **_method(self.method),
                "url.scheme": _SCHEMES[self.encrypted],
                "server.address": self.host,
                "http.response.status_code": self.status or None,
                "error.type": self.error,
                "network.protocol.version": None if self.version is None else _VERSIONS.get(self.version),
                "user_agent.original": self.user_agent,
                "rpc.grpc.status_code": self.grpc_status,
                "fastroute.gateway": self.gateway,
                "fastroute.listener": self.listener,
                "fastroute.route": self.route,
                "fastroute.route_kind": self.route_kind,
                "fastroute.rule": self.rule,
                "fastroute.backend": self.backend,
                "fastroute.reason": self.reason,
                "fastroute.tries": self.tries or None,
            }
        )


class ClientKind(NamedTuple):
    """What many tries share."""

    method: str | None
    endpoint: str
    status: int
    reason: str | None
    resent: int  # number of tries before
    version: int | None

    @property
    def error(self) -> str | None:
        return self.reason or (str(self.status) if self.status >= 400 else None)

    def attributes(self) -> Attributes:
        """ValueError: the endpoint has no port."""
        address, _, port = self.endpoint.rpartition(":")
        return _present(
            {
                **_method(self.method),
                "server.address": address.strip("[]"),
                "server.port": int(port),
                "http.response.status_code": self.status or None,
                "error.type": self.error,
                "http.request.resend_count": self.resent or None,
                "network.protocol.version": None if self.version is None else _VERSIONS.get(self.version),
            }
        )


def name_of(method: str | None) -> str:
    """The name of a span. It must not have many values: it contains no path, and no method that a client invents."""
    return method if method in _METHODS else "HTTP"


def server_kind(request: Traced) -> ServerKind:
    one = request
    return ServerKind(
        *(one.method, one.encrypted, one.host, one.version, one.status, one.reason, one.grpc_status, one.user_agent),
        *(one.gateway, one.listener, one.route, one.route_kind, one.rule, one.backend, one.tries),
    )


def client_kind(request: Traced, number: int) -> ClientKind:
    """Of this one of `request.attempts`. Its last try may have failed for the reason of the request."""
    one, last = request.attempts[number], number == len(request.attempts) - 1
    if not last:
        return ClientKind(request.method, one.endpoint, one.status, one.reason, number, None)
    reason = one.reason or (None if one.status else request.reason)
    resent = max(request.tries, len(request.attempts)) - 1
    return ClientKind(request.method, one.endpoint, one.status, reason, resent, request.backend_version)


def server_own(request: Traced) -> Attributes:
    """The attributes in which almost all requests differ."""
    own = {"url.path": request.path, "client.address": request.client, "fastroute.request_id": request.request_id}
    return _present(own)


def client_own(request: Traced, attempt: Attempt) -> Attributes:
    authority, path = request.authority or attempt.endpoint, request.backend_path or ""
    return {"url.full": f"{_SCHEMES[request.backend_encrypted]}://{authority}{path}"}


def added(usual: Mapping[str, Any], request: Traced, tracing: GatewayTracing) -> Attributes:
    """The attributes that a policy adds to a span; `usual`: those that it has without the policy. Those that come after
    ADDED_MOST bytes are left out."""
    found = dict(tracing.literals)
    found.update((name, usual[key]) for name, key in tracing.keys if key in usual)
    values = zip(tracing.headers, request.values, strict=False)  # a worker that is taken over may write any number
    found.update((name, value) for name, value in values if value is not None)
    room, fitting = ADDED_MOST, {}
    for name, value in found.items():
        room -= len(name) + len(str(value))
        if room < 0:
            break
        fitting[name] = value
    return fitting


def _method(method: str | None) -> Attributes:
    if method in _METHODS or method is None:
        return {"http.request.method": method}
    return {"http.request.method": "_OTHER", "http.request.method_original": method}


def _present(attributes: Attributes) -> Attributes:
    return {name: value for name, value in attributes.items() if value is not None}
