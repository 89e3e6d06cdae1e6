"""All settings: every number and address that users can set, with defaults and units.

`options.py` makes options from these; defaults are defined only here.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits on what peers may send and how long they may take. Times are in seconds.

    Each field is the option `--NAME` with dashes and the variable `FASTROUTE_NAME`.
    """

    max_head: int = 64 * 1024  # bytes of start line and fields; beyond: 431
    max_fields: int = 200  # header fields; beyond: 431
    max_target: int = 8 * 1024  # bytes of the request target; beyond: 414
    max_body: int | None = None  # bytes of a request body; beyond: 413
    head_timeout: float = 10.0  # from the first byte of a request to the end of its head; then 408
    body_idle_timeout: float = 60.0  # without a byte sent (then 408) or acknowledged by the client (then a reset)
    idle_timeout: float = 75.0  # kept-alive connection without a request; then closed
    connect_timeout: float = 1.0  # to an endpoint; then another endpoint is tried
    upstream_idle_timeout: float = 30.0  # unused pooled connection; then closed
    tunnel_idle_timeout: float = 3600.0  # upgraded connection without traffic; then closed
    udp_idle_timeout: float = 60.0  # flow of datagrams without traffic; then it ends
    max_flows: int = 65_536  # flows of datagrams per worker; at the limit, one of a client with many gives way
    max_connections: int = 65_536  # client connections per worker; at the limit, no more are accepted
    max_buffered: int = 256 * 1024 * 1024  # bytes of buffers and TLS per worker; beyond: those with the most are closed
    max_connections_per_client: int = 1_024  # of one address, per worker; further ones are closed
    max_connection_age: float | None = None  # of a client connection, plus up to 10 %; closed after its next response
    max_requests_per_connection: int | None = None  # of a client connection; it is closed after the last response
    max_streams: int = 128  # HTTP/2 streams of a client connection at the same time
    min_body_rate: int = 1_024  # bytes per second over 10 s; slower bodies: 408, or the response is cut. 0: no minimum
    max_handshakes: int = 1_024  # TLS handshakes in progress per worker; at the limit, an old one is closed


class Addressing(msgspec.Struct, frozen=True, kw_only=True):
    """The addresses at which listeners bind, and those in the `status.addresses` of Gateways."""

    bind: tuple[str, ...] = ("127.0.0.1",)  # never ""; all addresses: ("0.0.0.0", "::")
    addresses: tuple[str, ...] = ()  # --address, or "service/NAMESPACE/NAME"; empty: `bind` without wildcards
    pool: str | None = None  # --address-pool, a CIDR block
    port_offset: int = 0


EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104
CONTROLLER_NAME = "fastroute.dev/gateway"
CLASS_NAME = "fastroute"
OPERATORS = (("127.0.0.1", 9900), ("127.0.0.1", 9902), ("127.0.0.1", 9901))  # --metrics, --health, --admin


class GraphSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Which objects are managed, and at which addresses they are served."""

    controller_name: str = CONTROLLER_NAME
    class_name: str | None = CLASS_NAME  # the GatewayClass assumed if there is none; None: no class is assumed
    gateways: frozenset[str] = frozenset()  # --gateway, "ns/name"; empty: all Gateways of our classes
    watched: frozenset[str] = frozenset()  # --watch-namespace; empty: the objects of all namespaces are read
    addressing: Addressing = Addressing()
    max_ports: int = 1_024  # ports of all Gateways and ListenerSets; beyond: PortUnavailable (graph/ports.py)
    port_limit: str = "--max-ports 1024"  # what sets `max_ports`, for messages
    bundle_version: str | None = None  # of the installed CRDs, for example "v1.6.3"; None: manifests, or unknown
    infrastructure: bool = False  # keep a Service with the metadata of each Gateway's `spec.infrastructure`
    local_endpoints: bool = True  # loopback, link-local and metadata addresses may be endpoints
    operators: tuple[tuple[str, int], ...] = OPERATORS  # --metrics, --health, --admin: never endpoints
    machine: frozenset[str] = frozenset()  # addresses of this machine, if listeners bind to all of them
    system_anchors: bool = True  # this machine has CA certificates of the operating system
    missing: Mapping[str, str] = {}  # kinds that the API server does not serve, and the reasons


class LogSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The log of events on stderr (not the access log)."""

    level: str = "info"  # debug, info, warning, error
    format: str | None = None  # "text", "json"; None: text on a terminal, else JSON


class KubernetesSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The API server to follow, and the credentials."""

    kubeconfig: Path | None = None  # None: in a pod its service account, else KUBECONFIG or ~/.kube/config
    context: str | None = None  # of the kubeconfig; None: the current context
    status_lease: str | None = (
        None  # "ns/name": only its holder writes; None: a pod's own, elsewhere nothing is written
    )
    infrastructure: bool = False  # keep a Service for each Gateway that has spec.infrastructure


class ServeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of `fastroute serve`; each field is an option. Addresses are (host, port), times are seconds."""

    manifests: tuple[Path, ...] = ()  # exclusive with `kubernetes`
    kubernetes: KubernetesSettings | None = None
    graph: GraphSettings = GraphSettings()
    workers: int | None = None  # None: the CPUs this process may use
    limits: Limits = Limits()
    metrics: tuple[str, int] | None = ("127.0.0.1", 9900)  # /metrics, /healthz, /readyz; None: disabled
    health: tuple[str, int] | None = ("127.0.0.1", 9902)  # /healthz, /readyz in a thread of their own; None: disabled
    health_required: bool = False  # whether serve ends if `health` is in use
    admin: tuple[str, int] | None = ("127.0.0.1", 9901)  # JSON about what is served; None: disabled
    admin_required: bool = False  # whether serve ends if `admin` is in use
    admin_hosts: frozenset[str] = frozenset()  # further names by which `admin` is asked
    metrics_series: int = 2_000  # per family; further series are counted in `other`
    access_log: str | None = None  # a path, "-" for stdout, None: off
    access_log_format: str = "json"  # or "common", "combined"
    access_log_sample: float = 1.0  # part of the lines that are written; lines about failures always are
    otlp: str | None = None  # URL of the collector of traces; None: no tracing
    trace_sampling: float = 0.01  # part of the traces that begin here and are exported
    drain_delay: float = 0.0  # after SIGTERM: still accept connections, but answer with `Connection: close`
    drain_timeout: float = 30.0  # then: the maximum time to finish exchanges in progress
    trusted_proxies: tuple[str, ...] = ()  # CIDR blocks
    proxy_protocol: bool = False
    merge_slashes: bool = False
    underscores: str = "remove"  # or "allow": request header fields with "_" in their names
    installation: str = ""  # identity in Fastroute-Loop; app.py determines it, there is no option
    local_ports: tuple[int, int] = (32_768, 60_999)  # first and last; app.py asks the kernel, there is no option
    log: LogSettings = LogSettings()
