"""`python -m bench.soak`: minutes of mixed load against `fastroute serve`, a part of it mutated, beside good clients.

Clients speak HTTP/1.1 and HTTP/2, half of them over TLS, gRPC, gRPC-Web and WebSockets; or TCP, TLS and UDP, which
are passed on unread (passed.py). So do the backends, some of them with TLS. Backends misbehave in every way a socket
allows, and send mutated responses. Clients send valid, cut and reset requests. A share of the traffic (--mutated) is
mutated: request heads, chunked bodies, responses of backends, frames of HTTP/2 in both directions, TLS records of
clients and backends, PROXY headers. Manifests, certificates and the CA certificates for backends change continuously.
Meanwhile a few good clients send requests on routes of their own, and are measured.

It reports the errors and latencies of the good clients, and the resident memory and the descriptors of each process
over time. It fails if the server or a worker ends, a sanitizer reports an error, a good or valid request gets a wrong
response, the memory of a process grows by more than --growth after the first quarter, descriptors are not closed
afterwards, or the exit code is not 0. All traffic stays on 127.0.0.0/8, is limited in rate and time, and ends by
itself. With a sanitizer build: see CONTRIBUTING.md.
"""

import argparse
import json
import os
import random
import resource
import sys
import tempfile
from collections.abc import Awaitable, Callable
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import trio

from bench.certificate import self_signed
from bench.peers import free_port
from bench.soak.backends import Backend
from bench.soak.clients import Clients
from bench.soak.good import Chosen
from bench.soak.http2_backends import Http2Backend, scrambling, secured
from bench.soak.passed import echo, echo_datagrams
from bench.soak.server import Server
from bench.soak.world import ADDRESSES, TEAMS, World, server_tls
from fastroute import notation

EDITS = 2  # per second
SAMPLES = 5  # seconds between two samples
SETTLE = 45.0  # seconds until idle connections to backends are closed


class Soak:
    """One run, with two servers: one expects PROXY headers."""

    def __init__(self, chosen: argparse.Namespace, folder: Path) -> None:
        self._chosen = chosen
        self._ports = {name: free_port() for name in TEAMS}
        pems = self_signed()
        self._pems = folder.with_suffix(".pem")
        self._pems.write_bytes(pems.chain + pems.key)
        self._world = World(folder, self._ports, pems)
        self._world.edit(0)
        offset = 20_000 + random.randrange(5_000)
        proxied = offset + 5_000
        self.clients = Clients(80 + offset, 443 + offset, proxied - offset, chosen.mutated)
        self._good = Chosen(80 + offset, 443 + offset, self._ports, str(self._pems), chosen.minutes * 60)
        self._good_report: dict[str, object] = {}
        self._http2 = Http2Backend()
        self.servers = (
            Server("plain", folder, offset, "--workers", "2"),
            Server("proxied", folder, proxied, "--workers", "1", "--proxy-protocol", "--trusted-proxies", "127.0.0.1"),
        )

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for (team, serve), address in product(self._backends().items(), ADDRESSES):
                listeners = await trio.open_tcp_listeners(self._ports[team], host=address, backlog=512)
                nursery.start_soon(trio.serve_listeners, serve, listeners)
            for address in ADDRESSES:
                nursery.start_soon(echo_datagrams, address, self._ports["plain-bytes"])
            try:
                for server in self.servers:
                    await server.wait_ready()
                self._sample()
                await self._load()
                with trio.move_on_after(SETTLE):
                    for server in self.servers:
                        await server.settle()
                self._sample()
            finally:
                with trio.CancelScope(shield=True):
                    for server in self.servers:
                        await server.stop()
            nursery.cancel_scope.cancel()

    def _backends(self) -> dict[str, Callable[[Any], Awaitable[None]]]:
        """By team: all but those of the good clients."""
        plain, tls = Backend().serve, server_tls(self._pems)
        return {
            "apples": plain,
            "bananas": plain,
            "wild": plain,
            "dates": self._http2.serve,
            "elder": secured(plain, tls),
            "figs": secured(self._http2.serve, server_tls(self._pems, "h2")),
            "frames": Http2Backend(wild=True).serve,
            "scrambled": scrambling(tls),
            "plain-bytes": echo,
            "tls-bytes": secured(echo, tls),
        }

    def _sample(self) -> None:
        for server in self.servers:
            server.sample()

    async def _load(self) -> None:
        until = trio.current_time() + self._chosen.minutes * 60
        pause = self._chosen.clients / self._chosen.rate
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._run_good)
            for _ in range(self._chosen.clients):
                nursery.start_soon(self.clients.run, until, pause)
            edit = 0
            while trio.current_time() < until and all(server.lives for server in self.servers):
                edit += 1
                self._world.edit(edit)
                await trio.sleep(1 / EDITS)
                if edit % (EDITS * SAMPLES) == 0:
                    self._sample()

    async def _run_good(self) -> None:
        words = ["-m", "bench.soak.good", msgspec.json.encode(self._good).decode()]
        done = await trio.run_process([sys.executable, *words], capture_stdout=True)
        self._good_report = json.loads(done.stdout)

    def report(self) -> dict[str, object]:
        faults = [fault for server in self.servers for fault in server.faults(self._chosen.growth >> 10)]
        lines = [line for server in self.servers for line in server.access_log.read_bytes().splitlines()]
        for line in lines:
            json.loads(line)
        faults += ["good clients"] if self._good_report.get("errors", 1) else []
        faults += ["wrong responses"] if self.clients.wrong else []
        faults += ["wrong frames"] if self._http2.wrong else []
        return {
            "faults": faults,
            "good clients": self._good_report,
            "wrong": [*self.clients.wrong[:20], *self._http2.wrong[:20]],
            "results": dict(sorted(self.clients.counts.items())),
            "servers": [server.report() for server in self.servers],
            "access log lines": len(lines),
        }


def main() -> int:
    options = argparse.ArgumentParser(
        prog="python -m bench.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--minutes", type=float, default=10)
    options.add_argument("--clients", type=int, default=24, help="concurrent clients, without the good ones")
    options.add_argument("--rate", type=float, default=400, help="at most about as many connections a second")
    options.add_argument("--mutated", type=float, default=0.5, help="share of the traffic that is mutated, 0 to 1")
    options.add_argument("--growth", type=notation.size, default=64 << 20, help="most growth of a process, in bytes")
    options.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)))
    chosen = options.parse_args()
    random.seed(chosen.seed)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    soak = Soak(chosen, Path(tempfile.mkdtemp(prefix="fastroute-soak-")))
    trio.run(soak.run)
    result = {"seed": chosen.seed, "minutes": chosen.minutes, "share": chosen.mutated, **soak.report()}
    json.dump(result, sys.stdout, indent=2)
    print()
    return 1 if result["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
