"""serve(): the composition root. Creates all components, connects them, and stops them in the right order.

    manifests  -> Directory ------+
    API server -> KubernetesSource+-> reconcile -> Supervisor -> workers
                                          |             |
                          StatusLog | Writing        Tally -> /metrics; History -> --admin

The first SIGTERM or SIGINT drains, the second one exits immediately; SIGHUP reopens the access log.
"""

import logging
import os
import resource
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import trio

from fastroute import __version__, garbage
from fastroute.descriptors import connections_afforded, flows_afforded, ports_afforded
from fastroute.errors import SettingError
from fastroute.eventlog import start_log
from fastroute.machine import local_ports, machine_addresses
from fastroute.metrics import Metrics
from fastroute.operators import Endpoints, Gateway, bind_endpoints, serve_endpoints
from fastroute.reporting.statuslog import StatusLog
from fastroute.settings import Limits, ServeSettings
from fastroute.source.directory import Directory
from fastroute.supervisor import Supervisor, usable_cpus
from fastroute.supervisor.logfile import open_log
from fastroute.worker.anchors import has_system_anchors

_log = logging.getLogger(__name__)
Follow = Callable[[Gateway, trio.Event], Awaitable[None]]  # applies a source's objects to the data plane
SWITCH = 0.0005  # s after which a thread that works passes the GIL on to the event loop
_ENDINGS = (signal.SIGTERM, signal.SIGINT)


def serve(settings: ServeSettings) -> int:
    """Serves until SIGTERM or SIGINT. Returns the exit code: 0, or 130 after a second signal. Raises FastrouteError."""
    start_log(settings.log)
    sys.setswitchinterval(SWITCH)
    garbage.begin()
    files = _allow_many_files()
    settings = _with_affordable_ports(_on_this_machine(_made_absolute(settings)), files)
    settings = _with_local_ports(_with_affordable_connections(settings, files), local_ports())
    follow, installation = _follow_cluster(settings) if settings.kubernetes else _follow_manifests(settings)
    settings = msgspec.structs.replace(settings, installation=installation)
    endpoints = bind_endpoints(settings)
    return trio.run(_serve, settings, follow, endpoints)


def _follow_manifests(settings: ServeSettings) -> tuple[Follow, str]:
    """Also the identity of the installation: this process. Raises SourceError if a path is missing or unreadable."""
    source = Directory(settings.manifests)
    source.load()
    for path in source.fruitless():
        _log.warning("%s", path)

    async def follow(gateway: Gateway, leaving: trio.Event) -> None:
        await gateway.reconcile(source, StatusLog(gateway.metrics.status_writes.inc), settings.graph)

    return follow, secrets.token_hex(8)


def _follow_cluster(settings: ServeSettings) -> tuple[Follow, str]:
    """Also the identity of the installation, which all its replicas have. Raises SettingError if the API server is not
    configured. Does not check that it is reachable."""
    from fastroute.apiserver.account import Account
    from fastroute.apiserver.client import Client
    from fastroute.source.kubernetes.scope import Scope
    from fastroute.source.kubernetes.source import KubernetesSource
    from fastroute.writing.writing import Writing, lease_of

    wanted = settings.kubernetes
    assert wanted is not None
    account = Account(wanted.kubeconfig, wanted.context)
    lease = lease_of(wanted.status_lease, account)
    if lease is None:
        _log.warning("statuses are not written: outside of a pod, set --status-lease NAMESPACE/NAME to write them")

    async def follow(gateway: Gateway, leaving: trio.Event) -> None:
        client, metrics = Client(account), gateway.metrics
        scope = Scope(sorted(settings.graph.watched), settings.graph.addressing.addresses)
        source = KubernetesSource(client, metrics, settings.graph.controller_name, scope)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(source.run)
            if lease is None:
                await source.loaded.wait()
                await gateway.reconcile(source, StatusLog(), settings.graph)
                return
            writing = Writing(client, source, settings.graph, metrics, lease, infrastructure=wanted.infrastructure)
            await source.loaded.wait()
            nursery.start_soon(writing.run)
            nursery.start_soon(gateway.reconcile, source, writing, settings.graph)
            await leaving.wait()
            await writing.release()  # another replica may write statuses while this one drains

    return follow, account.installation(settings.graph.controller_name, lease)


async def _serve(settings: ServeSettings, follow: Follow, endpoints: Endpoints) -> int:
    metrics = Metrics(series=settings.metrics_series)
    workers = settings.workers or usable_cpus()
    supervisor = Supervisor(settings, metrics, workers)
    gateway = Gateway(supervisor, metrics, workers)
    _log.info("fastroute %s (process %d, workers: %d) reads %s", __version__, os.getpid(), workers, _named(settings))
    with trio.open_signal_receiver(*_ENDINGS, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:
            await nursery.start(supervisor.run)
            leaving = trio.Event()
            nursery.start_soon(follow, gateway, leaving)
            nursery.start_soon(serve_endpoints, endpoints, gateway, settings)
            nursery.start_soon(garbage.run)
            code = await _live(signals, supervisor, leaving)
            nursery.cancel_scope.cancel()
    return code


async def _live(signals: AsyncIterator[int], supervisor: Supervisor, leaving: trio.Event) -> int:
    """Handles signals until the shutdown is complete; returns the exit code. Sets `leaving` when it begins."""
    ended = 0
    async with trio.open_nursery() as nursery:

        async def drain() -> None:
            await supervisor.drain()
            nursery.cancel_scope.cancel()

        async for number in signals:
            if number == signal.SIGHUP:
                nursery.start_soon(supervisor.reopen_log)
                continue
            ended += 1
            if ended > 1:
                _log.warning("second signal received: exiting immediately")
                nursery.cancel_scope.cancel()
                break
            _log.info("%s: draining", signal.Signals(number).name)
            leaving.set()
            nursery.start_soon(drain)
    return 0 if ended == 1 else 130


def _named(settings: ServeSettings) -> str:
    namespaces = ", ".join(sorted(settings.graph.watched))
    return ", ".join(map(str, settings.manifests)) or (f"of a cluster: {namespaces}" if namespaces else "a cluster")


def _on_this_machine(settings: ServeSettings) -> ServeSettings:
    """Adds the addresses of this machine, and whether it has CA certificates. Endpoints with these addresses and a port
    of the gateway are refused."""
    graph = msgspec.structs.replace(settings.graph, machine=machine_addresses(), system_anchors=has_system_anchors())
    return msgspec.structs.replace(settings, graph=graph)


def _allow_many_files() -> int:
    """Raises the limit of open files to the hard limit, for this process and its workers: each connection needs one.
    Returns the limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def _with_affordable_ports(settings: ServeSettings, files: int) -> ServeSettings:
    """`max_ports` is lowered if the process may not open enough files."""
    graph, workers = settings.graph, settings.workers or usable_cpus()
    addresses = 1 if graph.addressing.pool else len(graph.addressing.bind)
    most = ports_afforded(files, workers * addresses)
    if graph.max_ports <= most:
        return settings
    _log.info(  # the conditions of listeners that are not served contain this too
        "this process may open only %d files: at most %d ports are served, not %d (--max-ports). Raise the limit of "
        "open files (ulimit -n)",
        files,
        most,
        graph.max_ports,
    )
    limit = f"--max-ports {graph.max_ports}, lowered because the process may open only {files} files: ulimit -n"
    graph = msgspec.structs.replace(graph, max_ports=most, port_limit=limit)
    return msgspec.structs.replace(settings, graph=graph)


def _made_absolute(settings: ServeSettings) -> ServeSettings:
    """Makes the path of the access log absolute. SettingError: the file cannot be opened."""
    if settings.access_log is None:
        return settings
    path = settings.access_log if settings.access_log == "-" else str(Path(settings.access_log).absolute())
    try:
        os.close(open_log(path))
    except OSError as error:
        raise SettingError(f"--access-log {path}: {error.strerror}") from error
    return msgspec.structs.replace(settings, access_log=path)


def _with_affordable_connections(settings: ServeSettings, files: int) -> ServeSettings:
    """`max_connections` is lowered if a worker may not open enough files. Call it after `_with_affordable_ports`."""
    graph, limits = settings.graph, settings.limits
    addresses = 1 if graph.addressing.pool else len(graph.addressing.bind)
    most = connections_afforded(files, graph.max_ports * addresses)
    if limits.max_connections <= most:
        return settings
    _log.info(
        "a worker may open only %d files: it accepts at most %d client connections, not %d (--max-connections). Raise "
        "the limit of open files (ulimit -n)",
        files,
        most,
        limits.max_connections,
    )
    return msgspec.structs.replace(settings, limits=msgspec.structs.replace(limits, max_connections=most))


def _with_local_ports(settings: ServeSettings, ports: range) -> ServeSettings:
    """`max_flows` is lowered if there are fewer local ports. The default, which few machines can reach, is lowered
    without a log line. `ports`: empty if they are not known."""
    limits = settings.limits
    if not ports:
        return settings
    settings = msgspec.structs.replace(settings, local_ports=(ports[0], ports[-1]))
    most = flows_afforded(len(ports), settings.workers or usable_cpus())
    if limits.max_flows <= most:
        return settings
    if limits.max_flows != Limits().max_flows:
        _log.info(
            "there are only %d local ports: a worker has at most %d UDP flows, not %d (--max-flows). Set the sysctl "
            "net.ipv4.ip_local_port_range to a larger range",
            len(ports),
            most,
            limits.max_flows,
        )
    return msgspec.structs.replace(settings, limits=msgspec.structs.replace(limits, max_flows=most))
