"""How fast a change is served: one of 3,000 routes is edited in its file again and again, while requests ask for it.

From the rename of the file to the first answer that shows it, as a client sees it; our own part (seen by the source ->
acknowledged by every worker) and the engine's longest turn come from our own metrics. The edits give every answer a new
`x-mark`, so that an answer of the old configuration cannot be taken for one of the new.
"""

import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path

import msgspec

from bench.manifests import route_document, write_manifests
from bench.peers import Place, backend_command, free_port, running
from bench.process import cores
from bench.served import Served, serving

ROUTES = 3_000
EDITS = 300
GAP = 0.02  # seconds between two edits
PAUSE = 0.0005  # seconds between two questions, or asking takes the cores that answering needs

_OWN = "fastroute_propagation_seconds_bucket"


class Churn(msgspec.Struct, frozen=True):
    """Milliseconds; `own` are upper bounds: the edge of the histogram's bucket. Metrics are asked for before and after
    the edits only: 300 scrapes of thousands of series in six seconds would be what is measured."""

    routes: int
    edits: int
    p50: float
    p99: float
    own_p50: float
    own_p99: float
    worst_turn: float  # of the engine, since its start: the whole first install among it


def measure_churn(routes: int = ROUTES, edits: int = EDITS) -> Churn:
    with tempfile.TemporaryDirectory(prefix="fastroute-bench-") as name:
        folder = Path(name)
        backend = Place(free_port(), 0, 0, folder / "backend")
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
    """Seconds from the moment the new file is there to the first answer that shows it."""
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
            raise RuntimeError(f"an edit was answered with {answer.status}")
        if answer.headers.get("x-mark") == str(mark):
            return time.perf_counter() - begin
        time.sleep(PAUSE)
    raise RuntimeError("an edit was not served within 10 s")


def _rank(seconds: list[float], share: float) -> float:
    """The value that `share` of them do not exceed, in ms."""
    ordered = sorted(seconds)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1e3 if ordered else float("nan")


def _edge(counts: dict[float, float], share: float) -> float:
    """The lowest edge of a histogram's cumulative `counts` that `share` of all do not exceed, in ms."""
    return min(edge for edge, count in counts.items() if count >= share * counts[float("inf")]) * 1e3
