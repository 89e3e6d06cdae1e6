"""TCP, TLS passthrough and UDP beside nginx (its module stream) and HAProxy: all of them pass bytes on.

    python -m bench.transport [--rounds 7] [--seconds 3]

Load and backend are tunnels.c and datagrams.c; each proxy has four endpoints (tunnels.c says why). A new connection
carries 100 bytes to the backend and back; with TLS, a ClientHello before that, which the backend returns, too: proxies
read the server name and nothing else. For the CPU time per GiB, 8 connections read from the backend as fast as they
can. HAProxy splices (`option splice-request` and `splice-response`). nginx has `proxy_half_close`, as the others always
do: without it, a client that ends its side loses the rest of the answer. For UDP, 1,000 clients send datagrams of 100
bytes, one after another, of which 64 are unanswered at a time; a datagram and its answer count as two.
"""

import contextlib
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec

from bench.before import BEFORE, command
from bench.compare import OURS, Cost, Effort
from bench.compiled import compiled
from bench.install import STREAM
from bench.load import Load
from bench.peers import Peer, Running, Setup, fastroute_options
from bench.process import proxy_and_load_core
from bench.report import print_costs
from bench.rounds import Row, Spell, in_rounds, per_request, side_by_side

HOST = "tls.example.com"
AT_ONCE = 64  # connections, or unanswered datagrams
DRINKERS = 8
FLOWS, SIZE = 1_000, 100
TLS = 2_000  # added to the port of a proxy: where it passes TLS on

_NGINX = """
load_module {module};
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
worker_rlimit_nofile 65536;
events {{ worker_connections 16384; }}
stream {{
  upstream backend {{
    server 127.0.0.1:{backend}; server 127.0.0.2:{backend}; server 127.0.0.3:{backend}; server 127.0.0.4:{backend};
  }}
  upstream datagrams {{ server 127.0.0.1:{backend}; }}
  map $ssl_preread_server_name $chosen {{ {host} backend; }}
  proxy_half_close on;
  server {{ listen 127.0.0.1:{port} backlog=4096; proxy_pass backend; }}
  server {{ listen 127.0.0.1:{port} udp; proxy_pass datagrams; proxy_timeout 60s; }}
  server {{ listen 127.0.0.1:{secure} backlog=4096; ssl_preread on; proxy_pass $chosen; }}
}}
"""

_HAPROXY = """
global
  nbthread 1
  maxconn 4000
defaults
  mode tcp
  option splice-request
  option splice-response
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend bytes
  bind 127.0.0.1:{port}
  default_backend backend
frontend secure
  bind 127.0.0.1:{secure}
  tcp-request inspect-delay 5s
  tcp-request content accept if {{ req_ssl_hello_type 1 }}
  use_backend backend if {{ req_ssl_sni -i {host} }}
backend backend
  server one 127.0.0.1:{backend}
  server two 127.0.0.2:{backend}
  server three 127.0.0.3:{backend}
  server four 127.0.0.4:{backend}
"""

WORLD = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{namespace: bench, name: edge}}
spec:
  gatewayClassName: fastroute
  listeners:
    - {{name: tcp, port: 80, protocol: TCP}}
    - {{name: udp, port: 80, protocol: UDP}}
    - {{name: tls, port: 2080, protocol: TLS, tls: {{mode: Passthrough}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {{namespace: bench, name: tcp}}
spec: {{parentRefs: [{{name: edge, sectionName: tcp}}], rules: [{{backendRefs: [{{name: backend, port: 80}}]}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: {{namespace: bench, name: udp}}
spec: {{parentRefs: [{{name: edge, sectionName: udp}}], rules: [{{backendRefs: [{{name: datagrams, port: 80}}]}}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {{namespace: bench, name: tls}}
spec:
  parentRefs: [{{name: edge, sectionName: tls}}]
  hostnames: [{host}]
  rules: [{{backendRefs: [{{name: backend, port: 80}}]}}]
---
apiVersion: v1
kind: Service
metadata: {{namespace: bench, name: backend}}
spec: {{ports: [{{name: tcp, port: 80}}]}}
---
apiVersion: v1
kind: Service
metadata: {{namespace: bench, name: datagrams}}
spec: {{ports: [{{name: udp, port: 80, protocol: UDP}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{namespace: bench, name: backend, labels: {{kubernetes.io/service-name: backend}}}}
addressType: IPv4
ports: [{{name: tcp, port: {backend}}}]
endpoints:
  - {{addresses: [127.0.0.1]}}
  - {{addresses: [127.0.0.2]}}
  - {{addresses: [127.0.0.3]}}
  - {{addresses: [127.0.0.4]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{namespace: bench, name: datagrams, labels: {{kubernetes.io/service-name: datagrams}}}}
addressType: IPv4
ports: [{{name: udp, port: {backend}, protocol: UDP}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"""


class Passed(msgspec.Struct, frozen=True):
    """What tunnels.c prints."""

    requests: int
    bytes: int
    failures: int


class Answers(msgspec.Struct, frozen=True):
    """What datagrams.c prints."""

    answered: int
    lost: int


def write_world(folder: Path, backend: int) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "world.yaml").write_text(WORLD.format(backend=backend, host=HOST))


def secure_port(setup: Setup) -> int:
    """Where the proxy passes TLS on. RuntimeError: it is not free."""
    port = setup.port + TLS
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise RuntimeError(f"port {port} is in use: try again") from error
    return port


def _written(name: str, text: str, setup: Setup) -> str:
    path = setup.folder / name
    words = {"port": setup.port, "secure": secure_port(setup), "backend": setup.backend}
    path.write_text(text.format(**words, folder=setup.folder, module=STREAM, host=HOST))
    return str(path)


def _options(setup: Setup) -> list[str]:
    secure_port(setup)
    write_world(setup.folder / "manifests", setup.backend)
    return fastroute_options(setup.folder / "manifests", setup.port - 80)


def _ours(setup: Setup) -> list[str]:
    return [sys.executable, "-P", "-m", "fastroute", "serve", *_options(setup)]


def _nginx(setup: Setup) -> list[str]:
    return ["nginx", "-p", str(setup.folder), "-c", _written("nginx.conf", _NGINX, setup)]


def _haproxy(setup: Setup) -> list[str]:
    return ["haproxy", "-db", "-q", "-f", _written("haproxy.cfg", _HAPROXY, setup)]


def _peers(effort: Effort) -> list[Peer]:
    peers = [
        Peer(OURS, _ours, lambda: sys.executable),
        Peer("nginx", _nginx, lambda: shutil.which("nginx") if STREAM.exists() else None),
        Peer("haproxy", _haproxy, lambda: shutil.which("haproxy")),
    ]
    if (folder := effort.before) is not None:
        peers.insert(1, Peer(BEFORE, lambda setup: command(folder, _options(setup)), lambda: sys.executable))
    return effort.kept(peers)


def client_hello() -> bytes:
    said = ssl.MemoryBIO()
    one = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_bio(ssl.MemoryBIO(), said, server_hostname=HOST)
    with contextlib.suppress(ssl.SSLWantReadError):
        one.do_handshake()
    return said.read()


def _run(*words: str) -> bytes:
    _, core = proxy_and_load_core()
    return subprocess.run(["taskset", "-c", str(core), *words], capture_output=True, check=True).stdout


def _fresh(first: str, added: int) -> Callable[[Running, int], Spell]:
    """`first`: the file whose content each connection sends first; `added` to the port."""

    def measure(proxy: Running, seconds: int) -> Spell:
        before = proxy.cpu()
        words = ("fresh", str(proxy.port + added), str(AT_ONCE), str(seconds), first)
        found = msgspec.json.decode(_run(compiled("tunnels"), *words), type=Passed)
        return per_request(Load(found.requests, found.failures, seconds, proxy.cpu() - before))

    return measure


def _drink(proxy: Running, seconds: int) -> Spell:
    before = proxy.cpu()
    words = ("drink", str(proxy.port), str(DRINKERS), str(seconds))
    found = msgspec.json.decode(_run(compiled("tunnels"), *words), type=Passed)
    if not found.bytes:
        raise RuntimeError(f"{proxy.name} passed no bytes on in {seconds} s, with {found.failures} failures")
    return Spell((proxy.cpu() - before) / found.bytes * 2**30, found.bytes / 2**20 / seconds, found.failures)


def _datagrams(proxy: Running, seconds: int) -> Spell:
    before = proxy.cpu()
    numbers = (proxy.port, FLOWS, SIZE, AT_ONCE, seconds)
    found = msgspec.json.decode(_run(compiled("datagrams"), "load", *map(str, numbers)), type=Answers)
    return per_request(Load(2 * found.answered, found.lost, seconds, proxy.cpu() - before))


@contextlib.contextmanager
def _echo(port: int) -> Iterator[None]:
    """Answers datagrams."""
    _, core = proxy_and_load_core()
    with subprocess.Popen(["taskset", "-c", str(core), compiled("datagrams"), "echo", str(port)]) as process:
        try:
            yield
        finally:
            process.terminate()


def measure_transport(effort: Effort) -> list[Cost]:
    with ExitStack() as stack:
        first = stack.enter_context(tempfile.NamedTemporaryFile(prefix="fastroute-bench-"))
        first.write(client_hello())
        first.flush()

        def backend(setup: Setup) -> list[str]:
            stack.enter_context(_echo(setup.port))
            return [compiled("tunnels"), "serve", str(setup.port)]

        unit = "µs CPU/connection"
        rows = [
            Row("TCP, 1 GiB", "s CPU/GiB", _drink),
            Row("TCP connection", unit, _fresh("/dev/null", 0)),
            Row("TLS passthrough connection", unit, _fresh(first.name, TLS)),
        ]
        proxies = stack.enter_context(side_by_side(_peers(effort), backend))
        of_datagrams = [proxy for proxy in proxies if proxy.name != "haproxy"]
        costs = in_rounds(rows, proxies, effort)
        return costs + in_rounds([Row("UDP", "µs CPU/datagram", _datagrams)], of_datagrams, effort)


if __name__ == "__main__":
    print_costs(__doc__, measure_transport)
