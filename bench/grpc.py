"""Calls of gRPC: fastroute and other proxies side by side, with calls.c as the client and echo.c as the server.

    python -m bench.grpc [--rounds 7] [--seconds 3]

A unary call has a message of 13 bytes each way; 16 connections have 16 calls each. In streaming, 64 calls on 4
connections have 8 messages of 100 bytes in flight each, and the cost is that of a message there and back. The client
checks each call: HTTP status, number of messages, grpc-status. The server is small, so that the proxy is the
bottleneck. The row with grpc-go repeats the unary calls with gRPC's own server (tests/http2/interop), which answers
with an empty message and takes more CPU than each proxy but Envoy; it is left out if that program has not been built
(`make interop` builds it).
"""

import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench.compare import OURS, Cost, Effort
from bench.compiled import compiled
from bench.http2 import NGHTTPX
from bench.load import Load
from bench.peers import PEERS, Running, Setup, altered
from bench.process import proxy_and_load_core
from bench.report import print_costs
from bench.rounds import Row, Spell, in_rounds, per_request, side_by_side

SERVICE = "grpc.testing.TestService"
UNARY = ("16", "16", "0", "13")  # connections, calls on each, messages in flight (0: unary), bytes
STREAMING = ("4", "16", "8", "100")
INTEROP = Path(".cache/programs")

_MATCH = "matches: [{path: {type: PathPrefix, value: /route-0}}]"
_OURS = altered(
    PEERS[OURS], ("kind: HTTPRoute", "kind: GRPCRoute"), (_MATCH, f"matches: [{{method: {{service: {SERVICE}}}}}]")
)
PROXIES = (
    _OURS,
    altered(PEERS["haproxy"], ("/route-0/", f"/{SERVICE}/")),
    altered(PEERS["envoy"], ("/route-0/", f"/{SERVICE}/")),
    NGHTTPX,
)


class Calls(msgspec.Struct, frozen=True):
    """What calls.c prints."""

    messages: int
    calls: int
    failures: int
    seconds: float


def _calls(method: str, shape: tuple[str, ...]) -> Callable[[Running, int], Spell]:
    def measure(proxy: Running, seconds: int) -> Spell:
        _, core = proxy_and_load_core()
        words = ["taskset", "-c", str(core), compiled("calls"), str(proxy.port), f"/{SERVICE}/{method}"]
        before = proxy.cpu()
        said = subprocess.run([*words, *shape, str(seconds)], capture_output=True, check=True).stdout
        cpu = proxy.cpu() - before
        done = msgspec.json.decode(said, type=Calls)
        return per_request(Load(requests=done.messages, failures=done.failures, seconds=done.seconds, cpu=cpu))

    return measure


def _echo(setup: Setup) -> list[str]:
    return [compiled("echo"), str(setup.port)]


def grpc_go() -> Path | None:
    """gRPC's own test server, as the tests built it."""
    return next(iter(sorted(INTEROP.glob("interop-*/server"))), None)


def measure_grpc(effort: Effort) -> list[Cost]:
    unary, streaming = _calls("EmptyCall", UNARY), _calls("FullDuplexCall", STREAMING)
    rows = [Row("gRPC unary", "µs CPU/call", unary), Row("gRPC streaming", "µs CPU/message", streaming)]
    with side_by_side(effort.kept(PROXIES), _echo, http2=True) as proxies:
        costs = in_rounds(rows, proxies, effort)
    if program := grpc_go():
        with side_by_side(
            effort.kept(PROXIES), lambda setup: [str(program), f"-port={setup.port}"], http2=True
        ) as proxies:
            costs += in_rounds([Row("gRPC unary, grpc-go", "µs CPU/call", unary)], proxies, effort)
    return costs


if __name__ == "__main__":
    print_costs(__doc__, measure_grpc)
