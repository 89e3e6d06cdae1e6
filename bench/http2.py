"""HTTP/2 towards clients: fastroute and other proxies side by side, with h2load.

    python -m bench.http2 [--rounds 7] [--seconds 3]

As in the part `peers`, all proxies run on one core, each round measures all of them, and a ratio is that of one round.
The clients speak HTTP/2 with prior knowledge, so that TLS is not a part of the cost. The backend speaks HTTP/1.1
(nginx), or HTTP/2 with prior knowledge (nghttpd), which nginx cannot speak to backends.
"""

import argparse
import re
import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import msgspec

from bench.compare import OURS, Cost, Effort
from bench.load import Load
from bench.peers import PEERS, Peer, Running, Setup, all_running, backend_command, free_port, running
from bench.process import proxy_and_load_core
from fastroute.text import Table, write_page


class Shape(msgspec.Struct, frozen=True):
    """What h2load sends."""

    name: str
    unit: str
    path: str
    connections: int
    streams: int


SHAPES = (
    Shape("HTTP/2", "µs CPU/request", "/route-0/x", 16, 16),
    Shape("HTTP/2, 1 MiB answers", "s CPU/GiB", "/route-0/mebibyte", 4, 2),
)
SHAPES_TO_HTTP2 = tuple(
    msgspec.structs.replace(shape, name=shape.name.replace("HTTP/2", "HTTP/2 to HTTP/2")) for shape in SHAPES
)
_DONE = re.compile(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded")


def _nginx(setup: Setup) -> list[str]:
    words = PEERS["nginx"].command(setup)
    path = setup.folder / "nginx.conf"
    plain = "reuseport backlog=4096"
    text = path.read_text()
    if plain not in text:
        raise AssertionError(f"{path} has no {plain!r}")
    path.write_text(text.replace(plain, f"http2 {plain}"))
    return words


def _nghttpx(setup: Setup) -> list[str]:
    """It is made for HTTP/2 alone."""
    words = ["nghttpx", "--conf=/dev/null", "-n1", "--no-ocsp", "--errorlog-file=/dev/null"]
    return [*words, f"--frontend=127.0.0.1,{setup.port};no-tls", f"--backend=127.0.0.1,{setup.backend};;proto=h2"]


def http2_peers() -> list[Peer]:
    """fastroute and HAProxy recognise HTTP/2 by its preface."""
    return _installed(PEERS[OURS], Peer("nginx", _nginx, PEERS["nginx"].program), PEERS["haproxy"])


def peers_to_http2() -> list[Peer]:
    return _installed(PEERS[OURS], PEERS["haproxy"], Peer("nghttpx", _nghttpx, lambda: shutil.which("nghttpx")))


def _installed(*peers: Peer) -> list[Peer]:
    return [peer for peer in peers if peer.program()]


def http2_backend_command(setup: Setup) -> list[str]:
    """Like backend_command, by nghttpd."""
    files = setup.folder / "files" / "route-0"
    files.mkdir(parents=True)
    (files / "x").write_bytes(b"hello, world\n")
    (files / "mebibyte").write_bytes(bytes(1 << 20))
    return ["nghttpd", "--no-tls", "-n1", "-m1000", "--address=127.0.0.1", "-d", str(files.parent), str(setup.port)]


def load(proxy: Running, shape: Shape, core: int, seconds: int) -> Load:
    """Runs h2load with one thread."""
    words = ["taskset", "-c", str(core), shutil.which("h2load") or "h2load", "-t1", f"-D{seconds}"]
    words += [f"-c{shape.connections}", f"-m{shape.streams}", "-w", "24", "-W", "24"]
    before = proxy.cpu()
    said = subprocess.run(
        [*words, f"http://127.0.0.1:{proxy.port}{shape.path}"], capture_output=True, text=True, check=True
    ).stdout
    cpu = proxy.cpu() - before
    done = _DONE.search(said)
    if done is None:
        raise RuntimeError(f"the output of h2load cannot be parsed:\n{said}")
    return Load(requests=int(done[2]), failures=int(done[1]) - int(done[2]), seconds=float(seconds), cpu=cpu)


def measure_http2(effort: Effort) -> list[Cost]:
    return [*_measure(effort, False), *_measure(effort, True)]


def _measure(effort: Effort, http2: bool) -> list[Cost]:
    """`http2`: the backend speaks it."""
    core, load_core = proxy_and_load_core()
    shapes = SHAPES_TO_HTTP2 if http2 else SHAPES
    loads: dict[tuple[str, str], list[Load]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fastroute-bench-")))
        backend = Setup(free_port(), 0, 0, folder / "backend")
        backend.folder.mkdir()
        command = http2_backend_command(backend) if http2 else backend_command(backend)
        stack.enter_context(running("backend", command, backend.port, load_core))
        peers = peers_to_http2() if http2 else http2_peers()
        started = stack.enter_context(all_running(peers, 1, folder, backend.port, core, http2=http2))
        for round_ in range(-1, effort.rounds):
            for shape in shapes:
                for proxy in started:
                    found = load(proxy, shape, load_core, effort.seconds if round_ >= 0 else 1)
                    if round_ >= 0:
                        loads.setdefault((shape.name, proxy.name), []).append(found)
    return [cost for shape in shapes for cost in _costs(shape, loads)]


def _costs(shape: Shape, loads: dict[tuple[str, str], list[Load]]) -> list[Cost]:
    def cost(one: Load) -> float:
        return one.cpu_per_gib if "GiB" in shape.unit else one.cpu_us

    ours = loads[shape.name, OURS]
    return [
        Cost(
            measure=shape.name,
            unit=shape.unit,
            proxy=name,
            cost=median(map(cost, its)),
            ours=median(cost(one) / cost(other) for one, other in zip(ours, its, strict=True)),
            rate=median(one.rate for one in its),
            failures=sum(one.failures for one in its),
        )
        for (measured, name), its in loads.items()
        if measured == shape.name
    ]


def main() -> None:
    words = argparse.ArgumentParser(prog="python -m bench.http2")
    words.add_argument("--rounds", type=int, default=Effort().rounds)
    words.add_argument("--seconds", type=int, default=Effort().seconds)
    chosen = words.parse_args()
    found = measure_http2(Effort(rounds=chosen.rounds, seconds=chosen.seconds))
    rows = tuple(
        (one.measure, one.proxy, f"{one.cost:.3g}", one.unit, f"{one.ours:.2f}", f"{one.rate:,.0f}", str(one.failures))
        for one in found
    )
    write_page([Table(("MEASURE", "PROXY", "COST", "UNIT", "OURS/IT", "REQUESTS/S", "FAILED"), rows)])


if __name__ == "__main__":
    main()
