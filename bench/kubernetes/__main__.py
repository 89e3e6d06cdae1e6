"""`python -m bench.kubernetes [PART...]`: benchmarks with a real API server; tables on stdout, JSON in .cache/bench/.

PART: served (from a change to its first response, 3,000 routes), attached (1,000 routes at once), idle (5,000 routes:
memory, start, CPU), disturbed (latency while everything changes), neighbour (a change and its status while another
namespace changes 5,000 routes and EndpointSlices). About five minutes, plus a build of Go programs at first.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))  # the cluster is the one of the tests

from cluster import isolation  # noqa: E402
from cluster.account import account_kubeconfig  # noqa: E402
from cluster.cluster import Cluster  # noqa: E402
from cluster.programs import CLUSTER, built, suite  # noqa: E402

from bench.compiled import compiled  # noqa: E402
from bench.kubernetes.attached import measure_attached  # noqa: E402
from bench.kubernetes.disturbed import measure_disturbed  # noqa: E402
from bench.kubernetes.gateway import Gateway, serving  # noqa: E402
from bench.kubernetes.idle import measure_idle  # noqa: E402
from bench.kubernetes.neighbour import measure_neighbour  # noqa: E402
from bench.kubernetes.served import measure_served  # noqa: E402
from bench.kubernetes.tables import (  # noqa: E402
    attached_tables,
    disturbed_tables,
    idle_tables,
    neighbour_tables,
    served_tables,
)
from bench.kubernetes.world import create_all, create_routes, endpoints_answering, world  # noqa: E402
from bench.peers import Running  # noqa: E402
from bench.process import cores  # noqa: E402
from fastroute.text import Block, write_page  # noqa: E402

RESULTS = ROOT / ".cache/bench"
FEW, MANY = 3_000, 5_000  # routes


def main() -> int:
    words = argparse.ArgumentParser(prog="python -m bench.kubernetes", description=__doc__)
    words.add_argument("parts", nargs="*", choices=[[], *PARTS], help="default: all")
    chosen = words.parse_args()
    for module in (CLUSTER, suite("v1.6.3")):
        built(module)
    compiled("pace")  # it is used where nothing can be built
    isolation.enter()
    RESULTS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fastroute-bench-") as name:
        cluster = Cluster(Path(name) / "cluster")
        cluster.start()
        try:
            with endpoints_answering(Path(name), cores()[-1]) as endpoints:
                _measure(cluster, endpoints, chosen.parts or list(PARTS))
        finally:
            cluster.stop()
    return 0


def _measure(cluster: Cluster, endpoints: Running, parts: Sequence[str]) -> None:
    create_all(cluster.api, world())
    if set(parts) != {"neighbour"}:  # it has its own objects
        create_routes(cluster.api, FEW)
    for part in parts:
        PARTS[part](cluster, endpoints)


def _gateway(cluster: Cluster) -> AbstractContextManager[Gateway]:
    return serving(account_kubeconfig(cluster), cluster.folder / "fastroute.log")


def _served(cluster: Cluster, _: Running) -> None:
    with _gateway(cluster) as served:
        served.settle()
        found = measure_served(cluster.api)
    _say("served", found, served_tables(found, FEW))


def _attached(cluster: Cluster, _: Running) -> None:
    with _gateway(cluster) as served:
        found = measure_attached(cluster.api, served)
    _say("attached", found, attached_tables(found))


def _idle(cluster: Cluster, _: Running) -> None:
    create_routes(cluster.api, MANY - FEW, first=FEW)
    with _gateway(cluster) as served:
        served.settle()
    with _gateway(cluster) as served:  # its statuses are written already, as at most starts
        found = measure_idle(cluster.api, served, MANY)
    _say("idle", found, idle_tables(found))


def _disturbed(cluster: Cluster, endpoints: Running) -> None:
    with _gateway(cluster) as served:
        served.settle()
        found = measure_disturbed(cluster.api, _as_running(served), served.worker, endpoints.process.pid)
    _say("disturbed", found, disturbed_tables(found))


def _neighbour(cluster: Cluster, _: Running) -> None:
    with _gateway(cluster) as served:
        served.settle()
        found = measure_neighbour(cluster, served)
    _say("neighbour", found, neighbour_tables(found))


def _as_running(served: Gateway) -> Running:
    return Running("fastroute", 80, served.process)


def _say(name: str, found: object, blocks: Iterable[Block]) -> None:
    (RESULTS / f"kubernetes-{name}.json").write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2))
    write_page(list(blocks))
    sys.stdout.flush()


PARTS: dict[str, Callable[[Cluster, Running], None]] = {
    "served": _served,
    "disturbed": _disturbed,
    "attached": _attached,
    "idle": _idle,
    "neighbour": _neighbour,
}

if __name__ == "__main__":
    sys.exit(main())
