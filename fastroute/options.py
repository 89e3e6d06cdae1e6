"""The options of the commands in one table: name, description, parser. The defaults are in settings.py.

Every option is also an environment variable: FASTROUTE_DRAIN_DELAY for `--drain-delay` (several values are separated by
spaces, paths by colons, headers by newlines). `takes` adds options to a command, so that each option is defined once,
however many commands have it; the functions at the end convert the chosen options to settings.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from fastroute import notation
from fastroute.errors import SettingError
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
_IPV6 = Path("/proc/net/if_inet6")  # exists if the kernel supports IPv6
UNSAID = ""  # value of an option that is not given, if it can be off or its default depends on other options


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One row. Without `read`, the text is parsed according to `type`."""

    name: str
    meaning: str
    default: Any = ...  # ...: required
    type: Any = str
    metavar: str | None = None
    read: Callable[[str], Any] | None = None
    shown: str | None = None  # the default as displayed in --help
    at_least: int | None = None
    at_most: int | None = None

    @property
    def parameter(self) -> str:
        return self.name.strip("-").replace("-", "_")

    def annotation(self) -> Any:
        more: dict[str, Any] = {"parser": _reader(self.read, self.at_most)} if self.read else {"max": self.at_most}
        return Annotated[
            self.type,
            typer.Option(
                self.name,
                help=self.meaning,
                metavar=self.metavar,
                min=self.at_least,
                envvar="FASTROUTE_" + self.parameter.upper(),
                show_envvar=False,
                show_default=self.shown or not (self.default is None or self.default is False),
                **more,
            ),
        ]


def _reader(read: Callable[[str], Any], at_most: int | None) -> Callable[[str], Any]:
    """`read` for typer: a SettingError becomes a usage error, exit code 2."""

    def value(text: str) -> Any:
        try:
            found = read(text)
        except SettingError as error:
            raise typer.BadParameter(str(error)) from None
        if at_most is not None and found > at_most:
            raise typer.BadParameter(f"{text!r} is more than {notation.shown_size(at_most)}")
        return found

    return value


def _time(name: str, meaning: str, default: float) -> Option:
    shown = notation.shown_duration(default)
    return Option(
        name=name, meaning=meaning, default=default, type=float, read=notation.duration, metavar="TIME", shown=shown
    )


def _size(name: str, meaning: str, default: int | None, at_most: int | None = None) -> Option:
    shown = notation.shown_size(default)
    kind = int if default is not None else int | None
    return Option(
        name=name,
        meaning=meaning,
        default=default,
        type=kind,
        read=notation.size,
        metavar="BYTES",
        shown=shown,
        at_most=at_most,
    )


def _number(name: str, meaning: str, default: int | None, shown: str | None = None, at_most: int = 1 << 24) -> Option:
    kind = int if default is not None else int | None
    return Option(
        name=name, meaning=meaning, default=default, type=kind, metavar="N", at_least=1, at_most=at_most, shown=shown
    )


def _several(name: str, meaning: str, read: Callable[[str], Any], metavar: str) -> Option:
    return Option(
        name=name, meaning=f"{meaning} Repeatable.", default=None, type=list[str] | None, read=read, metavar=metavar
    )


def _switch(name: str, meaning: str) -> Option:
    return Option(name=name, meaning=meaning, default=False, type=bool)


def _metrics_address(text: str) -> tuple[str, int] | str | None:
    return UNSAID if text == UNSAID else notation.socket_address(text)


MANIFESTS = Option(
    name="--manifests",
    meaning="Read every *.yaml, *.yml, *.json below PATH. Repeatable.",
    type=list[Path],
    metavar="PATH",
)

# Shared by serve, check and explain: which objects are ours, and at which addresses they are served.
WORLD = (
    Option(
        name="--controller-name",
        meaning="Serve the GatewayClasses with this controllerName.",
        default=_GRAPH.controller_name,
        metavar="NAME",
    ),
    _several("--gateway", "Only this Gateway.", notation.object_name, "NAMESPACE/NAME"),
    Option(
        name="--bind",
        meaning="Address at which listeners bind; 0.0.0.0 or :: for all addresses.",
        default=None,
        type=str | None,
        read=notation.address,
        metavar="ADDRESS",
        shown=f"{_GRAPH.addressing.bind[0]}; in a cluster all addresses",
    ),
    _several(
        "--address",
        "Address in status.addresses if --bind is a wildcard; service/NAMESPACE/NAME: the addresses of that Service.",
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
)

_OF_BOTH = "of a request (else 431) or of a backend's response (else 502), including trailers."

# Numbers that the engine counts in 32 bits, including their sums, have an upper bound here.
LIMITS = (
    _size("--max-head", f"Maximum size of start line and fields {_OF_BOTH}", _LIMITS.max_head, at_most=_HEAD_MOST),
    _number("--max-fields", f"Maximum number of header fields {_OF_BOTH}", _LIMITS.max_fields, at_most=_FIELDS_MOST),
    _size("--max-target", "Maximum size of a request target; else 414.", _LIMITS.max_target, at_most=_HEAD_MOST),
    _size("--max-body", "Maximum size of a request body; else 413.", _LIMITS.max_body),
    _time("--head-timeout", "Maximum time to receive a request head; then 408.", _LIMITS.head_timeout),
    _time(
        "--body-idle-timeout", "Maximum time between two parts of a request body; then 408.", _LIMITS.body_idle_timeout
    ),
    _time("--idle-timeout", "Idle time after which a kept-alive client connection is closed.", _LIMITS.idle_timeout),
    _time(
        "--connect-timeout",
        "Maximum time to connect to an endpoint; then another one is tried.",
        _LIMITS.connect_timeout,
    ),
    _time(
        "--upstream-idle-timeout",
        "Idle time after which an unused connection to an endpoint is closed.",
        _LIMITS.upstream_idle_timeout,
    ),
    _time(
        "--tunnel-idle-timeout",
        "Idle time after which an upgraded connection is closed.",
        _LIMITS.tunnel_idle_timeout,
    ),
    _number(
        "--max-connections",
        "Maximum number of client connections per worker; at the limit, no more are accepted.",
        _LIMITS.max_connections,
    ),
    _number(
        "--max-handshakes",
        "Maximum number of TLS handshakes in progress per worker; at the limit, the oldest is closed.",
        _LIMITS.max_handshakes,
    ),
)

SERVE = (
    msgspec.structs.replace(MANIFESTS, default=None, type=list[Path] | None),
    _switch("--kubernetes", "Read from an API server instead of files; the default in a pod."),
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
    Option(
        name="--status-lease",
        meaning="Lease for leader election: only its holder writes statuses, Events and Services.",
        default=None,
        type=str | None,
        read=notation.object_name,
        metavar="NAMESPACE/NAME",
        shown="in a pod: fastroute in its namespace; elsewhere: nothing is written",
    ),
    _switch("--infrastructure", "Maintain a Service for each Gateway that has spec.infrastructure."),
    *WORLD,
    Option(
        name="--port-offset",
        meaning="Added to a listener's port when binding, so that port 80 works without root.",
        default=0,
        type=int,
        metavar="N",
        at_least=0,
    ),
    _number("--workers", "Number of worker processes.", _SERVE.workers, shown="CPUs this process may use"),
    Option(
        name="--metrics",
        meaning="Address for /metrics, /healthz and /readyz, or `off`.",
        default=UNSAID,
        read=_metrics_address,
        metavar="ADDRESS:PORT",
        shown="127.0.0.1:9900; in a cluster [::]:9900",
    ),
    _number(
        "--metrics-series",
        "Maximum number of series per metric; everything beyond counts as `other`.",
        _SERVE.metrics_series,
    ),
    Option(
        name="--access-log",
        meaning="File for one JSON object per request; `-`: stdout, `off`: none.",
        default="off",
        metavar="PATH",
    ),
    _time(
        "--drain-delay",
        "After SIGTERM: time in which connections are still accepted, while /readyz answers 503.",
        _SERVE.drain_delay,
    ),
    _time("--drain-timeout", "Then: maximum time to finish exchanges in progress.", _SERVE.drain_timeout),
    _several("--trusted-proxies", "Peers whose X-Forwarded-* fields are trusted.", notation.network, "CIDR"),
    _switch("--proxy-protocol", "Accept PROXY protocol v1 and v2, only from trusted peers."),
    _switch("--merge-slashes", "Merge // in paths into /."),
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


def lines(context: typer.Context, parameter: typer.CallbackParam, given: list[str] | None) -> list[str] | None:
    """Callback of a repeatable option whose values may contain spaces: in the environment variable they are separated
    by newlines (typer would split them at every space). Empty lines are ignored."""
    source = context.get_parameter_source(parameter.name or "")
    if source is None or source.name != "ENVIRONMENT":
        return given
    text = parameter.resolve_envvar_value(context) or ""
    return [line for line in text.splitlines() if line.strip()]


_Command = TypeVar("_Command", bound=Callable[..., None])


def takes(*options: Option) -> Callable[[_Command], _Command]:
    """Adds options to a command whose last parameter is `**chosen`; the command's own parameters stay first."""

    def give(command: _Command) -> _Command:
        own = list(inspect.signature(command).parameters.values())[:-1]
        added = [
            inspect.Parameter(
                option.parameter,
                inspect.Parameter.KEYWORD_ONLY,
                default=inspect.Parameter.empty if option.default is ... else option.default,
                annotation=option.annotation(),
            )
            for option in options
        ]
        command.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
        command.__annotations__ |= {parameter.name: parameter.annotation for parameter in added}
        return command

    return give


def graph_settings(chosen: dict[str, Any], *, cluster: bool = False) -> GraphSettings:
    """Settings from the options WORLD and, if present, --port-offset. With `cluster`, no GatewayClass is assumed if
    there is none, and listeners bind all addresses by default."""
    bind = (chosen["bind"],) if chosen["bind"] else _everywhere() if cluster else _GRAPH.addressing.bind
    return GraphSettings(
        class_name=None if cluster else _GRAPH.class_name,
        controller_name=chosen["controller_name"],
        gateways=frozenset(chosen["gateway"] or ()),
        infrastructure=cluster and chosen["infrastructure"],
        addressing=Addressing(
            bind=bind,
            addresses=tuple(chosen["address"] or ()),
            pool=chosen["address_pool"],
            port_offset=chosen.get("port_offset", 0),
        ),
    )


def _everywhere() -> tuple[str, ...]:
    """Only IPv4 if the kernel has no IPv6 (ipv6.disable=1)."""
    return EVERYWHERE if _IPV6.exists() else EVERYWHERE[:1]


def serve_settings(chosen: dict[str, Any]) -> ServeSettings:
    """Settings from the options SERVE. Raises SettingError."""
    kubernetes = _kubernetes_settings(chosen)
    metrics = _METRICS[kubernetes is not None] if chosen["metrics"] == UNSAID else chosen["metrics"]
    same = (
        "workers", "metrics_series", "drain_delay", "drain_timeout", "proxy_protocol", "merge_slashes", "underscores"
    )  # fmt: skip
    return ServeSettings(
        manifests=tuple(chosen["manifests"] or ()),
        kubernetes=kubernetes,
        metrics=metrics,
        graph=graph_settings(chosen, cluster=kubernetes is not None),
        limits=Limits(**{option.parameter: chosen[option.parameter] for option in LIMITS}),
        access_log=None if chosen["access_log"] == "off" else chosen["access_log"],
        trusted_proxies=tuple(chosen["trusted_proxies"] or ()),
        log=LogSettings(level=chosen["log_level"], format=chosen["log_format"]),
        **{name: chosen[name] for name in same},
    )


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


def _in_pod() -> bool:
    from fastroute.source.kubernetes.account import in_pod

    return in_pod()
