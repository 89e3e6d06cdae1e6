"""The answers of the admin API. These types are the schemas of its OpenAPI document.

Objects are named as in the access log: a Gateway, route or Secret is "namespace/name", a backend "namespace/name:port".
What does not apply is null. Times are in RFC 3339.
"""

from typing import Any

import msgspec

from fastroute.snapshot import Filter, PathMatch, ValueMatch


class Error(msgspec.Struct, frozen=True):
    """Why a request is not answered."""

    error: str


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """As in the status of the object."""

    type: str
    status: str
    reason: str
    message: str


class RefusedReference(msgspec.Struct, frozen=True, kw_only=True):
    """A reference that no ReferenceGrant allows."""

    kind: str  # of the object that refers
    object: str
    field: str | None
    message: str
    fix: str | None  # the ReferenceGrant that would allow it, as YAML


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What the answers with lists have in common."""

    version: int  # of the configuration that was sent last: every worker serves it, or will as soon as none is late
    total: int  # of all pages
    next: str | None  # the parameter `after` of the next page; null: this is the last one


# --- status


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    slot: int
    pid: int
    state: str  # "starting", "serving", "late": its configuration is overdue, "ending"
    version: int  # of the configuration that it serves; 0: none yet
    cpu_seconds: float
    memory_bytes: int
    worst_turn_seconds: float  # longest iteration of its event loop so far
    worst_install_step_seconds: float
    client_connections: int
    backend_connections: int


class Workers(Page, frozen=True, kw_only=True):
    items: tuple[Worker, ...]


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """A summary. It has at most the first 100 refused references; each route has its own."""

    fastroute: str  # the release
    time: str
    ready: bool  # as /readyz
    version: int  # of the configuration that every worker serves
    target: int  # of the configuration that was sent last
    workers: tuple[Worker, ...]
    workers_wanted: int
    gateways: int
    listeners: int
    routes: int
    backends: int
    certificates: int
    problems: int  # that conditions of all objects say, including refused references
    not_bound: int  # places at which a listener is not bound
    failing_routes: int  # errors of backends, no ready endpoint, parts of the requests that are refused
    certificates_ending: int  # that have ended, end within 21 days, or are not valid yet
    refused_references: int
    refused: tuple[RefusedReference, ...]
    window_seconds: float  # rates, ratios and latencies are those of this time; 0: nothing is known yet
    rate: float  # requests a second, and connections of L4 routes, of all listeners


# --- gateways


class Bind(msgspec.Struct, frozen=True, kw_only=True):
    """A place at which a listener accepts connections."""

    address: str  # "127.0.0.1:8080", "[::]:53/udp"
    error: str | None  # why it is not bound


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    name: str  # of a ListenerSet: "namespace/set/name"
    protocol: str
    port: int
    hostname: str | None
    binds: tuple[Bind, ...]
    routes: int
    rate: float | None  # requests or connections a second, also those that no route took; null: not known
    conditions: tuple[Condition, ...]


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """`listeners` has at most the first 1,000, `refused` at most the first 100."""

    name: str
    class_name: str
    addresses: tuple[str, ...]
    conditions: tuple[Condition, ...]
    listeners: tuple[Listener, ...]
    listeners_total: int
    refused: tuple[RefusedReference, ...]


class Gateways(Page, frozen=True, kw_only=True):
    items: tuple[Gateway, ...]


# --- routes


class Parent(msgspec.Struct, frozen=True, kw_only=True):
    kind: str  # Gateway or ListenerSet
    name: str
    section: str | None
    port: int | None
    conditions: tuple[Condition, ...]


class BackendShare(msgspec.Struct, frozen=True, kw_only=True):
    """All references of a rule to one backend."""

    backend: str
    weight: int
    wanted: float  # the part of the requests of the rule that its weight asks for: 0 to 1
    seen: float | None  # the part that it got; null: the rule got none, or they are not counted (UDP)
    error_ratio: float | None  # of its part, as that of a route; null: it got none, or connections of L4 routes
    reason: str | None  # why its part is refused: as in the condition, or in the access log
    message: str | None


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    name: str  # or its index
    matches: tuple[str, ...]  # in short: method, path, names of header fields and query parameters; empty: any
    backends: tuple[BackendShare, ...]


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds from the first byte of a request to the last byte of its response."""

    p50: float
    p90: float
    p99: float


class Route(msgspec.Struct, frozen=True, kw_only=True):
    kind: str
    name: str
    hostnames: tuple[str, ...]
    parents: tuple[Parent, ...]
    rules: tuple[Rule, ...]
    rate: float | None  # requests or connections a second; null: not known
    error_ratio: float | None  # 0 to 1; responses with 500 to 599, and failed calls of gRPC; null: no requests
    latency: Latency | None  # null: no requests
    refused: tuple[RefusedReference, ...]
    problem: bool  # a condition says so: not accepted by a parent, or a reference is not resolved
    failing: tuple[str, ...]  # what fails now: errors, parts of the requests that get one; at most the first 10


class Routes(Page, frozen=True, kw_only=True):
    items: tuple[Route, ...]


# --- endpoints


class EndpointState(msgspec.Struct, frozen=True, kw_only=True):
    address: str
    state: str  # in its EndpointSlice: "ready", "terminating" (it still serves), "not ready"; "gone": in none any more
    used: bool  # whether it may get requests
    avoided: bool  # at least one worker chooses it only if there is no other, because connections to it failed
    failures: int  # tries that failed because of it, since it was first noted
    recent_failures: int  # those of the last minute
    failure_reasons: dict[str, int]  # all of them, by reason
    last_failure: str | None  # when


class Backend(msgspec.Struct, frozen=True, kw_only=True):
    """A port of a Service that routes use. One port is several backends if it is spoken to in several ways.
    `endpoints` has at most 1,000: those that failed in the last minute, and the first of the others."""

    id: str
    backend: str
    protocol: str
    tls_policy: str | None  # the BackendTLSPolicy: "namespace/name"
    endpoints: tuple[EndpointState, ...]
    endpoints_total: int
    messages: tuple[str, ...]  # why some endpoints get no requests


class Backends(Page, frozen=True, kw_only=True):
    items: tuple[Backend, ...]


# --- certificates


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    secret: str
    names: tuple[str, ...]
    not_before: str | None
    not_after: str | None
    state: str  # "valid", "expired", "not yet valid", "unusable"
    message: str | None  # why it is unusable
    used_by: tuple[str, ...]  # listeners: "namespace/gateway/listener"; at most the first 100


class Certificates(Page, frozen=True, kw_only=True):
    items: tuple[Certificate, ...]


# --- problems


PROBLEMS = ("failing", "refused", "condition", "not_bound", "certificate", "warning")  # their types, in their order


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """`type`: "failing": a route fails now; "refused": a reference that no ReferenceGrant allows; "condition": what
    another condition says; "not_bound": a listener at a place; "certificate": it ends or is not valid yet; "warning":
    as `fastroute check` warns."""

    type: str
    kind: str
    object: str
    field: str | None
    reason: str
    message: str
    fix: str | None  # YAML


class ProblemCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Of all problems, whichever are chosen."""

    failing: int
    refused: int
    condition: int
    not_bound: int
    certificate: int
    warning: int


class Problems(Page, frozen=True, kw_only=True):
    items: tuple[Problem, ...]
    counts: ProblemCounts


# --- all of them


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """What `fastroute status -o json` prints: the items of all pages."""

    status: Status
    gateways: tuple[Gateway, ...]
    routes: tuple[Route, ...]
    endpoints: tuple[Backend, ...]
    certificates: tuple[Certificate, ...]


# --- config: what the workers serve, or will serve as soon as none is late


class ConfigListener(msgspec.Struct, frozen=True, kw_only=True, tag="listener", tag_field="type"):
    id: str
    gateway: str
    name: str
    address: str
    port: int  # in the Gateway, without --port-offset
    mode: str
    hostname: str
    certificates: tuple[str, ...]
    min_tls: str | None
    max_tls: str | None
    alpn: tuple[str, ...]
    client_certificates: str | None  # "required" or "optional"


class ConfigMatch(msgspec.Struct, frozen=True, kw_only=True):
    path: PathMatch
    method: str | None
    headers: tuple[ValueMatch, ...]
    query: tuple[ValueMatch, ...]


class ConfigBackendRef(msgspec.Struct, frozen=True, kw_only=True):
    weight: int
    backend: str
    status: int | None
    reason: str | None
    filters: tuple[Filter, ...]


class ConfigRule(msgspec.Struct, frozen=True, kw_only=True, tag="rule", tag_field="type"):
    """Values that header filters set are hidden, as are the values of header and query parameter matches."""

    id: str
    gateway: str
    listener: str
    route: str
    route_kind: str
    name: str
    hostnames: tuple[str, ...]
    matches: tuple[ConfigMatch, ...]
    filters: tuple[Filter, ...]
    backends: tuple[ConfigBackendRef, ...]
    request_timeout_ms: int
    backend_timeout_ms: int
    session: dict[str, Any] | None
    retry: dict[str, Any] | None


class ConfigBackend(msgspec.Struct, frozen=True, kw_only=True, tag="backend", tag_field="type"):
    """`endpoints` has at most the first 1,000."""

    id: str
    protocol: str
    server_name: str | None  # with TLS
    shows_certificate: bool
    proxy_protocol: bool
    endpoints: tuple[str, ...]
    endpoints_total: int


class Config(Page, frozen=True, kw_only=True):
    """The listeners, then the rules, then the backends."""

    items: tuple[ConfigListener | ConfigRule | ConfigBackend, ...]
