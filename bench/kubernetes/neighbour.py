"""How long a change in one namespace, and its status, take while another namespace changes in bulk.

The attacker, a process of its own, patches 5,000 routes one after the other (each status changes, because the
generation does), edits 5,000 EndpointSlices 100 times a second, or toggles the backends of 5,000 routes between an
existing Service and a missing one, so that conditions and Events change too. The victim patches its route. The time
runs from the answer of the API server to the first response that shows the change, and to the condition of that
generation in the status. The part of fastroute runs from the arrival of the change on the connection of the watch until
the worker serves it. With two cores or more, fastroute has one of them for itself.
"""

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from cluster.api import Api, ApiError  # noqa: E402
from cluster.cluster import Cluster  # noqa: E402

from bench.kubernetes import world  # noqa: E402
from bench.kubernetes.client import Client  # noqa: E402
from bench.kubernetes.gateway import Gateway  # noqa: E402
from bench.kubernetes.world import create_all, route  # noqa: E402
from bench.process import cores, keep_on, tree  # noqa: E402

COUNT = 5_000
EDITS = 40
GAP = 0.1  # s between two changes of the victim
WARM_UP = 5.0  # s
VICTIM, BULK = "victim", "bulk"
PORTS = {VICTIM: 8090, BULK: 8091}
THREADS = 8  # of the attacker
ATTACKS = ("routes", "slices", "conditions")


class Spell(msgspec.Struct, frozen=True):
    """Milliseconds: p50, p90, worst."""

    served: tuple[float, float, float]
    stated: tuple[float, float, float]
    changes: float  # of the attacker, a second
    own: tuple[float, float, float]  # the part of fastroute, of the victim's changes


class Neighbour(msgspec.Struct, frozen=True):
    quiet: Spell
    attacks: dict[str, Spell]


def measure_neighbour(cluster: Cluster, served: Gateway) -> Neighbour:
    api = cluster.api
    for name, port in PORTS.items():
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        api.apply(_inside(world.gateway("edge", port), name))
    api.apply(_victim(0))
    create_all(api, (_route(number, "a") for number in range(COUNT)))
    create_all(api, itertools.chain.from_iterable(map(_service, range(COUNT))))
    served.settle()
    with Client(PORTS[VICTIM]) as client, apart(served):
        quiet = _spell(api, client, served, 0)
        attacks = {}
        for number, attack in enumerate(ATTACKS, 1):
            with _attacking(cluster.kubeconfig, attack) as process:
                time.sleep(WARM_UP)
                attacks[attack] = _spell(api, client, served, number * EDITS, attack=process)
            served.settle()
    return Neighbour(quiet, attacks)


@contextmanager
def apart(served: Gateway) -> Iterator[None]:
    """Gives fastroute a core of its own. All others use the other ones."""
    all_ = cores()
    own, rest = {all_[-1]}, set(all_[:-1]) or {all_[-1]}
    gateway = tree(served.main)
    others = [pid for pid in tree(os.getpid()) if pid not in gateway]
    for pids, allowed in ((gateway, own), (others, rest)):
        for pid in pids:
            keep_on(pid, allowed)
    try:
        yield
    finally:
        for pid in (*gateway, *others):
            keep_on(pid, set(all_))


def _spell(
    api: Api, client: Client, gateway: Gateway, first: int, *, attack: "subprocess.Popen[bytes] | None" = None
) -> Spell:
    served, stated, begin, made = [], [], time.monotonic(), _made(attack)
    before = len(gateway.propagation(VICTIM))
    for mark in range(first + 1, first + 1 + EDITS):
        patched = api.patch("HTTPRoute", VICTIM, "r", {"spec": _victim(mark)["spec"]})
        began = time.perf_counter()
        served.append(client.until("/", 302, str(mark)) - began)
        _wait_for_status(api, patched["metadata"]["generation"])
        stated.append(time.perf_counter() - began)
        time.sleep(GAP)
    rate = (_made(attack) - made) / (time.monotonic() - begin)
    own = gateway.propagation(VICTIM)[before:]
    return Spell(_quantiles(served), _quantiles(stated), rate, _quantiles(own))


def _wait_for_status(api: Api, generation: int) -> None:
    while True:
        parents = api.get("HTTPRoute", VICTIM, "r").get("status", {}).get("parents", ())
        if any(one["observedGeneration"] >= generation for parent in parents for one in parent["conditions"]):
            return
        time.sleep(0.005)


def _quantiles(seconds: list[float]) -> tuple[float, float, float]:
    ordered = [second * 1e3 for second in sorted(seconds)]
    return ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.9)], ordered[-1]


# --- Objects


def _inside(one: dict[str, Any], namespace: str) -> dict[str, Any]:
    return {**one, "metadata": {**one["metadata"], "namespace": namespace}}


def _victim(mark: int) -> dict[str, Any]:
    """A route that redirects, so that it needs no backend."""
    one = _inside(route("r", "/", "none", mark=mark), VICTIM)
    rule = one["spec"]["rules"][0]
    redirect = {"type": "RequestRedirect", "requestRedirect": {"hostname": "example.com"}}
    one["spec"]["rules"] = [{"matches": rule["matches"], "filters": [*rule["filters"], redirect]}]
    return one


def _route(number: int, mark: str) -> dict[str, Any]:
    one = _inside(route(f"r{number}", f"/{mark}-{number}", f"s{number}"), BULK)
    one["spec"]["rules"][0]["backendRefs"][0]["name"] = f"s{number}" if mark != "missing" else "none"
    return one


def _service(number: int) -> Iterator[dict[str, Any]]:
    meta = {"namespace": BULK, "name": f"s{number}"}
    yield {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"clusterIP": "None", "ports": [_PORT]}}
    yield {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**meta, "labels": {"kubernetes.io/service-name": f"s{number}"}},
        "addressType": "IPv4",
        "endpoints": _endpoints(0),
        "ports": [{"name": "http", "port": 80}],
    }


_PORT = {"name": "http", "port": 80}


def _endpoints(mark: int) -> list[dict[str, Any]]:
    return [{"addresses": [f"10.244.1.{1 + mark % 250}"], "conditions": {"ready": True}}]


# --- The attacker


@contextmanager
def _attacking(kubeconfig: Path, attack: str) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "bench.kubernetes.neighbour", str(kubeconfig), attack]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def _count_file(pid: int) -> Path:
    return Path(f"/tmp/fastroute-neighbour-{pid}")


def _made(attack: "subprocess.Popen[bytes] | None") -> int:
    if attack is None:
        return 0
    try:
        return int(_count_file(attack.pid).read_text() or 0)
    except (FileNotFoundError, ValueError):
        return 0


def _attack(kubeconfig: Path, attack: str) -> None:
    """Changes one object after the other, for ever."""
    os.nice(10)
    api, path = Api(kubeconfig), _count_file(os.getpid())
    with ThreadPoolExecutor(THREADS) as pool:
        for begin in itertools.count(0, 100):
            due = time.monotonic() + 1.0
            list(pool.map(lambda number: _change(api, attack, number), range(begin, begin + 100)))
            path.write_text(str(begin + 100))
            if attack == "slices":
                time.sleep(max(0.0, due - time.monotonic()))


def _change(api: Api, attack: str, number: int) -> None:
    index, cycle = number % COUNT, number // COUNT
    try:
        if attack == "slices":
            api.patch("EndpointSlice", BULK, f"s{index}", {"endpoints": _endpoints(cycle + 1)})
        else:
            mark = ("missing", "a")[cycle % 2] if attack == "conditions" else f"m{cycle}"
            api.patch("HTTPRoute", BULK, f"r{index}", {"spec": _route(index, mark)["spec"]})
    except ApiError as error:
        print(error, file=sys.stderr)


if __name__ == "__main__":
    _attack(Path(sys.argv[1]), sys.argv[2])
