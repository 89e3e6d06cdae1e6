"""One Engine compared with one nginx, as proxies of the same nginx: CPU per request, in short alternating rounds.

    python -m bench.engine_alone [--rounds 3] [--seconds 2] [keep-alive|close|body ...]

The proxies run on core 0, backend and load on core 1. Only the ratio within one run is meaningful. `make bench` has the
full comparison; this is a quick check while working on the engine.
"""

import argparse
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.process import cpu_seconds, tree

HERE = Path(__file__).resolve().parent
CASES = {  # path, extra arguments of wrk
    "keep-alive": ("/small", []),
    "close": ("/small", ["-H", "Connection: close"]),
    "body": ("/big", []),
}

BACKEND = """
worker_processes 1; daemon off; pid {root}/backend.pid; error_log {root}/backend.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; sendfile on; tcp_nodelay on;
  server {{ listen 127.0.0.1:{port} backlog=4096; root {root};
    location = /small {{ return 200 "0123456789abcdef"; }}
    location = /big {{ }} }} }}
"""

PROXY = """
worker_processes 1; daemon off; pid {root}/proxy.pid; error_log {root}/proxy.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; tcp_nodelay on; proxy_temp_path {root}/temp;
  upstream backend {{ server 127.0.0.1:{backend}; keepalive 256; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Host $http_host;
      proxy_set_header X-Request-ID $request_id; }} }} }}
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def engine_process(backend: int, port_file: str) -> None:
    """The engine process: one rule with the backend, run by trio until SIGTERM."""
    import gc

    import trio

    sys.path.insert(0, str(HERE.parent / "tests"))
    from rig import Rig, rule

    rig = Rig()
    rig.listen(4096)
    rig.put("apps/web:80", backend)
    rig.install(rule("apps/web:80"))
    gc.freeze()
    gc.disable()
    Path(port_file).write_text(str(rig.port))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.turn_forever)
            with trio.open_signal_receiver(signal.SIGTERM) as signals:
                async for _ in signals:
                    print(rig.engine.statistics(), file=sys.stderr)
                    nursery.cancel_scope.cancel()

    trio.run(main)


def pinned(core: int, *command: str) -> list[str]:
    return ["taskset", "-c", str(core), *command]


def load(port: int, case: str, seconds: float, connections: int) -> tuple[int, float]:
    """The number of requests and the requests per second, from wrk."""
    path, extra = CASES[case]
    url = f"http://127.0.0.1:{port}{path}"
    command = pinned(1, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", *extra, url)
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    wrong = re.search(r"Non-2xx.*|Socket errors.*", text)
    if wrong:
        print("  !", case, wrong.group(), file=sys.stderr)
    count = re.search(r"(\d+) requests in", text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    assert count
    assert rate
    return int(count.group(1)), float(rate.group(1))


def wait_for(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"nothing listens on {port}")


def measure(proxies: dict[str, tuple[int, int]], case: str, options: argparse.Namespace) -> None:
    """Alternating rounds of one case; prints µs of CPU per request (ms per GiB for bodies) and the ratio."""
    costs: dict[str, list[float]] = {name: [] for name in proxies}
    rates: dict[str, list[float]] = {name: [] for name in proxies}
    for number in range(options.rounds + 1):
        for name, (pid, port) in proxies.items():
            pids = tree(pid)
            before = cpu_seconds(pids)
            seconds = options.seconds if number else 1
            count, rate = load(port, case, seconds, options.connections)
            if number:
                costs[name].append((cpu_seconds(pids) - before) / count * 1e6)
                rates[name].append(rate)
    ratios = [ours / theirs for ours, theirs in zip(costs["engine"], costs["nginx"], strict=True)]
    for name in proxies:
        print(f"{case:12}{name:8}{statistics.median(costs[name]):9.2f} µs {statistics.median(rates[name]):10.0f}/s")
    print(f"{case:12}ratio   {statistics.median(ratios):9.3f}    ({', '.join(f'{ratio:.2f}' for ratio in ratios)})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=list(CASES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--hold", action="store_true", help="only start everything, for perf")
    options = parser.parse_args()
    processes: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        (root / "big").write_bytes(os.urandom(1 << 20))
        backend, proxy = free_port(), free_port()
        (root / "backend.conf").write_text(BACKEND.format(root=root, port=backend))
        (root / "proxy.conf").write_text(PROXY.format(root=root, port=proxy, backend=backend))
        try:
            processes.append(subprocess.Popen(pinned(1, "nginx", "-p", folder, "-c", f"{root}/backend.conf")))
            nginx = subprocess.Popen(pinned(0, "nginx", "-p", folder, "-c", f"{root}/proxy.conf"))
            processes.append(nginx)
            me = [sys.executable, __file__, "--engine", str(backend), str(root / "port")]
            engine = subprocess.Popen(pinned(0, *me), env={**os.environ, "PYTHONPATH": str(HERE.parent)})
            processes.append(engine)
            wait_for(backend)
            wait_for(proxy)
            while not (root / "port").exists() or not (root / "port").read_text():
                time.sleep(0.05)
            port = int((root / "port").read_text())
            if options.hold:
                print(f"engine pid {engine.pid} port {port}; nginx pid {nginx.pid} port {proxy}", flush=True)
                signal.pause()
            for case in options.cases:
                measure({"engine": (engine.pid, port), "nginx": (nginx.pid, proxy)}, case, options)
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait(5)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--engine"]:
        engine_process(int(sys.argv[2]), sys.argv[3])
    else:
        main()
