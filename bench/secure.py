"""HTTPS compared with nginx: the cost of a request, a handshake and 1 MiB, as ratios within one run.

Both use an ECDSA P-256 certificate and TLS_AES_128_GCM_SHA256 over TLS 1.3; nginx keeps its other defaults, including
session tickets. A handshake is a whole connection of `shake.c`: TCP, TLS, one request, close. The rounds are those of
compare.py. The memory of an idle connection is measured on a worker with many connections after one request each.
"""

import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec

from bench.before import BEFORE, command
from bench.certificate import HOST, Pems, connect, secret_document, self_signed
from bench.compare import CONNECTIONS, OURS, Effort
from bench.compiled import compiled
from bench.load import closed_loop
from bench.manifests import write_manifests
from bench.peers import Running, Setup, backend_command, fastroute_options, free_port, nginx_command, running
from bench.process import proxy_and_load_core, resident_bytes, tree

IDLE = 2_000  # connections
PER_CLIENT = 900  # of one address; below the limit of fastroute

_NGINX_SECURE = """
  upstream backend {{ server 127.0.0.1:{backend}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} ssl reuseport backlog=4096;
    ssl_certificate {folder}/chain.pem;
    ssl_certificate_key {folder}/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_set_header Host $http_host;
    proxy_max_temp_file_size 0;
    proxy_request_buffering off;
    location /route-0/ {{ proxy_pass http://backend; }}
  }}
"""

OPEN_LISTENER = "    - {name: proxy, port: 80, protocol: HTTP}\n"
LISTENER = """\
    - name: proxy
      port: 443
      protocol: HTTPS
      tls: {certificateRefs: [{name: edge}]}
"""


class SecureCost(msgspec.Struct, frozen=True):
    """The result of one measure for one proxy. `ours`: fastroute's cost divided by the cost of this proxy."""

    measure: str
    unit: str
    proxy: str
    cost: float
    ours: float
    failures: int


class Secure(msgspec.Struct, frozen=True):
    costs: list[SecureCost]
    idle_bytes: float  # resident memory of a worker per idle HTTPS connection


class Handshakes(msgspec.Struct, frozen=True):
    handshakes: int
    resumed: int
    failures: int
    seconds: float


class Spell(NamedTuple):
    cost: float
    failures: int


Measure = Callable[[Running, int, float], Spell]


def measure_secure(effort: Effort, names: Iterable[str] = ()) -> Secure:
    """Applies load from one core to the proxies on the other. `names`: of measures, all if empty."""
    core, load_core = proxy_and_load_core()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fastroute-bench-")))
        backend = Setup(free_port(), 0, 0, folder / "backend")
        backend.folder.mkdir()
        stack.enter_context(running("backend", backend_command(backend), backend.port, load_core))
        proxies = []
        for name, write in _commands(effort).items():
            if name in effort.without:
                continue
            setup = Setup(free_port(), backend.port, 1, folder / name)
            setup.folder.mkdir()
            _write_certificate(setup.folder)
            proxies.append(stack.enter_context(running(name, write(setup), setup.port, core)))
        for proxy in proxies:
            wait_served(proxy.port)
        costs = _rounds(proxies, load_core, effort, tuple(names) or tuple(MEASURES))
        return Secure(costs, _idle(proxies[0]))


def _rounds(proxies: list[Running], core: int, effort: Effort, names: tuple[str, ...]) -> list[SecureCost]:
    spells: dict[str, list[list[Spell]]] = {name: [] for name in names}
    for round_ in range(-1, effort.rounds):
        for name in names:
            _, pieces, measure = MEASURES[name]
            seconds = effort.seconds if round_ >= 0 else 1
            for _ in range(pieces):
                row = [measure(proxy, core, seconds / pieces) for proxy in proxies]
                if round_ >= 0:
                    spells[name].append(row)
    return [
        SecureCost(
            measure=name,
            unit=MEASURES[name][0],
            proxy=proxy.name,
            cost=median(row[index].cost for row in spells[name]),
            ours=median(row[0].cost / row[index].cost for row in spells[name]),
            failures=sum(row[index].failures for row in spells[name]),
        )
        for name in names
        for index, proxy in enumerate(proxies)
    ]


def _keep_alive(proxy: Running, core: int, seconds: float) -> Spell:
    load = closed_loop(proxy, "/route-0/x", core, seconds=int(seconds), connections=CONNECTIONS, scheme="https")
    return Spell(load.cpu_us, load.failures)


def _mebibytes(proxy: Running, core: int, seconds: float) -> Spell:
    load = closed_loop(proxy, "/route-0/mebibyte", core, seconds=int(seconds), connections=8, scheme="https")
    return Spell(load.cpu_per_gib, load.failures)


def _handshakes(how: str) -> Measure:
    def measure(proxy: Running, core: int, seconds: float) -> Spell:
        words = [compiled("shake"), str(proxy.port), HOST, "/route-0/x", str(seconds), how]
        before = proxy.cpu()
        said = subprocess.run(["taskset", "-c", str(core), *words], capture_output=True, check=True).stdout
        cpu = proxy.cpu() - before
        done = msgspec.json.decode(said, type=Handshakes)
        if how == "resumed" and done.resumed < done.handshakes - 1:
            raise RuntimeError(f"{proxy.name} resumed only {done.resumed} of {done.handshakes} sessions")
        return Spell(cpu / max(done.handshakes, 1) * 1e6, done.failures)

    return measure


# The unit, and the number of loads in a round: several alternating loads average out drifts of the machine.
MEASURES: dict[str, tuple[str, int, Measure]] = {
    "HTTPS keep-alive": ("µs CPU/request", 1, _keep_alive),
    "full handshake": ("µs CPU", 5, _handshakes("full")),
    "resumed handshake": ("µs CPU", 5, _handshakes("resumed")),
    "1 MiB over TLS": ("s CPU/GiB", 1, _mebibytes),
}


# --- the proxies


def _commands(effort: Effort) -> dict[str, Callable[[Setup], list[str]]]:
    """The commands by name of the proxy; fastroute is the first."""
    commands: dict[str, Callable[[Setup], list[str]]] = {OURS: _fastroute, "nginx": _nginx}
    if folder := effort.before:
        commands[BEFORE] = lambda setup: command(folder, _served(setup))
    return commands


def _served(setup: Setup) -> list[str]:
    manifests = setup.folder / "manifests"
    write_manifests(manifests, setup.routes, setup.backend)
    world = manifests / "world.yaml"
    text = world.read_text().replace(OPEN_LISTENER, LISTENER)
    pems = Pems(*((setup.folder / f"{name}.pem").read_bytes() for name in Pems._fields))
    world.write_text(text + secret_document("edge", pems))
    return fastroute_options(manifests, setup.port - 443)


def _fastroute(setup: Setup) -> list[str]:
    return [sys.executable, "-P", "-m", "fastroute", "serve", *_served(setup)]


def _nginx(setup: Setup) -> list[str]:
    return nginx_command(setup, _NGINX_SECURE.format(port=setup.port, backend=setup.backend, folder=setup.folder))


def _write_certificate(folder: Path) -> None:
    for name, pem in self_signed()._asdict().items():
        (folder / f"{name}.pem").write_bytes(pem)


# --- idle connections


def _ask(port: int, client: str = "127.0.0.1") -> ssl.SSLSocket:
    held = connect(port, HOST, client)
    held.sendall(b"GET /nowhere HTTP/1.1\r\nHost: %s\r\n\r\n" % HOST.encode())
    held.recv(4096)
    return held


def wait_served(port: int) -> None:
    """Waits until TLS works: a port may listen before its certificate is loaded."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            _ask(port).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"no TLS handshake succeeded on port {port} within 20 s")


def _idle(proxy: Running) -> float:
    """Resident memory per idle connection, of many. The first hundred, not counted, warm up shared memory."""
    held: list[ssl.SSLSocket] = []
    worker = tree(proxy.process.pid)[-1]
    try:
        held += [_ask(proxy.port) for _ in range(100)]
        before = resident_bytes(worker)
        held += [_ask(proxy.port, f"127.0.1.{1 + number // PER_CLIENT}") for number in range(IDLE)]
        return (resident_bytes(worker) - before) / IDLE
    finally:
        for each in held:
            each.close()
