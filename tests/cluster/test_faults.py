"""Faults around a gateway under load: no response is wrong during a fault, and afterwards statuses and responses equal
those that newly started processes compute.

FAULT_SECONDS in the environment is the duration of each fault; without it, edits last 20 s and other faults 6 s. A full
run: `FAULT_SECONDS=60 .ci/cluster pytest -s tests/cluster/test_faults.py`.
"""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cluster import fruits, isolation, streams
from cluster.account import LEASE, account_kubeconfig
from cluster.api import Api, ApiError, path
from cluster.cluster import API_PORT, ETCD_PORT, Cluster
from cluster.echo import PORT, echo, eventually, ready_addresses
from cluster.edits import by_hand, edits_of_requests, edits_of_streams, slice_of, spare_route
from cluster.fruits import ADDRESS, ASKS, CHURNED, DOORS, PASSING, grant, route
from cluster.gateway import POOL, is_ready, scraped, start_gateway
from cluster.process import Program
from cluster.relay import Relay
from cluster.scratch import scratch
from cluster.traffic import Ask, Client, Traffic
from cluster.truth import answers, answers_from_nothing, differences, questions
from fastroute.apiserver.kinds import BY_KIND

SECONDS = float(os.environ.get("FAULT_SECONDS", "6"))
EDIT_SECONDS = float(os.environ.get("FAULT_SECONDS", "20"))
API_DOOR, ETCD_DOOR = API_PORT + 1, ETCD_PORT + 5
OFFSET = 1000  # added to the ports of a second replica
EDITORS, EDITS = 4, 100  # threads, and edits per second of all threads together
# The kinds that are watched. This API server does not serve ClusterTrustBundles, which need a feature gate, and v1.6.3
# has no XTelemetryPolicies.
ABSENT = ("ClusterTrustBundle", "XTelemetryPolicy")
KINDS = ("CustomResourceDefinition", *(kind for kind in BY_KIND if kind not in ABSENT))
OPTIONS = ("--address-pool", POOL, "--workers", "2", "--status-lease", LEASE)

pytestmark = pytest.mark.timeout(300 + 4 * SECONDS)  # the first test starts everything


class Scene:
    """A cluster with the objects of fruits.py and streams.py, a gateway that serves them, and the relays that inject
    faults."""

    asks = (*ASKS, *streams.STAYING)

    def __init__(self, cluster: Cluster, doors: ExitStack) -> None:
        self.cluster, self.folder = cluster, cluster.folder
        self.etcd_door = doors.enter_context(Relay(("127.0.0.1", ETCD_DOOR), ("127.0.0.1", ETCD_PORT)))
        self.cluster.start()
        self.cluster.start_pods()
        self.api_door = doors.enter_context(Relay(("127.0.0.1", API_DOOR), ("127.0.0.1", API_PORT)))
        self.api = cluster.api
        fruits.plant(self.api)
        streams.plant(self.api)
        self.kubeconfig = account_kubeconfig(cluster, server=f"https://127.0.0.1:{API_DOOR}")
        self.gateway = self.start_gateway()

    def start_gateway(self, options: tuple[str, ...] = (), metrics: str = "127.0.0.1:9900") -> Program:
        log = self.folder / f"fastroute-{metrics.rpartition(':')[2]}.log"
        return start_gateway(self.kubeconfig, log, (*OPTIONS, *options), metrics=metrics)

    def served(self, ask: Ask) -> bool:
        """Whether the response to a request is right now."""
        client = Client(ADDRESS)
        got = client.ask(ask)
        client.close()
        return got in ask.right

    def follows(self) -> None:
        """Checks that changes take effect: a new route is served, and a deleted one is not."""
        name = f"new-{time.monotonic_ns()}"
        self.api.apply(route(name, "apples", ("apples", 1)))
        eventually(lambda: self.served(Ask(f"{name}.test", "/", frozenset({"apples"}))))
        self.api.delete("HTTPRoute", "apples", name)
        eventually(lambda: self.served(Ask(f"{name}.test", "/", frozenset({"404"}))))

    def is_as_from_nothing(self) -> None:
        """Checks that statuses and responses equal those that newly started processes compute."""
        others = [one for one in streams.EDITED if one.by == "grpc" or one.path == "new"]  # others show one share
        asks = [*self.asks, *questions(self.api, DOORS), *others]
        assert differences(self.api, self.folder) == []
        assert answers(ADDRESS, asks) == answers_from_nothing(self.kubeconfig, self.folder, ADDRESS, asks)


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    if not isolation.is_inside():
        pytest.skip("needs a new network namespace, which `pytest tests/cluster` creates")
    isolation.enter()
    with scratch("faults") as folder, ExitStack() as doors:
        cluster = Cluster(folder, etcd_through=f"127.0.0.1:{ETCD_DOOR}")
        try:
            one = Scene(cluster, doors)
            eventually(lambda: all(map(one.served, one.asks)))
            yield one
            one.gateway.end(10)
        finally:
            cluster.stop()
            cluster.keep_logs("faults")


@contextmanager
def every(pause: float, act: Callable[[], object]) -> Iterator[None]:
    """Calls `act` repeatedly in a thread until the end of the block; fails if it raised an exception."""
    ended, failures = threading.Event(), []

    def again() -> None:
        while not ended.wait(pause):
            try:
                act()
            except Exception as error:
                failures.append(error)
                return

    thread = threading.Thread(target=again)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(30)
    assert not failures, failures


def test_the_api_server_is_killed_and_comes_back(scene: Scene) -> None:
    with Traffic(ADDRESS, scene.asks) as traffic:
        scene.cluster.kill()
        scene.cluster.start()
        scene.follows()
    traffic.check()
    scene.is_as_from_nothing()


def test_the_api_server_is_away(scene: Scene) -> None:
    with Traffic(ADDRESS, scene.asks) as traffic:
        scene.cluster.kill()
        time.sleep(SECONDS)
        assert is_ready()
        scene.cluster.start()
        scene.follows()
    traffic.check()
    scene.is_as_from_nothing()


def test_watches_are_cut_every_second(scene: Scene) -> None:
    with Traffic(ADDRESS, scene.asks) as traffic, every(1.0, scene.api_door.cut):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            scene.follows()
    traffic.check()
    scene.is_as_from_nothing()


def test_every_kind_is_gone_from_the_servers_memory(scene: Scene) -> None:
    """A restarted server has no revisions from before its start: every watch that resumes from one gets 410."""
    with Traffic(ADDRESS, scene.asks) as traffic:
        scene.api_door.shut = True  # otherwise a watch could resume before the compaction
        scene.cluster.kill()
        scene.cluster.start()
        scene.api.apply(route("late", "apples", ("apples", 1)))
        scene.cluster.compact()
        before = expired()
        scene.api_door.shut = False
        eventually(lambda: scene.served(Ask("late.test", "/", frozenset({"apples"}))))
        scene.api.delete("HTTPRoute", "apples", "late")
        scene.follows()
        eventually(lambda: all(expired().get(kind, 0) > before.get(kind, 0) for kind in KINDS))
    traffic.check()
    scene.is_as_from_nothing()


def expired() -> dict[str, float]:
    """The number of watches that got 410 so far, by kind."""
    return {
        sample.labels["kind"]: sample.value
        for family in text_string_to_metric_families(scraped())
        for sample in family.samples
        if sample.name == "fastroute_kubernetes_watch_errors_total" and sample.labels["reason"] in ("Expired", "Gone")
    }


def test_a_second_controller_writes_its_own_entries(scene: Scene) -> None:
    """The other controller edits the same statuses continuously; both keep their own entries."""
    theirs = {
        "parentRef": {"name": "other", "namespace": "elsewhere"},
        "controllerName": "example.com/other",
        "conditions": [],
    }
    number = 0

    def write() -> None:
        nonlocal number
        number += 1
        object_ = scene.api.get("HTTPRoute", "infra", "split")
        parents = [one for one in object_["status"]["parents"] if one["controllerName"] != theirs["controllerName"]]
        condition = {
            "type": "Seen",
            "status": "True",
            "reason": "Seen",
            "message": str(number),
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        object_["status"]["parents"] = [*parents, {**theirs, "conditions": [condition]}]
        try:
            scene.api.request("PUT", f"{path('HTTPRoute', 'infra', 'split')}/status", object_)
        except ApiError as error:
            if error.status != 409:
                raise

    with Traffic(ADDRESS, scene.asks) as traffic, every(0.02, write):
        end = time.monotonic() + SECONDS
        weight = 1
        while time.monotonic() < end:
            weight = 3 - weight
            scene.api.apply(route("split", "infra", ("apples", weight), ("bananas", 1)))
            time.sleep(0.2)
        scene.api.apply(route("split", "infra", ("apples", 1), ("bananas", 1)))
        written = scene.api.get("HTTPRoute", "infra", "split")["metadata"]["generation"]
        eventually(lambda: _observed(scene.api, "infra", "split") == written)
    traffic.check()
    assert any(one["controllerName"] == "example.com/other" for one in _parents(scene.api, "infra", "split"))
    scene.is_as_from_nothing()


def _parents(api: Api, namespace: str, name: str) -> list[dict]:
    return api.get("HTTPRoute", namespace, name)["status"]["parents"]


def _observed(api: Api, namespace: str, name: str) -> int:
    ours = [one for one in _parents(api, namespace, name) if one["controllerName"] == "fastroute.dev/gateway"]
    return min(one["observedGeneration"] for one in ours[0]["conditions"]) if ours else 0


@pytest.mark.timeout(420 + 4 * EDIT_SECONDS)
def test_a_hundred_edits_a_second(scene: Scene) -> None:
    """Grants, namespaces, labels, Secrets, EndpointSlices and routes of all kinds change continuously, and with them
    the certificates of most connections with TLS. Other routes stay unchanged; their connections and flows stay open.
    """
    api = scene.api
    api.apply(spare_route())
    api.apply(*echo("cherries"), grant("cherries"), *by_hand(), route("hand", "cherries", ("cherries", 1)))
    hand = {"backendRefs": [{"name": "hand", "port": PORT}]}
    api.patch("HTTPRoute", "cherries", "hand", {"spec": {"rules": [hand]}})
    eventually(lambda: ready_addresses(api, "cherries") != [], 60)
    pods = {name: ready_addresses(api, name)[0] for name in ("apples", "cherries")}
    churned = [Ask(f"{name}.test", "/", frozenset({"apples", "cherries", "500", "404"})) for name in CHURNED]
    churned.append(Ask("hand.test", "/", frozenset({"apples", "cherries", "503"})))
    eventually(lambda: scene.served(churned[-1]))
    churned.append(Ask("hand.test", "/", frozenset({"apples", "cherries", "503", "404"}), 81))
    churned.append(Ask("spare.test", "/", frozenset({"apples", "404", "421"}), 443, True))
    churned.extend(Ask(f"{name}.test", "/", frozenset({"500", "404"}), 81) for name in PASSING)
    streams.plant_edited(api)
    eventually(lambda: all(scene.served(ask._replace(right=streams.CHURNED)) for ask in streams.EDITED))
    places = streams.addresses(api)
    begin = time.monotonic()

    def edit(number: int) -> None:
        chance = random.Random(number)
        mine = Api(scene.cluster.kubeconfig)
        edits = (edits_of_requests(mine, chance, pods), edits_of_streams(mine, chance, places))
        for done in range(1, round(EDITS * EDIT_SECONDS / EDITORS)):
            next(edits[done % len(edits)])
            time.sleep(max(0.0, begin + done * EDITORS / EDITS - time.monotonic()))

    with Traffic(ADDRESS, [*scene.asks, *churned, *streams.EDITED], clients=8) as traffic:
        with ThreadPoolExecutor(EDITORS) as threads:
            list(threads.map(edit, range(EDITORS)))
        api.apply(slice_of(pods["cherries"]))
        scene.follows()
    print(f"{EDIT_SECONDS:.0f} s of edits: {traffic.counted()}")
    traffic.check()
    eventually(lambda: not any(one["status"]["phase"] == "Terminating" for one in api.list("Namespace")), 60)
    scene.is_as_from_nothing()


def test_the_leader_is_killed(scene: Scene) -> None:
    """Another replica serves without interruption and starts to write; conditions written before keep their
    lastTransitionTime. tests/writing/test_leader.py tests how soon it starts."""
    before = _parents(scene.api, "infra", "shared")
    with Traffic(ADDRESS, scene.asks) as traffic:
        second = scene.start_gateway(("--port-offset", str(OFFSET)), "127.0.0.1:9911")
    traffic.check()
    try:
        with Traffic(ADDRESS, scene.asks, offset=OFFSET) as traffic:
            scene.gateway.kill()
            scene.api.apply(route("heir", "apples", ("apples", 1)))
            eventually(lambda: bool(scene.api.get("HTTPRoute", "apples", "heir").get("status", {}).get("parents")))
        traffic.check()
        assert _parents(scene.api, "infra", "shared") == before
    finally:
        second.popen.send_signal(signal.SIGTERM)
        second.end(40)
        scene.gateway = scene.start_gateway()
    scene.api.delete("HTTPRoute", "apples", "heir")
    scene.is_as_from_nothing()


def test_a_crd_is_deleted_and_comes_back(scene: Scene) -> None:
    """Deleting the CRD of ReferenceGrant deletes all grants: routes that need one are refused, others are served."""
    untouched = [
        ask for ask in ASKS if (ask.host in ("calm.test", "missing.test") or ask.port == 81) and not ask.secure
    ]
    name = "referencegrants.gateway.networking.k8s.io"
    kept = scene.api.get("CustomResourceDefinition", "", name)
    refused = Ask("shared.test", "/", frozenset({"500"}))
    with Traffic(ADDRESS, untouched) as traffic:
        scene.api.delete("CustomResourceDefinition", "", name)
        eventually(lambda: scene.served(refused))
        meta = {"name": name, "annotations": kept["metadata"]["annotations"]}
        eventually(lambda: _is_gone(scene.api, name))
        scene.api.create({**kept, "metadata": meta, "status": {}})
        eventually(lambda: _is_established(scene.api, name))
        eventually(
            lambda: all(_applied(scene.api, one) for one in (grant("apples"), grant("bananas"), *streams.grants())),
        )
        eventually(lambda: all(map(scene.served, scene.asks)))
    traffic.check()
    scene.is_as_from_nothing()


def _is_gone(api: Api, name: str) -> bool:
    try:
        api.get("CustomResourceDefinition", "", name)
    except ApiError as error:
        return error.status == 404
    return False


def _is_established(api: Api, name: str) -> bool:
    conditions = api.get("CustomResourceDefinition", "", name)["status"].get("conditions") or ()
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def _applied(api: Api, one: dict) -> bool:
    try:
        api.apply(one)
    except ApiError:
        return False
    return True


def test_etcd_is_slow(scene: Scene) -> None:
    with Traffic(ADDRESS, scene.asks) as traffic:
        scene.etcd_door.delay = 0.2
        try:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                scene.follows()
        finally:
            scene.etcd_door.delay = 0.0
        scene.follows()
    traffic.check()
    scene.is_as_from_nothing()
