"""The cost of traces: `python -m bench.traces [--rounds 7] [--seconds 3]`.

fastroute without traces runs beside others that export to a collector on the core of the load. They sample none, 1 % or
all of the traces that begin at the gateway. The cost is the CPU time of all processes of fastroute, also of the thread
that exports. Each ratio is that to fastroute without traces in the same round; the table shows medians.
"""

import argparse
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import median

from bench.compare import CONNECTIONS
from bench.load import closed_loop
from bench.peers import PEERS, Peer, Setup, backend_command
from bench.process import proxy_and_load_core
from bench.rounds import side_by_side
from fastroute.text import Line, Table, write_page

OFF = "no traces"
RATIOS = {OFF: None, "0 %": 0.0, "1 %": 0.01, "100 %": 1.0}


class _Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def collecting(core: int) -> Iterator[str]:
    """The URL of a collector that runs in this process, on `core`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Collector)
    server.daemon_threads = True

    def serve() -> None:
        os.sched_setaffinity(0, {core})
        server.serve_forever()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def _peer(name: str, url: str, sampling: float | None) -> Peer:
    plain = PEERS["fastroute"]

    def command(setup: Setup) -> list[str]:
        more = [] if sampling is None else ["--otlp", url, "--trace-sampling", str(sampling)]
        return [*plain.command(setup), *more]

    return Peer(name.replace(" %", "-percent").replace(" ", "-"), command, plain.program)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    _, core = proxy_and_load_core()
    costs: dict[str, list[float]] = {name: [] for name in RATIOS}
    failures = 0
    with collecting(core) as url:
        peers = [_peer(name, url, sampling) for name, sampling in RATIOS.items()]
        with side_by_side(peers, backend_command) as proxies:
            for number in range(-1, options.rounds):  # the first one fills pools and caches
                for name, proxy in zip(RATIOS, proxies, strict=True):
                    seconds = options.seconds if number >= 0 else 1
                    load = closed_loop(proxy, "/route-0/x", core, seconds=seconds, connections=CONNECTIONS)
                    if number >= 0:
                        costs[name].append(load.cpu_us)
                        failures += load.failures
    rows = []
    for name, found in costs.items():
        ratios = sorted(one / other for one, other in zip(found, costs[OFF], strict=True))
        rows.append((name, f"{median(found):.2f}", f"{median(ratios):.3f}", f"{ratios[0]:.3f} to {ratios[-1]:.3f}"))
    headings = "sampled", "µs CPU/request", "ratio", "of all rounds"
    write_page(
        [
            Line("Kept-alive requests, CPU of all processes"),
            Table(headings, tuple(rows)),
            Line(f"failed requests: {failures}"),
        ]
    )


if __name__ == "__main__":
    main()
