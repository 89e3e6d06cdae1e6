"""The only bridge between the rivers: a Snapshot down, an Outcome back. Plain, frozen, versioned data.

A Snapshot is what the data plane obeys. It has never heard of Kubernetes: names in it are labels for logs and metrics.
`compile_snapshot` makes it; the supervisor publishes the difference to the workers (publication.py); a worker builds
its tables from it.
Equal input gives an equal Snapshot (its `version` is given by the publisher and takes no part in equality).
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from fastroute.difference import Revision


class Certificate(msgspec.Struct, frozen=True):
    """A certificate with its private key, as PEM. Its repr shows neither, and no log, answer or file may."""

    chain: bytes  # the leaf first, then those that sign it
    key: bytes

    def __repr__(self) -> str:
        return "Certificate(...)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class ListenerTLS(msgspec.Struct, frozen=True, kw_only=True):
    """How a listener ends its clients' TLS. Of certificates with one kind of key, the first that has the client's
    name is shown, else the first."""

    certificates: tuple[str, ...]  # ids in Snapshot.certificates, in order
    min_version: str = "1.2"  # or "1.3"
    max_version: str = "1.3"
    ciphers: str = ""  # OpenSSL's names, joined with ":", the first preferred; "": the default list
    alpn: tuple[str, ...] = ("http/1.1",)  # the first preferred


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """One listener of one Gateway on one address."""

    id: str  # "ns/gateway/listener@address"
    gateway: str  # "ns/name"
    name: str
    address: str  # to bind: "127.0.0.1", "0.0.0.0", "::"
    port: int  # to bind, offset included
    spec_port: int  # as in the Gateway: what redirects name
    hostname: str  # lower case; "" takes every host, "*.example.com" every name below
    protocol: str = "HTTP"  # or "HTTPS"
    tls: ListenerTLS | None = None  # of an HTTPS listener


class PathMatch(msgspec.Struct, frozen=True):
    type: str  # "Exact" | "PathPrefix" | "RegularExpression"
    value: str  # normalised as requests are; a PathPrefix without its final slash ("" is everything)


class ValueMatch(msgspec.Struct, frozen=True):
    """A header (name in lower case) or query parameter."""

    name: str
    value: str
    type: str = "Exact"  # or "RegularExpression"


class Match(msgspec.Struct, frozen=True, kw_only=True):
    path: PathMatch
    method: str | None = None
    headers: tuple[ValueMatch, ...] = ()
    query: tuple[ValueMatch, ...] = ()
    rank: tuple[int | str, ...]  # among matches of one hostname and one path: the smaller wins (compiler/precedence.py)


class HeaderValue(msgspec.Struct, frozen=True):
    name: str
    value: str


class HeaderModifier(msgspec.Struct, frozen=True, kw_only=True, tag="header_modifier"):
    direction: str  # "request" | "response"
    set: tuple[HeaderValue, ...] = ()
    add: tuple[HeaderValue, ...] = ()
    remove: tuple[str, ...] = ()


class Redirect(msgspec.Struct, frozen=True, kw_only=True, tag="redirect"):
    status: int
    scheme: str | None = None
    hostname: str | None = None
    port: int | None = None
    full_path: str | None = None  # ReplaceFullPath
    prefix: str | None = None  # ReplacePrefixMatch


class Rewrite(msgspec.Struct, frozen=True, kw_only=True, tag="rewrite"):
    hostname: str | None = None
    full_path: str | None = None
    prefix: str | None = None


class Mirror(msgspec.Struct, frozen=True, kw_only=True, tag="mirror"):
    """A copy of `numerator` in `denominator` requests goes to one endpoint of `backend`; its answer is not read out."""

    backend: str  # "ns/name:port"
    numerator: int = 1
    denominator: int = 1


class Cors(msgspec.Struct, frozen=True, kw_only=True, tag="cors"):
    """Who may read responses from a page of another origin. "*" stands alone in its list."""

    origins: tuple[str, ...]  # "*", or as browsers write them, in lower case; "https://*.bar.com": one or more labels
    credentials: bool = False
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    max_age: int = 5  # seconds a preflight's answer holds


Filter = HeaderModifier | Redirect | Rewrite | Mirror | Cors


class WeightedBackend(msgspec.Struct, frozen=True, kw_only=True):
    """One backendRef: its share goes to `backend`, or is answered with `status` for `reason` (never redistributed)."""

    weight: int
    backend: str  # "ns/name:port", also of a refused one, for logs
    status: int | None = None  # None: forward
    reason: str | None = None  # "reference_refused", "backend_not_found", ...: a name of ext/tables REASONS
    filters: tuple[Filter, ...] = ()


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """When a try that failed is followed by another one; ext/retry has the classes of failures."""

    attempts: int  # tries after the first; 0: none
    codes: tuple[int, ...] = ()  # answers of the backend that are not passed on while a try is left: 400 to 599
    backoff_ms: int = 25  # the first pause; ext/retry says how they grow


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that bring the token of an answer go to the endpoint that gave it, while it is eligible."""

    name: str  # of the cookie, or of the header field
    key: bytes  # 16, under which the tokens are encrypted: of this rule alone, the same wherever it is served
    header: bool = False  # the token goes in a header field, not in a cookie
    path: str = "/"  # of the cookie
    lifetime_s: int = 0  # a token older than this is none; 0: no limit
    permanent: bool = False  # the cookie says its lifetime, and so outlives the browser
    holds_backend: bool = True  # whatever the weights; else they choose, and a token only the endpoint


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule of one route as attached to one listener. What it takes and no filter answers goes to its backends by
    weight; without any ("no_backend_refs"), or when all weights are 0 ("zero_weights"), the answer is 500."""

    id: str  # "LISTENER ID|KIND|ns/route|index"
    listener: str  # Listener.id
    hostnames: tuple[str, ...]  # the route's own that intersect the listener's; ("",) when it has none
    gateway: str  # labels from here on
    listener_name: str
    route: str
    route_kind: str
    name: str  # the rule's name or its index
    matches: tuple[Match, ...]
    filters: tuple[Filter, ...] = ()
    backends: tuple[WeightedBackend, ...] = ()
    request_timeout_ms: int = 0  # 0: none
    backend_timeout_ms: int = 0
    session: Session | None = None
    retry: Retry | None = None  # None: only what no backend can have noticed is tried again


class Endpoint(msgspec.Struct, frozen=True, order=True):
    address: str
    port: int


_NONE: Mapping[str, Any] = Revision()


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the data plane obeys. Mappings by id; their order is the ids' order."""

    listeners: Mapping[str, Listener] = _NONE
    rules: Mapping[str, Rule] = _NONE
    endpoints: Mapping[str, tuple[Endpoint, ...]] = _NONE  # by backend "ns/name:port": those eligible now, sorted
    certificates: Mapping[str, Certificate] = _NONE  # by Secret "ns/name": those that listeners name


class Bound(msgspec.Struct, frozen=True, tag="bound"):
    pass


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    reason: str  # for the user: "port 80 needs root: ..."


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the data plane did. `version`: the lowest that every living worker has acknowledged; `target`: the one that
    was published last."""

    version: int
    target: int = 0
    listeners: Mapping[str, Bound | Failed] = _NONE  # by Listener.id

    @property
    def complete(self) -> bool:
        """Every living worker serves what was published last."""
        return self.version >= self.target
