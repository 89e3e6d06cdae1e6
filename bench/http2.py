"""HTTP/2 towards clients: fastroute and other proxies side by side, with h2load and pace2.c.

    python -m bench.http2 [--rounds 7] [--seconds 3]

As in the part `peers`, all proxies run on one core, each round measures all of them, and a ratio is that of one round.
The clients speak HTTP/2 with prior knowledge, so that TLS is not a part of the cost. The backend speaks HTTP/1.1
(nginx), or HTTP/2 with prior knowledge (nghttpd), which nginx cannot speak to backends.
"""

import re
import shutil
import subprocess

import msgspec

from bench.compare import OURS, RATE, Cost, Effort
from bench.install import require
from bench.load import Load, open_loop
from bench.peers import PEERS, Peer, Running, Setup, altered, backend_command
from bench.process import proxy_and_load_core
from bench.report import print_costs
from bench.rounds import Row, Spell, in_rounds, p99, per_gib, per_request, side_by_side

PACED_CONNECTIONS = 16
PATIENCE = 20  # seconds
TRIES = 3
_DONE = re.compile(r"requests: \d+ total, (\d+) started, (\d+) done, (\d+) succeeded")


class Shape(msgspec.Struct, frozen=True):
    """What h2load sends: `streams` requests at a time on each connection."""

    path: str
    connections: int = 16
    streams: int = 16
    scheme: str = "http"


SMALL, MEBIBYTE = Shape("/route-0/x"), Shape("/route-0/mebibyte", 4, 2)
NGINX = altered(PEERS["nginx"], ("reuseport backlog=4096", "http2 reuseport backlog=4096"))


def _nghttpx(setup: Setup) -> list[str]:
    """It has one backend for all requests: it matches no path."""
    words = ["nghttpx", "--conf=/dev/null", "-n1", "--no-ocsp", "--errorlog-file=/dev/null"]
    return [*words, f"--frontend=127.0.0.1,{setup.port};no-tls", f"--backend=127.0.0.1,{setup.backend};;proto=h2"]


NGHTTPX = Peer("nghttpx", _nghttpx, lambda: shutil.which("nghttpx"))


def http2_backend_command(setup: Setup, *options: str) -> list[str]:
    """Like backend_command, by nghttpd. `options`: of TLS, none without."""
    files = setup.folder / "files" / "route-0"
    files.mkdir(parents=True)
    (files / "x").write_bytes(b"hello, world\n")
    (files / "mebibyte").write_bytes(bytes(1 << 20))
    words = ["nghttpd", "-n1", "-m1000", "--address=127.0.0.1", "-d", str(files.parent)]
    return [*words, str(setup.port), *options] if options else [*words, "--no-tls", str(setup.port)]


def h2load(proxy: Running, shape: Shape, seconds: int) -> Load:
    """Runs h2load with one thread; again if it hangs, as it does if a handshake takes longer than the load."""
    _, core = proxy_and_load_core()
    words = ["taskset", "-c", str(core), "h2load", "-t1", f"-D{seconds}"]
    words += [f"-c{shape.connections}", f"-m{shape.streams}", "-w", "24", "-W", "24"]
    words.append(f"{shape.scheme}://127.0.0.1:{proxy.port}{shape.path}")
    for repeats in range(TRIES):
        before = proxy.cpu()
        try:
            said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=seconds + PATIENCE).stdout
            break
        except subprocess.TimeoutExpired:
            if repeats == TRIES - 1:
                raise
    cpu = proxy.cpu() - before
    requests, failures = counted(said, shape)
    return Load(requests=requests, failures=failures, seconds=float(seconds), cpu=cpu, repeats=repeats)


def counted(said: str, shape: Shape) -> tuple[int, int]:
    """The requests that succeeded and that failed, from the output of h2load. It counts a request that is lost with its
    connection only as started. At the end of the load, each stream may have one request that has no answer yet."""
    found = _DONE.search(said)
    if found is None:
        raise RuntimeError(f"the output of h2load cannot be parsed:\n{said}")
    started, done, succeeded = map(int, found.groups())
    if not succeeded:
        raise RuntimeError(f"h2load: no request succeeded:\n{said}")
    return succeeded, done - succeeded + max(0, started - done - shape.connections * shape.streams)


def _small(proxy: Running, seconds: int) -> Spell:
    return per_request(h2load(proxy, SMALL, seconds))


def _mebibyte(proxy: Running, seconds: int) -> Spell:
    return per_gib(h2load(proxy, MEBIBYTE, seconds))


def _paced(proxy: Running, seconds: int) -> Spell:
    _, core = proxy_and_load_core()
    found = open_loop(
        proxy, SMALL.path, core, seconds=seconds, rate=RATE, connections=PACED_CONNECTIONS, program="pace2"
    )
    return p99(found, seconds)


def rows(name: str) -> list[Row]:
    return [
        Row(name, "µs CPU/request", _small),
        Row(f"{name}, 1 MiB answers", "s CPU/GiB", _mebibyte),
        Row(f"{name}, p99 at {RATE} requests/s", "ms", _paced),
    ]


def measure_http2(effort: Effort) -> list[Cost]:
    require("h2load", "nghttpd")
    ours, haproxy = PEERS[OURS], PEERS["haproxy"]
    with side_by_side(effort.kept((ours, NGINX, haproxy)), backend_command) as proxies:
        costs = in_rounds(rows("HTTP/2"), proxies, effort)
    with side_by_side(effort.kept((ours, haproxy, NGHTTPX)), http2_backend_command, http2=True) as proxies:
        return [*costs, *in_rounds(rows("HTTP/2 to HTTP/2"), proxies, effort)]


if __name__ == "__main__":
    print_costs(__doc__, measure_http2)
