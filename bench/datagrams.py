"""UDP: one Engine compared with one nginx (module stream), as proxies of the same echo: CPU per datagram.

    python -m bench.datagrams [--rounds 5] [--seconds 2] [--flows 1000] [--size 100] [--window 64]

The proxies run on core 0, echo and load (datagrams.c) on core 1. A request and its answer are two datagrams. The
rounds of the proxies alternate, and only the ratio within one run is meaningful. nginx needs its module stream
(Debian: libnginx-mod-stream).
"""

import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from bench.compiled import compiled
from bench.process import cpu_seconds, tree

HERE = Path(__file__).resolve().parent
MODULE = Path("/usr/lib/nginx/modules/ngx_stream_module.so")

PROXY = """
{module}
worker_processes 1; daemon off; pid {root}/proxy.pid; error_log {root}/proxy.log crit;
worker_rlimit_nofile 65536;
events {{ worker_connections 16384; }}
stream {{
  server {{ listen 127.0.0.1:{port} udp; proxy_pass 127.0.0.1:{echo}; proxy_timeout 60s; }} }}
"""


class Answers(msgspec.Struct, frozen=True):
    """What the load prints."""

    answered: int
    lost: int


def free_port() -> int:
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def engine_process(echo: int, port_file: str) -> None:
    """The engine process: one UDP place with one endpoint, run by trio until SIGTERM."""
    import gc

    import trio

    sys.path.insert(0, str(HERE.parent / "tests"))
    from datagrams import UdpRig, to, udp_rule

    rig = UdpRig("127.0.0.1", None)
    rig.serve(udp_rule(to("apps/echo:53")))
    rig.endpoints("apps/echo:53", echo)
    gc.freeze()
    gc.disable()
    Path(port_file).write_text(str(rig.place.port))

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


def load(port: int, options: argparse.Namespace, seconds: float) -> Answers:
    numbers = (port, options.flows, options.size, options.window, seconds)
    command = pinned(1, compiled("datagrams"), "load", *map(str, numbers))
    return msgspec.json.decode(subprocess.run(command, capture_output=True, check=True).stdout, type=Answers)


def measure(proxies: dict[str, tuple[int, int]], options: argparse.Namespace) -> None:
    """Prints µs of CPU per datagram, and the ratio. The first round, which is not counted, begins the flows."""
    costs: dict[str, list[float]] = {name: [] for name in proxies}
    rates: dict[str, list[float]] = {name: [] for name in proxies}
    for number in range(options.rounds + 1):
        for name, (pid, port) in proxies.items():
            pids = tree(pid)
            before = cpu_seconds(pids)
            found = load(port, options, options.seconds if number else 1)
            if found.lost:
                print(f"  ! {name}: {found.lost} of {found.answered + found.lost} datagrams lost", file=sys.stderr)
            if number:
                costs[name].append((cpu_seconds(pids) - before) / found.answered / 2 * 1e6)
                rates[name].append(2 * found.answered / options.seconds)
    ratios = [ours / theirs for ours, theirs in zip(costs["engine"], costs["nginx"], strict=True)]
    for name in proxies:
        print(f"{name:8}{statistics.median(costs[name]):9.2f} µs {statistics.median(rates[name]):10.0f}/s")
    print(f"ratio   {statistics.median(ratios):9.3f}    ({', '.join(f'{ratio:.2f}' for ratio in ratios)})")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--flows", type=int, default=1000)
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--window", type=int, default=64)
    parser.add_argument("--hold", action="store_true", help="only start everything, for perf")
    return parser.parse_args()


def main() -> None:
    options = parsed()
    processes: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        echo, proxy = free_port(), free_port()
        module = f"load_module {MODULE};" if MODULE.exists() else ""
        (root / "proxy.conf").write_text(PROXY.format(root=root, port=proxy, echo=echo, module=module))
        try:
            processes.append(subprocess.Popen(pinned(1, compiled("datagrams"), "echo", str(echo))))
            nginx = subprocess.Popen(pinned(0, "nginx", "-p", folder, "-c", f"{root}/proxy.conf"))
            processes.append(nginx)
            me = [sys.executable, __file__, "--engine", str(echo), str(root / "port")]
            engine = subprocess.Popen(pinned(0, *me), env={**os.environ, "PYTHONPATH": str(HERE.parent)})
            processes.append(engine)
            while not (root / "port").exists() or not (root / "port").read_text():
                time.sleep(0.05)
            port = int((root / "port").read_text())
            time.sleep(0.5)
            if options.hold:
                print(f"engine pid {engine.pid} port {port}; nginx pid {nginx.pid} port {proxy}", flush=True)
                signal.pause()
            measure({"engine": (engine.pid, port), "nginx": (nginx.pid, proxy)}, options)
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--engine"]:
        engine_process(int(sys.argv[2]), sys.argv[3])
    else:
        main()
