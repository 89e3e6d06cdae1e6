"""The options of the commands in one table, and the settings that they become. The defaults are in settings.py.

A command adds options with `takes` (option.py). The functions at the end convert the chosen options to settings.
"""

from pathlib import Path
from typing import Any

import msgspec

from fastroute import notation
from fastroute.errors import SettingError
from fastroute.log_options import ACCESS_LOG, TRACES
from fastroute.option import Option, duration, number, several, size, switch
from fastroute.settings import (
    EVERYWHERE,
    Addressing,
    GraphSettings,
    KubernetesSettings,
    Limits,
    LogSettings,
    ServeSettings,
)

_LIMITS = Limits()
_GRAPH = GraphSettings()
_SERVE = ServeSettings()
_METRICS = {False: _SERVE.metrics, True: ("::", 9900)}  # key: whether the source is a cluster
_HEAD_MOST = 16 << 20  # bytes
_FIELDS_MOST = 100_000
_PORTS_MOST = 1_000_000
_STREAMS_MOST = 1_000
_FLOWS_MOST = 1_048_576
MOST_WATCHED = 32  # namespaces: in each of them, each kind needs a connection and a thread
_IPV6 = Path("/proc/net/if_inet6")  # exists if the kernel supports IPv6
UNSAID = ""  # value of an option that is not given, if it can be off or its default depends on other options


HEALTH_PORT = 9902
SocketAddress = tuple[str, int]


def _optional_address(text: str) -> SocketAddress | str | None:
    return UNSAID if text == UNSAID else notation.socket_address(text)


MANIFESTS = Option(
    name="--manifests",
    meaning="Read every *.yaml, *.yml, *.json below PATH. Links to folders outside are not followed. Repeatable.",
    type=list[Path],
    metavar="PATH",
)

# Shared by serve, check and explain: which objects are managed, at which addresses they are served, and which addresses
# of the gateway itself are no endpoints.
WORLD = (
    Option(
        name="--controller-name",
        meaning="Serve the GatewayClasses with this controllerName.",
        default=_GRAPH.controller_name,
        metavar="NAME",
    ),
    several("--gateway", "Use only this Gateway.", notation.object_name, "NAMESPACE/NAME"),
    Option(
        name="--bind",
        meaning="Address at which listeners bind; 0.0.0.0 or :: for all addresses.",
        default=None,
        type=str | None,
        read=notation.address,
        metavar="ADDRESS",
        shown=f"{_GRAPH.addressing.bind[0]}; in a cluster all addresses",
    ),
    several(
        "--address",
        "Address for status.addresses if --bind is 0.0.0.0 or ::; service/NAMESPACE/NAME: addresses of that Service.",
        notation.reached_at,
        "ADDRESS",
    ),
    Option(
        name="--address-pool",
        meaning="Instead of --bind: assign each Gateway its own address from this block.",
        default=None,
        type=str | None,
        read=notation.network,
        metavar="CIDR",
    ),
    number(
        "--max-ports",
        "Maximum number of ports of all Gateways and ListenerSets; those of Gateways come first.",
        _GRAPH.max_ports,
        at_most=_PORTS_MOST,
    ),
    Option(
        name="--port-offset",
        meaning="Number added to the port that a listener binds; with 8000, port 80 works without root.",
        default=0,
        type=int,
        metavar="N",
        at_least=0,
    ),
    Option(
        name="--metrics",
        meaning="Address for /metrics, and also /healthz and /readyz, or `off`.",
        default=UNSAID,
        read=_optional_address,
        metavar="ADDRESS:PORT",
        shown="127.0.0.1:9900; in a cluster [::]:9900",
    ),
    Option(
        name="--health",
        meaning="Address for /healthz and /readyz, or `off`. Scrapes of /metrics cannot delay it.",
        default=UNSAID,
        read=_optional_address,
        metavar="ADDRESS:PORT",
        shown=f"port {HEALTH_PORT} at the address of --metrics",
    ),
    Option(
        name="--admin",
        meaning="Address for the admin API: JSON about what is served; or `off`. It has no authentication.",
        default=UNSAID,
        read=_optional_address,
        metavar="ADDRESS:PORT",
        shown="127.0.0.1:9901",
    ),
)

CLUSTER = (
    switch("--kubernetes", "Read from an API server instead of files; the default in a pod."),
    Option(
        name="--kubeconfig",
        meaning="Kubeconfig file for access to the API server from outside of a pod.",
        default=None,
        type=Path | None,
        metavar="PATH",
        shown="KUBECONFIG, or ~/.kube/config",
    ),
    Option(
        name="--context",
        meaning="Context of the kubeconfig.",
        default=None,
        type=str | None,
        metavar="NAME",
        shown="its current context",
    ),
    several(
        "--watch-namespace",
        f"Read only this namespace of the cluster, with a Role in it instead of a ClusterRole; at most {MOST_WATCHED}.",
        notation.namespace_name,
        "NAME",
    ),
)

ASKED = Option(
    name="--admin",
    meaning="Ask the running gateway with this admin API. With another source: an address that no endpoint may have.",
    default=UNSAID,
    metavar="URL",
    shown="127.0.0.1:9901",
)
_READ_CLUSTER = "Also read the objects of a cluster, with your own rights; nothing is written."
CHECK = (
    *(switch(one.name, _READ_CLUSTER) if one.name == "--kubernetes" else one for one in CLUSTER),
    *WORLD,
)
EXPLAIN = (
    msgspec.structs.replace(MANIFESTS, default=None, type=list[Path] | None),
    *(ASKED if option.name == ASKED.name else option for option in CHECK),
)

_OF_BOTH = "of a request (else 431) or of a backend's response (else 502), including trailers."

# Numbers that the engine counts in 32 bits, including their sums, have an upper bound here.
LIMITS = (
    size("--max-head", f"Maximum size of start line and fields {_OF_BOTH}", _LIMITS.max_head, at_most=_HEAD_MOST),
    number("--max-fields", f"Maximum number of header fields {_OF_BOTH}", _LIMITS.max_fields, at_most=_FIELDS_MOST),
    size("--max-target", "Maximum size of a request target; else 414.", _LIMITS.max_target, at_most=_HEAD_MOST),
    size("--max-body", "Maximum size of a request body; else 413.", _LIMITS.max_body),
    duration(
        "--head-timeout",
        "Maximum time to receive a request head (then 408), or the ClientHello of a TLS client (then it is closed).",
        _LIMITS.head_timeout,
    ),
    duration(
        "--body-idle-timeout",
        "Maximum time in which a client sends nothing of a body (then 408), a client acknowledges nothing of a "
        "response, or a backend acknowledges nothing of a request body (then 504). The last two are longer for peers "
        "with large receive buffers.",
        _LIMITS.body_idle_timeout,
    ),
    duration("--idle-timeout", "Idle time after which a kept-alive client connection is closed.", _LIMITS.idle_timeout),
    duration(
        "--connect-timeout",
        "Maximum time to connect to an endpoint; then another one is tried.",
        _LIMITS.connect_timeout,
    ),
    duration(
        "--upstream-idle-timeout",
        "Idle time after which an unused connection to an endpoint is closed.",
        _LIMITS.upstream_idle_timeout,
    ),
    duration(
        "--tunnel-idle-timeout",
        "Idle time after which an upgraded connection is closed, or a TCP or TLS connection passed on is reset.",
        _LIMITS.tunnel_idle_timeout,
    ),
    duration(
        "--udp-idle-timeout",
        "Idle time after which a UDP flow ends.",
        _LIMITS.udp_idle_timeout,
    ),
    number(
        "--max-flows",
        "Maximum number of UDP flows per worker; at the limit, the start of a flow ends another one.",
        _LIMITS.max_flows,
        at_most=_FLOWS_MOST,
    ),
    number(
        "--max-connections",
        "Maximum number of client connections per worker; at the limit, no more are accepted.",
        _LIMITS.max_connections,
    ),
    size(
        "--max-buffered",
        "Maximum memory of buffers and TLS connections per worker; above it, those that hold the most are closed.",
        _LIMITS.max_buffered,
    ),
    number(
        "--max-connections-per-client",
        "Maximum number of connections of one client address (IPv6: of one /64) per worker; further ones are closed. "
        "Addresses in --trusted-proxies have no limit.",
        _LIMITS.max_connections_per_client,
    ),
    duration(
        "--max-connection-age",
        "Maximum age of a client connection, plus up to 10 %; then it is closed after its next response, or when idle.",
        _LIMITS.max_connection_age,
    ),
    number(
        "--max-requests-per-connection",
        "Maximum number of requests of a client connection; it is closed after the last response.",
        _LIMITS.max_requests_per_connection,
        shown="no limit",
    ),
    number(
        "--max-streams",
        "Maximum number of HTTP/2 streams of a client connection at the same time; further ones are refused.",
        _LIMITS.max_streams,
        at_most=_STREAMS_MOST,
    ),
    Option(
        name="--min-body-rate",
        meaning="Minimum rate of request and response bodies over 10 s, or `off`. Slower requests get 408, slower "
        "responses are cut.",
        default=_LIMITS.min_body_rate,
        type=int,
        read=notation.rate,
        metavar="BYTES/s",
        shown=f"{notation.shown_size(_LIMITS.min_body_rate)}/s",
    ),
    number(
        "--max-handshakes",
        "Maximum number of TLS handshakes in progress per worker; at the limit, an old one is closed.",
        _LIMITS.max_handshakes,
    ),
)

SERVE = (
    msgspec.structs.replace(MANIFESTS, default=None, type=list[Path] | None),
    *CLUSTER,
    Option(
        name="--status-lease",
        meaning="Lease for leader election: only its holder writes statuses, Events and Services.",
        default=None,
        type=str | None,
        read=notation.object_name,
        metavar="NAMESPACE/NAME",
        shown="in a pod: fastroute in its namespace; elsewhere: nothing is written",
    ),
    switch("--infrastructure", "Maintain a Service for each Gateway, with the metadata in its spec.infrastructure."),
    *WORLD,
    several(
        "--admin-host",
        "Name or IP address by which clients may ask the admin API, besides its address and localhost.",
        notation.host,
        "NAME",
    ),
    number("--workers", "Number of worker processes.", _SERVE.workers, shown="CPUs this process may use"),
    number(
        "--metrics-series",
        "Maximum number of series per metric; further series are counted as `other`.",
        _SERVE.metrics_series,
    ),
    *ACCESS_LOG,
    *TRACES,
    duration(
        "--drain-delay",
        "Time after SIGTERM in which connections are still accepted, while /readyz answers 503.",
        _SERVE.drain_delay,
    ),
    duration(
        "--drain-timeout",
        "Maximum time after --drain-delay to finish requests in flight, and TCP and TLS connections passed on.",
        _SERVE.drain_timeout,
    ),
    several("--trusted-proxies", "Peers whose X-Forwarded-* fields are trusted.", notation.network, "CIDR"),
    switch(
        "--allow-local-endpoints",
        "In a cluster, also send requests to endpoints with loopback, link-local or metadata addresses.",
    ),
    switch("--proxy-protocol", "Accept PROXY protocol v1 and v2, only from trusted peers."),
    switch("--merge-slashes", "Merge // in paths into /."),
    Option(
        name="--underscores",
        meaning="Request header fields with `_` in their names: remove or allow.",
        default=_SERVE.underscores,
        read=notation.one_of("remove", "allow"),
        metavar="WORD",
    ),
    *LIMITS,
    Option(
        name="--log-level",
        meaning="debug, info, warning or error.",
        default=_SERVE.log.level,
        read=notation.one_of("debug", "info", "warning", "error"),
        metavar="LEVEL",
    ),
    Option(
        name="--log-format",
        meaning="text or json.",
        default=None,
        type=str | None,
        read=notation.one_of("text", "json"),
        metavar="FORMAT",
        shown="text on a terminal, else json",
    ),
)


def graph_settings(chosen: dict[str, Any], *, cluster: bool = False) -> GraphSettings:
    """Settings from the options WORLD. With `cluster`, no GatewayClass is assumed if there is none, and listeners bind
    all addresses by default."""
    bind = (chosen["bind"],) if chosen["bind"] else _everywhere() if cluster else _GRAPH.addressing.bind
    return GraphSettings(
        class_name=None if cluster else _GRAPH.class_name,
        controller_name=chosen["controller_name"],
        gateways=frozenset(chosen["gateway"] or ()),
        watched=_watched(chosen, cluster=cluster),
        infrastructure=cluster and chosen.get("infrastructure", False),
        local_endpoints=not cluster or chosen.get("allow_local_endpoints", False),
        max_ports=chosen["max_ports"],
        port_limit=f"--max-ports {chosen['max_ports']}",
        addressing=Addressing(
            bind=bind,
            addresses=tuple(chosen["address"] or ()),
            pool=chosen["address_pool"],
            port_offset=chosen["port_offset"],
        ),
        operators=tuple(filter(None, _operators(chosen, cluster=cluster))),
    )


def _watched(chosen: dict[str, Any], *, cluster: bool) -> frozenset[str]:
    """Raises SettingError if these namespaces cannot be watched, or do not contain what other options name."""
    names = frozenset[str](chosen["watch_namespace"] or ())
    if names and not cluster:
        raise SettingError(
            "--watch-namespace is for the objects of a cluster (--kubernetes). Manifests are read completely: give "
            "only the files or folders of these namespaces"
        )
    if len(names) > MOST_WATCHED:
        raise SettingError(
            f"--watch-namespace: {len(names)} namespaces, but at most {MOST_WATCHED} can be watched. Without this "
            "option all namespaces are read, with a ClusterRole"
        )
    for gateway in chosen["gateway"] or ():
        if names and (namespace := gateway.split("/")[0]) not in names:
            raise SettingError(f"--gateway {gateway}: its namespace is not read. Add --watch-namespace {namespace}")
    return names


def _everywhere() -> tuple[str, ...]:
    """Only IPv4 if the kernel has no IPv6 (ipv6.disable=1)."""
    return EVERYWHERE if _IPV6.exists() else EVERYWHERE[:1]


def serve_settings(chosen: dict[str, Any]) -> ServeSettings:
    """Settings from the options SERVE. Raises SettingError."""
    kubernetes = _kubernetes_settings(chosen)
    metrics, health, admin = _operators(chosen, cluster=kubernetes is not None)
    same = (
        "workers", "metrics_series", "access_log_format", "access_log_sample", "trace_sampling", "drain_delay",
        "drain_timeout", "proxy_protocol", "merge_slashes", "underscores",
    )  # fmt: skip
    return ServeSettings(
        manifests=tuple(chosen["manifests"] or ()),
        kubernetes=kubernetes,
        metrics=metrics,
        health=health,
        health_required=chosen["health"] != UNSAID,
        admin=admin,
        admin_required=chosen["admin"] != UNSAID,
        admin_hosts=frozenset(chosen["admin_host"] or ()),
        graph=graph_settings(chosen, cluster=kubernetes is not None),
        limits=Limits(**{option.parameter: chosen[option.parameter] for option in LIMITS}),
        access_log=None if chosen["access_log"] == "off" else chosen["access_log"],
        otlp=None if chosen["otlp"] == "off" else chosen["otlp"],
        trusted_proxies=tuple(chosen["trusted_proxies"] or ()),
        log=LogSettings(level=chosen["log_level"], format=chosen["log_format"]),
        **{name: chosen[name] for name in same},
    )


def _operators(chosen: dict[str, Any], *, cluster: bool) -> tuple[SocketAddress | None, ...]:
    """--metrics, --health and --admin; None: off."""
    metrics = _METRICS[cluster] if chosen["metrics"] == UNSAID else chosen["metrics"]
    admin = _SERVE.admin if chosen["admin"] == UNSAID else chosen["admin"]
    if chosen["health"] != UNSAID:
        return metrics, chosen["health"], admin
    return metrics, (metrics[0], HEALTH_PORT) if metrics else None, admin


def _kubernetes_settings(chosen: dict[str, Any]) -> KubernetesSettings | None:
    """None: manifests. Raises SettingError unless exactly one source is given."""
    asked = chosen["kubernetes"] or chosen["kubeconfig"] is not None or chosen["context"] is not None
    if chosen["manifests"]:
        if asked:
            raise SettingError("--manifests and --kubernetes are mutually exclusive")
        return None
    if not asked and not _in_pod():
        raise SettingError("nothing to serve: give --manifests PATH, or --kubernetes and a kubeconfig for a cluster")
    return KubernetesSettings(
        **{name: chosen[name] for name in ("kubeconfig", "context", "status_lease", "infrastructure")}
    )


def reads_cluster(chosen: dict[str, Any]) -> bool:
    """Whether the options CHECK ask for a cluster."""
    return bool(chosen["kubernetes"] or chosen["kubeconfig"] or chosen["context"])


def _in_pod() -> bool:
    from fastroute.apiserver.account import in_pod

    return in_pod()
