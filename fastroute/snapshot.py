"""The interface between control plane and data plane: a Snapshot down, an Outcome back. Plain, immutable data.

A Snapshot is the configuration of the data plane. The data plane does not depend on Kubernetes: names are only labels
for logs and metrics. `compile_snapshot` creates the Snapshot, the supervisor publishes the differences to the workers
(publication.py), and a worker builds its tables from it. The same input gives the same Snapshot.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from fastroute.difference import Revision
from fastroute.place import Place, Transport


class Certificate(msgspec.Struct, frozen=True):
    """A certificate with its private key, as PEM. Neither may appear in a repr, log, response or file."""

    chain: bytes  # the leaf first, then the issuers
    key: bytes

    def __repr__(self) -> str:
        return "Certificate(...)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class Mode(StrEnum):
    """What a listener does with what arrives at its place."""

    HTTP = "http"  # requests in cleartext
    TERMINATE = "terminate"  # ends TLS; ListenerTLS.protocol says what is in it
    PASSTHROUGH = "passthrough"  # passes TLS on unread, by its server name
    RAW = "raw"  # passes the bytes of connections on
    DATAGRAMS = "datagrams"  # passes datagrams on

    @property
    def transport(self) -> Transport:
        return Transport.UDP if self is Mode.DATAGRAMS else Transport.TCP


class ClientValidation(msgspec.Struct, frozen=True, kw_only=True):
    """How a listener verifies the certificates of its clients (ext/tls/admission)."""

    trust_anchors: bytes  # CA certificates as PEM
    optional: bool = False  # also serve clients without a certificate, or with one that is not valid


class ListenerTLS(msgspec.Struct, frozen=True, kw_only=True):
    """How a listener terminates TLS. Among certificates with the same type of key, the first that covers the client's
    server name is used, else the first."""

    certificates: tuple[str, ...]  # ids in Snapshot.certificates, in order of preference
    min_version: str = "1.2"  # or "1.3"
    max_version: str = "1.3"
    ciphers: str = ""  # names of OpenSSL, separated by ":", in order of preference; "": the default list
    alpn: tuple[str, ...] = ("h2", "http/1.1")  # in order of preference
    protocol: str = "http"  # of the decrypted bytes; or "raw"
    clients: ClientValidation | None = None  # None: clients are not asked for a certificate


class ListenerTracing(msgspec.Struct, frozen=True, kw_only=True):
    """How requests of a listener are traced, if an XTelemetryPolicy says so and not the options."""

    number: int  # of the policy as it is now, from 1: it is in each line of a trace (GatewayTracing)
    traced: bool = True  # False: they are not, and their traceparent passes unchanged
    sampling: float | None = None  # part of the traces that begin here; None: --trace-sampling
    # Part of the traces whose sender has sampled them; those that it has not sampled are not. None: the decision of the
    # sender is ignored, `sampling` is for all.
    parent_sampling: float | None = 1.0
    headers: tuple[
        str, ...
    ] = ()  # lowercase names of fields of the request or the answer that are in the line of a trace


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """One listener of one Gateway on one address."""

    id: str  # "ns/gateway/listener@address"
    gateway: str  # "ns/name"
    name: str
    place: Place  # its port includes the offset
    spec_port: int  # the port in the Gateway, used in redirects
    hostname: str  # lower case; "": any host; "*.example.com": all names below
    mode: Mode = Mode.HTTP
    tls: ListenerTLS | None = None  # only with mode TERMINATE
    tracing: ListenerTracing | None = None  # None: as the options say

    @property
    def scheme(self) -> str:
        """As in a URL: "http", "https", "tls", "tcp" or "udp"."""
        return "https" if self.tls is not None and self.tls.protocol == "http" else _SCHEMES[self.mode]


_SCHEMES = {
    Mode.HTTP: "http",
    Mode.TERMINATE: "tls",
    Mode.PASSTHROUGH: "tls",
    Mode.RAW: "tcp",
    Mode.DATAGRAMS: "udp",
}


class PathMatch(msgspec.Struct, frozen=True):
    type: str  # "Exact" | "PathPrefix" | "RegularExpression"
    value: str  # normalised like request paths; a PathPrefix has no final slash ("" matches everything)


class ValueMatch(msgspec.Struct, frozen=True):
    """A header (name in lower case) or query parameter."""

    name: str
    value: str
    type: str = "Exact"  # or "RegularExpression"


class Match(msgspec.Struct, frozen=True, kw_only=True):
    path: PathMatch
    method: str | None = None  # of a rule with `calls`: the method of gRPC, the last part of the path
    headers: tuple[ValueMatch, ...] = ()
    query: tuple[ValueMatch, ...] = ()
    rank: tuple[int | str, ...]  # for one hostname and path, the smallest wins (compiler/precedence.py)


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
    """Copies `numerator` of `denominator` requests to an endpoint of `backend`. Their responses are ignored."""

    backend: str  # its id in Snapshot.backends
    numerator: int = 1
    denominator: int = 1


class Cors(msgspec.Struct, frozen=True, kw_only=True, tag="cors"):
    """The origins whose pages may read responses. "*" must be the only entry of its list."""

    origins: tuple[str, ...]  # lower case; "*", or as browsers send it; "https://*.bar.com": one or more labels
    credentials: bool = False
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    max_age: int = 5  # seconds for which browsers may cache a preflight response


Filter = HeaderModifier | Redirect | Rewrite | Mirror | Cors


class WeightedBackend(msgspec.Struct, frozen=True, kw_only=True):
    """One backendRef: its share goes to `backend`, or is answered with `status` (it is never redistributed)."""

    weight: int
    backend: str  # its id in Snapshot.backends (graph/backend_id.py); also if it is refused
    status: int | None = None  # None: forward
    reason: str | None = None  # a name in REASONS of ext/routing/tables, for example "reference_refused"
    filters: tuple[Filter, ...] = ()

    @property
    def label(self) -> str:
        """ "ns/name:port", for logs and metrics."""
        return backend_label(self.backend)


def backend_label(backend: str) -> str:
    """The Service and the port in the id of a backend.

    >>> backend_label("a/x:80/h2"), backend_label("a/x:80/@b/y"), backend_label("a/x")
    ('a/x:80', 'a/x:80', 'a/x')
    """
    service, colon, rest = backend.partition(":")
    return service + colon + rest.partition("/")[0]


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """When a failed attempt is followed by another one; see ext/routing/retry for the classes of failures."""

    attempts: int  # retries after the first attempt; 0: none
    codes: tuple[int, ...] = ()  # status codes of the backend, 400 to 599, after which another attempt is made
    backoff_ms: int = 25  # before the first retry; see ext/routing/retry for the following ones


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Requests with the token of a response go to the endpoint that sent the response, while it is eligible."""

    name: str  # of the cookie, or of the header field
    key: bytes  # 16 bytes that encrypt the tokens: different for each rule, the same at every replica
    header: bool = False  # send the token in a header field instead of a cookie
    path: str = "/"  # of the cookie
    lifetime_s: int = 0  # older tokens are ignored; 0: no limit
    permanent: bool = False  # the cookie has a Max-Age, so that it outlives the browser
    holds_backend: bool = True  # the token selects the backend, whatever the weights; else only the endpoint


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule of a route that is attached to a listener. A request that no filter answers goes to a backend chosen by
    weight. Without backends ("no_backend_refs"), or if all weights are 0 ("zero_weights"), the response is 500.

    A rule of an L4 listener has backends only. It takes connections by the server name of TLS, or all connections or
    datagrams if its hostname is "". Each hostname of such a listener belongs to one rule."""

    id: str  # "LISTENER ID|KIND|ns/route|index"
    listener: str  # Listener.id
    hostnames: tuple[str, ...]  # those of the route that intersect the listener's; ("",) if it has none
    gateway: str  # this and the following: labels
    listener_name: str
    route: str
    route_kind: str
    name: str  # the rule's name or its index
    calls: bool = False  # takes only calls of gRPC, before the rules of the listener that take all requests
    matches: tuple[Match, ...]
    filters: tuple[Filter, ...] = ()
    backends: tuple[WeightedBackend, ...] = ()
    request_timeout_ms: int = 0  # 0: none
    backend_timeout_ms: int = 0
    session: Session | None = None
    retry: Retry | None = None  # None: retry only what the backend cannot have processed


class BackendTLS(msgspec.Struct, frozen=True, kw_only=True):
    """How connections to a backend use TLS, by content: equal values mean that connections are exchangeable
    (ext/tls/verification)."""

    server_name: str  # sent as SNI; the certificate must be valid for it, unless there are subject names
    trust_anchors: bytes = b""  # CA certificates as PEM; empty: those of the operating system
    subject_names: tuple[str, ...] = ()  # the certificate must be valid for one of these,
    subject_uris: tuple[str, ...] = ()  # or contain one of these
    client_certificate: Certificate | None = None  # of the gateway


class Backend(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is spoken on connections to the endpoints of a backend: their pool key (ext/routing/poolkey)."""

    # "h1": HTTP/1.1. "h2": HTTP/2, without TLS by prior knowledge, with TLS only if the backend agrees to it (ALPN).
    # "raw": bytes, of TCPRoutes and TLSRoutes
    protocol: str = "h1"
    tls: BackendTLS | None = None
    proxy_protocol: bool = False  # connections begin with a PROXY header, version 2


class Endpoint(msgspec.Struct, frozen=True, order=True):
    address: str
    port: int


class Collector(msgspec.Struct, frozen=True, kw_only=True):
    """What gets spans over OTLP/HTTP, at the path /v1/traces."""

    service: str  # "ns/name:port"
    endpoints: tuple[Endpoint, ...]  # none: nothing can be sent now
    tls: BackendTLS | None = None  # without subject names: the certificate must be valid for the server name
    headers: tuple[tuple[str, str], ...] = ()  # of the requests; they may contain tokens

    def __repr__(self) -> str:
        return f"Collector({self.service!r})"


class GatewayTracing(msgspec.Struct, frozen=True, kw_only=True):
    """What the main process does with the lines of the traces of one Gateway that a policy has sampled.

    `number` is that of ListenerTracing. Lines with another number are of an older policy, and are dropped.
    """

    number: int
    policy: str  # "ns/name"
    collector: Collector
    service_name: str | None = None  # of the resource
    span_name: str | None = None
    literals: tuple[tuple[str, str], ...] = ()  # attributes of every span: name and value
    keys: tuple[tuple[str, str], ...] = ()  # name and key of the semantic conventions
    headers: tuple[str, ...] = ()  # names, one for each of ListenerTracing.headers


_NONE: Mapping[str, Any] = Revision()


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The complete configuration of the data plane. Mappings are by id and ordered by id."""

    listeners: Mapping[str, Listener] = _NONE
    rules: Mapping[str, Rule] = _NONE
    # By id: "ns/name:port"; or "ns/name:port/h2", if HTTP/2 is spoken for some rules, whatever is spoken for others.
    # "ns/name:port/raw" and "ns/name:port/udp" are those of L4 rules. "/@ns/secret" follows if a Gateway has a client
    # certificate, "/@passthrough" if it is named by a listener that passes TLS on although a policy demands TLS.
    backends: Mapping[str, Backend] = _NONE  # those of which `endpoints` has the endpoints
    endpoints: Mapping[str, tuple[Endpoint, ...]] = _NONE  # eligible endpoints by the id of the backend, sorted
    certificates: Mapping[str, Certificate] = _NONE  # by Secret "ns/name": those that listeners or Gateways refer to
    tracing: Mapping[str, GatewayTracing] = {}  # by Gateway "ns/name"; only the main process gets it


class Bound(msgspec.Struct, frozen=True, tag="bound"):
    pass


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    reason: str  # for users: "port 80 needs root: ..."


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of publications. `version`: the lowest version that every living worker has acknowledged; `target`:
    the version published last."""

    version: int
    target: int = 0
    listeners: Mapping[str, Bound | Failed] = _NONE  # by Listener.id

    @property
    def complete(self) -> bool:
        """Every living worker serves the version published last."""
        return self.version >= self.target
