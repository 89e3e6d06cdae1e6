"""Every number and address a user can set, once: defaults, units, and the option that sets it.

`cli.py` makes options of these; nobody else has defaults of their own.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on what peers may send and how long they may take (interface: "Limits"). Times in seconds.

    One table: each field is the option `--NAME` with dashes and the variable `FASTROUTE_NAME`.
    """

    max_head: int = 64 * 1024  # bytes of start line and fields; above: 431
    max_fields: int = 200  # header fields; above: 431
    max_target: int = 8 * 1024  # bytes of the request target; above: 414
    max_body: int | None = None  # bytes of a request body; above: 413
    head_timeout: float = 10.0  # from a request's first byte to the end of its head; then 408
    body_idle_timeout: float = 60.0  # between two pieces of a body; then 408
    idle_timeout: float = 75.0  # keep-alive connection without a request; then closed
    connect_timeout: float = 1.0  # to an endpoint; then another endpoint
    upstream_idle_timeout: float = 30.0  # unused pooled connection; then closed
    tunnel_idle_timeout: float = 3600.0  # upgraded connection through which nothing goes; then closed
    max_connections: int = 65_536  # client connections per worker; at it, no more are accepted
    max_handshakes: int = 1_024  # TLS handshakes in progress per worker; at it, the oldest gives way


class Addressing(msgspec.Struct, frozen=True, kw_only=True):
    """Where listeners bind, and what Gateways' `status.addresses` say."""

    bind: tuple[str, ...] = ("127.0.0.1",)  # "" never occurs; ("0.0.0.0", "::") is everywhere
    addresses: tuple[str, ...] = ()  # --address, also "service/NAMESPACE/NAME"; empty: the concrete `bind`
    pool: str | None = None  # --address-pool, a CIDR block
    port_offset: int = 0


EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104
CONTROLLER_NAME = "fastroute.dev/gateway"
CLASS_NAME = "fastroute"


class GraphSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What of the world is ours, and where it is served."""

    controller_name: str = CONTROLLER_NAME
    class_name: str | None = CLASS_NAME  # the GatewayClass that is assumed when there is none at all; None: none is
    gateways: frozenset[str] = frozenset()  # --gateway, "ns/name"; empty: all of our classes
    addressing: Addressing = Addressing()
    bundle_version: str | None = None  # of the CRDs that are installed, "v1.6.3"; None: manifests, or not known
    infrastructure: bool = False  # a Service carries what each Gateway's `spec.infrastructure` says
    missing: Mapping[str, str] = {}  # kinds that the API server does not serve: why


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Our own events (not the access log), to stderr."""

    level: str = "info"  # debug, info, warning, error
    format: str | None = None  # "text", "json"; None: text on a terminal, else JSON


class KubernetesSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which API server to follow, and as whom."""

    kubeconfig: Path | None = None  # None: a pod's service account, elsewhere KUBECONFIG or ~/.kube/config
    context: str | None = None  # of the kubeconfig; None: its current one
    status_lease: str | None = (
        None  # "ns/name": only its holder writes; None: a pod's own, elsewhere nothing is written
    )
    infrastructure: bool = False  # keep a Service beside each Gateway that has spec.infrastructure


class ServeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `fastroute serve` was told; each field is an option. Addresses are (host, port), times seconds."""

    manifests: tuple[Path, ...] = ()  # either these, or
    kubernetes: KubernetesSettings | None = None
    graph: GraphSettings = GraphSettings()
    workers: int | None = None  # None: the CPUs this process may use
    limits: Limits = Limits()
    metrics: tuple[str, int] | None = ("127.0.0.1", 9900)  # /metrics, /healthz, /readyz; None: nowhere
    metrics_series: int = 2_000  # of each family; what comes later counts as `other`
    access_log: str | None = None  # a path, "-" for stdout, None: off
    drain_delay: float = 0.0  # after SIGTERM: still accept, but say `Connection: close`
    drain_timeout: float = 30.0  # then: finish what is in flight, at most so long
    trusted_proxies: tuple[str, ...] = ()  # CIDR blocks
    proxy_protocol: bool = False
    merge_slashes: bool = False
    underscores: str = "remove"  # or "allow": fields of requests whose names contain "_"
    log: LogSettings = LogSettings()
