"""Latency of a change: one of 3,000 routes is edited in its file repeatedly, while a client sends requests for it.

The time runs from the rename of the file to the first response that shows the edit, as seen by the client. The time
within fastroute (from the notification about the file to the acknowledgement by every worker) and the longest turn of
the engine's loop are read from fastroute's metrics. Each edit sets a new value of `x-mark`, so that a response from the
old configuration cannot be mistaken for one from the new.
"""

import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path

import msgspec

from bench.manifests import route_document, write_manifests
from bench.peers import Setup, backend_command, free_port, running
from bench.process import cores
from bench.served import Served, serving

ROUTES = 3_000
EDITS = 300
GAP = 0.02  # seconds between two edits
PAUSE = 0.0005  # seconds between two requests; otherwise the client takes the CPU time of the gateway

_OWN = "fastroute_propagation_seconds_bucket"


class Churn(msgspec.Struct, frozen=True):
    """Times in milliseconds. `own_*`: the time within fastroute, rounded up to the upper edge of a histogram bucket.
    Metrics are only scraped before and after the edits: 300 scrapes of thousands of series in six seconds would distort
    the result."""

    routes: int
    edits: int
    p50: float
    p99: float
    own_p50: float
    own_p99: float
    worst_turn: float  # the longest turn of the engine since its start, including the first installation of all routes


def measure_churn(routes: int = ROUTES, edits: int = EDITS) -> Churn:
    with tempfile.TemporaryDirectory(prefix="fastroute-bench-") as name:
        folder = Path(name)
        backend = Setup(free_port(), 0, 0, folder / "backend")
        backend.folder.mkdir()
        write_manifests(folder / "manifests", routes, backend.port, files=routes)
        answering = running("backend", backend_command(backend), backend.port, cores()[-1])
        with answering, serving(folder / "manifests") as served:
            return _edit_often(served, folder / "manifests", routes, edits)


def _edit_often(served: Served, manifests: Path, routes: int, edits: int) -> Churn:
    seen = []
    asking = HTTPConnection("127.0.0.1", served.port, timeout=10)
    before = served.buckets(_OWN)
    for mark in range(edits):
        seen.append(_edit(asking, manifests, (mark * 7919) % routes, mark))
        time.sleep(GAP)
    after = served.buckets(_OWN)
    own = {edge: count - before[edge] for edge, count in after.items()}
    asking.close()
    return Churn(
        routes=routes,
        edits=edits,
        p50=_rank(seen, 0.5),
        p99=_rank(seen, 0.99),
        own_p50=_edge(own, 0.5),
        own_p99=_edge(own, 0.99),
        worst_turn=served.metrics("fastroute_worst_turn_seconds")[0] * 1e3,
    )


def _edit(asking: HTTPConnection, manifests: Path, index: int, mark: int) -> float:
    """Seconds from the rename of the new file to the first response that shows it."""
    path = manifests / f"routes-{index}.yaml"
    new = manifests / ".new"
    new.write_text(route_document(index, mark))
    begin = time.perf_counter()
    new.rename(path)
    while time.perf_counter() - begin < 10:
        asking.request("GET", f"/route-{index}/x")
        answer = asking.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"the response after an edit has status {answer.status}")
        if answer.headers.get("x-mark") == str(mark):
            return time.perf_counter() - begin
        time.sleep(PAUSE)
    raise RuntimeError("an edit was not served within 10 s")


def _rank(seconds: list[float], share: float) -> float:
    """The quantile `share` of `seconds`, in ms."""
    ordered = sorted(seconds)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1e3 if ordered else float("nan")


def _edge(counts: dict[float, float], share: float) -> float:
    """The upper edge of the bucket with the quantile `share`, in ms. `counts` are cumulative, by edge."""
    return min(edge for edge, count in counts.items() if count >= share * counts[float("inf")]) * 1e3
