"""The compared proxies: the configuration of each for N routes, and how it is started on one core.

All are set up alike: HTTP/1.1 on both sides, one worker or thread, kept-alive upstream connections, no access log, N
routes by path prefix (/route-0/ ...) to one backend. Other proxies do not add forwarding headers unless their name says
so; fastroute always does.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from bench import before
from bench.manifests import write_manifests
from bench.process import cpu_seconds, tree

READY_WITHIN = 60.0  # seconds; Envoy needs long for 5,000 routes


class Setup(msgspec.Struct, frozen=True):
    """The port of a proxy, the port of its backend, its number of routes, the folder for its files, and whether the
    backend speaks HTTP/2."""

    port: int
    backend: int
    routes: int
    folder: Path
    http2: bool = False


class Peer(msgspec.Struct, frozen=True):
    """`command` writes the files of the proxy to `Setup.folder` and returns its command line, in the foreground."""

    name: str
    command: Callable[[Setup], list[str]]
    program: Callable[[], str | None]  # the path of the executable, if it is installed


def altered(peer: Peer, *changes: tuple[str, str]) -> Peer:
    """The same proxy with other text in its files, of which one must contain the text before."""

    def command(setup: Setup) -> list[str]:
        words = peer.command(setup)
        for old, new in (tuple(text.replace("FOLDER", str(setup.folder)) for text in pair) for pair in changes):
            paths = [path for path in setup.folder.rglob("*") if path.is_file() and old in path.read_text()]
            if not paths:
                raise AssertionError(f"no file of {peer.name} has {old!r}")
            for path in paths:
                path.write_text(path.read_text().replace(old, new))
        return words

    return Peer(peer.name, command, peer.program)


class Running(msgspec.Struct):
    name: str
    port: int
    process: subprocess.Popen[bytes]

    def cpu(self) -> float:
        """Seconds of CPU that the process tree has used so far."""
        return cpu_seconds(tree(self.process.pid))


# --- nginx

_NGINX = """
{user}
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
worker_rlimit_nofile 20000;
events {{ worker_connections 16000; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_max_body_size 2m;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  sendfile on; tcp_nopush on; tcp_nodelay on;
  {body}
}}
"""

_NGINX_PROXY = """
  upstream backend {{ server 127.0.0.1:{backend}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} reuseport backlog=4096;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    {fields}
    proxy_max_temp_file_size 0;
    proxy_request_buffering off;
    {locations}
  }}
"""

_NGINX_FIELDS = """
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $http_host;
    proxy_set_header X-Request-ID $request_id;
"""

_NGINX_BACKEND = """
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    root {folder}/files;
    location / {{ default_type text/plain; return 200 "hello, world\\n"; }}
    location ~ /upload$ {{  # reads the whole body before it answers
      client_body_buffer_size 2m;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      rewrite ^ / break;
      proxy_pass http://127.0.0.1:{port};
    }}
    location ~ /mebibyte$ {{ rewrite ^ /mebibyte break; default_type application/octet-stream; }}
  }}
"""


def nginx_command(setup: Setup, body: str) -> list[str]:
    """nginx with one worker; `body` is the content of its http block."""
    path = setup.folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # otherwise its worker cannot read the folder
    path.write_text(_NGINX.format(user=user, folder=setup.folder, body=body))
    return ["nginx", "-p", str(setup.folder), "-c", str(path), "-e", str(setup.folder / "error.log")]


def _nginx_proxy(fields: str) -> Callable[[Setup], list[str]]:
    def command(setup: Setup) -> list[str]:
        lines = (f"location /route-{index}/ {{ proxy_pass http://backend; }}" for index in range(setup.routes))
        locations = "\n    ".join(lines)
        body = _NGINX_PROXY.format(port=setup.port, backend=setup.backend, fields=fields, locations=locations)
        return nginx_command(setup, body)

    return command


def backend_command(setup: Setup) -> list[str]:
    """A cheap backend: nginx that responds with 13 bytes, or with 1 MiB for paths that end in /mebibyte."""
    files = setup.folder / "files"
    files.mkdir()
    (files / "mebibyte").write_bytes(bytes(1 << 20))
    return nginx_command(setup, _NGINX_BACKEND.format(port=setup.port, folder=setup.folder))


# --- HAProxy

_HAPROXY = """
global
  nbthread 1
  maxconn 4000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout http-keep-alive 75s
frontend edge
  bind 127.0.0.1:{port}
{choices}
backend backend
  http-reuse always
  server one 127.0.0.1:{backend} pool-max-conn 256{protocol}
"""


def _haproxy(setup: Setup) -> list[str]:
    choices = "\n".join(f"  use_backend backend if {{ path_beg /route-{index}/ }}" for index in range(setup.routes))
    path = setup.folder / "haproxy.cfg"
    protocol = " proto h2" if setup.http2 else ""
    path.write_text(_HAPROXY.format(port=setup.port, backend=setup.backend, choices=choices, protocol=protocol))
    return ["haproxy", "-db", "-q", "-f", str(path)]


# --- Envoy

_ENVOY_TYPES = "type.googleapis.com/envoy.extensions.filters"
_ENVOY_PROTOCOLS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def _envoy_program() -> str | None:
    return shutil.which("envoy", path=f"{Path(sys.executable).parent}:{Path('.cache/envoy/bin').resolve()}")


def _envoy(setup: Setup) -> list[str]:
    routes = [
        {"match": {"prefix": f"/route-{index}/"}, "route": {"cluster": "backend", "timeout": "0s"}}
        for index in range(setup.routes)
    ]
    manager = {
        "@type": f"{_ENVOY_TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "edge",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_ENVOY_TYPES}.http.router.v3.Router"},
            }
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    plenty = {"max_connections": 16000, "max_pending_requests": 16000, "max_requests": 16000}
    cluster: dict[str, object] = {
        "name": "backend",
        "type": "STATIC",
        "circuit_breakers": {"thresholds": [plenty]},
        "load_assignment": {
            "cluster_name": "backend",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _envoy_address(setup.backend)}}]}],
        },
    }
    listener = {"name": "edge", "address": _envoy_address(setup.port), "filter_chains": [chain]}
    if setup.http2:
        cluster["typed_extension_protocol_options"] = {
            _ENVOY_PROTOCOLS: {
                "@type": f"type.googleapis.com/{_ENVOY_PROTOCOLS}",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        }
    path = setup.folder / "envoy.json"
    document = {"static_resources": {"listeners": [listener], "clusters": [cluster]}}
    path.write_bytes(msgspec.json.encode(document))
    program = _envoy_program() or "envoy"
    return [program, "-c", str(path), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]


def _envoy_address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


# --- fastroute


def fastroute_options(manifests: Path, offset: int) -> list[str]:
    """One worker without metrics; `offset` is added to the port of each listener."""
    quiet = ["--metrics", "off", "--log-level", "error"]
    return ["--manifests", str(manifests), "--workers", "1", "--port-offset", str(offset), *quiet]


def _served(setup: Setup) -> list[str]:
    manifests = setup.folder / "manifests"
    write_manifests(manifests, setup.routes, setup.backend, http2=setup.http2)
    return fastroute_options(manifests, setup.port - 80)


def _fastroute(setup: Setup) -> list[str]:
    return [sys.executable, "-P", "-m", "fastroute", "serve", *_served(setup)]


def before_peer(folder: Path) -> Peer:
    """An earlier commit of fastroute, compiled in `folder`."""
    return Peer(before.BEFORE, lambda setup: before.command(folder, _served(setup)), lambda: sys.executable)


PEERS = {
    peer.name: peer
    for peer in (
        Peer("fastroute", _fastroute, lambda: sys.executable),
        Peer("nginx", _nginx_proxy(""), lambda: shutil.which("nginx")),
        Peer("nginx+fields", _nginx_proxy(_NGINX_FIELDS), lambda: shutil.which("nginx")),
        Peer("haproxy", _haproxy, lambda: shutil.which("haproxy")),
        Peer("envoy", _envoy, _envoy_program),
    )
}


# --- Running


@contextmanager
def running(name: str, command: list[str], port: int, core: int) -> Iterator[Running]:
    """Runs a process pinned to `core`. It is ready on entry and is ended on exit."""
    process = subprocess.Popen(["taskset", "-c", str(core), *command], stdin=subprocess.DEVNULL)
    try:
        _wait_listening(name, process, port)
        yield Running(name, port, process)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def all_running(
    peers: list[Peer], routes: int, folder: Path, backend: int, core: int, *, http2: bool = False
) -> Iterator[list[Running]]:
    """Runs these proxies at the same time, all on `core`: idle ones cost almost nothing. `http2`: of the backend."""
    with ExitStack() as stack:
        started = []
        for peer in peers:
            setup = Setup(free_port(), backend, routes, folder / f"{peer.name}-{routes}", http2)
            setup.folder.mkdir()
            started.append(stack.enter_context(running(peer.name, peer.command(setup), setup.port, core)))
        yield started


def _wait_listening(name: str, process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{name} exited with code {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"{name} did not listen within {READY_WITHIN:g} s")


def free_port() -> int:
    """A free port below the ephemeral range, so that no client connection can use it before the proxy does."""
    for port in range(21_000, 32_000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            if port not in _given:
                _given.add(port)
                return port
    raise RuntimeError("no free port between 21000 and 32000")


_given: set[int] = set()
