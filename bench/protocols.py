"""The part `protocols`: all rows of HTTP/2, gRPC, TLS, TCP and UDP, with what is promised for each."""

from collections.abc import Iterator

import msgspec

from bench.before import BEFORE
from bench.compare import RATE, Cost, Effort
from bench.encrypted import measure_encrypted
from bench.floor import RELAY, measure_floor
from bench.grpc import measure_grpc
from bench.http2 import measure_http2
from bench.idle import Idle, measure_idle
from bench.report import WORSE, Must, cost_table, repeat_lines, verdicts
from bench.resting import STREAMS, Resting, measure_resting
from bench.secure import SecureCost, measure_secure
from bench.transport import measure_transport
from fastroute.text import Block


class Protocols(msgspec.Struct, frozen=True):
    costs: list[Cost]
    handshakes: list[SecureCost]
    resting: Resting
    idle: Idle


class Promise(msgspec.Struct, frozen=True):
    """What the ratio to each of these proxies must be at most, and should be."""

    measure: str
    proxies: tuple[str, ...]
    must: float
    aim: float


PROMISES = (
    Promise("HTTP/2", ("haproxy",), 1.0, 0.8),
    Promise("HTTP/2", ("nginx",), 0.55, 0.45),
    Promise("HTTP/2 to HTTP/2", ("haproxy", "nghttpx"), 1.0, 0.9),
    Promise("gRPC unary", ("haproxy",), 0.8, 0.6),
    Promise("gRPC unary", ("envoy",), 0.35, 0.25),
    Promise("gRPC unary, grpc-go", ("haproxy",), 0.8, 0.6),
    Promise("gRPC unary, grpc-go", ("envoy",), 0.35, 0.25),
    Promise("gRPC streaming", ("haproxy",), 1.15, 1.0),
    Promise("HTTP/2 over TLS on both sides", ("haproxy",), 1.0, 0.9),
    Promise("HTTP/2, 1 MiB answers", ("haproxy", "nginx"), 1.0, 0.8),
    Promise("HTTP/2 to HTTP/2, 1 MiB answers", ("haproxy",), 1.0, 0.8),
    Promise(f"HTTP/2, p99 at {RATE} requests/s", ("haproxy",), 1.1, 1.0),
    Promise(f"HTTP/2 to HTTP/2, p99 at {RATE} requests/s", ("haproxy",), 1.1, 1.0),
    Promise("HTTPS to HTTPS", ("nginx",), 0.9, 0.8),
    Promise("keep-alive", (RELAY,), 1.2, 1.1),
    Promise("keep-alive", (BEFORE,), WORSE, 1.0),
    Promise("new connection", ("nginx",), 1.0, 0.9),
    Promise("1 MiB uploads", ("haproxy",), 1.0, 0.8),
    Promise("TCP, 1 GiB", ("haproxy",), 1.0, 0.85),
    Promise("TCP connection", ("haproxy",), 0.97, 0.92),
    Promise("TCP connection", ("nginx",), 1.05, 1.0),
    Promise("TLS passthrough connection", ("haproxy",), 0.97, 0.92),
    Promise("TLS passthrough connection", ("nginx",), 1.05, 1.0),
    Promise("UDP", ("nginx",), 0.8, 0.65),
    Promise("resumed handshake", ("nginx",), 1.03, 0.95),
)


def measure_protocols(effort: Effort) -> Protocols:
    costs = [*measure_floor(effort), *measure_http2(effort), *measure_grpc(effort), *measure_encrypted(effort)]
    costs += measure_transport(effort)
    resumed = measure_secure(effort, ("resumed handshake",)).costs
    return Protocols(costs, resumed, measure_resting(), measure_idle())


def protocol_tables(found: Protocols) -> Iterator[Block]:
    handshakes = [
        Cost(each.measure, each.unit, each.proxy, each.cost, each.ours, 0, each.failures) for each in found.handshakes
    ]
    costs = [*found.costs, *handshakes]
    yield cost_table(costs)
    yield from repeat_lines(costs)
    yield from verdicts(tuple(_musts(costs, found)))


def _musts(costs: list[Cost], found: Protocols) -> Iterator[Must]:
    """Rows of proxies that are not installed are left out."""
    ours = {(cost.measure, cost.proxy): cost.ours for cost in costs}
    for promise in PROMISES:
        for proxy in promise.proxies:
            if ratio := ours.get((promise.measure, proxy)):
                yield Must(f"{promise.measure}, vs {proxy}", ratio, promise.must, promise.aim)
    yield Must("memory of an idle HTTP/2 connection over TLS", found.resting.idle / 1024, 40, 24, " KiB")
    yield Must(f"the same with {STREAMS} idle streams", found.resting.busy / 1024, 100, 60, " KiB")
    yield Must("memory of an idle connection of a TCPRoute", found.idle.tunnel / 1024, 2, 1, " KiB")
    yield Must("memory of a flow of UDP", found.idle.flow / 1024, 1, 0.5, " KiB")
    yield Must("failed requests, of all proxies", sum(cost.failures for cost in costs), 0, 0)
