"""All that is written to the API server: only by the leader, and only if writing is enabled."""

import contextlib
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from apiserver.standin import ApiServer
from graph.world import gateway, make, ref, replaced, route, world
from source.kubernetes.followed import CLASSES, GATEWAYS, kubeconfig
from writing.standin import Objects, Server

from fastroute.apiserver.kinds import member
from fastroute.demo.pods import free_ports
from fastroute.graph.build import NOTHING, build_graph
from fastroute.metrics import Metrics
from fastroute.resources.meta import Key
from fastroute.resources.policy import ReferenceGrant
from fastroute.resources.status_patch import StatusPatch
from fastroute.settings import CONTROLLER_NAME, GraphSettings
from fastroute.status.build import Statuses
from fastroute.writing.lease import DURATION
from fastroute.writing.writing import Writing

ROUTE = Key("infra", "r")
PATH = member("HTTPRoute", "v1", ROUTE)
LEASE = "/apis/coordination.k8s.io/v1/namespaces/infra/leases/fastroute"


def create(server):
    metadata = {"namespace": "infra", "name": "r", "generation": 1, "uid": "u"}
    server.put(PATH, {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata})


def wanted(reason):
    condition = {"type": "Accepted", "status": "True", "reason": reason, "message": "m", "observedGeneration": 1}
    parent = {"controllerName": CONTROLLER_NAME, "parentRef": {"name": "web"}, "conditions": [condition]}
    patch = StatusPatch("HTTPRoute", ROUTE, 1, {"parents": [parent]}, "u")
    return Statuses(patches={("HTTPRoute", ROUTE): patch}, graph=NOTHING, outcome=None)


def written(server):
    return [path for method, path in server.asked if method != "GET" and Path(path).name == "status"]


async def test_who_stood_still_for_longer_than_its_lease_writes_nothing(autojump_clock):
    """The process was suspended, or a pass took very long: it checks the Lease before it writes pending statuses."""
    server = Server()
    create(server)
    writing = Writing(server, Objects(server), GraphSettings(), Metrics(), Key("infra", "fastroute"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writing.run)
        writing.post(wanted("First"))
        await trio.sleep(20)
        assert len(written(server)) == 1
        lease = server.objects[LEASE]
        server.put(LEASE, {**lease, "spec": {**lease["spec"], "holderIdentity": "another"}})
        autojump_clock.jump(2 * DURATION)
        writing.post(wanted("Second"))
        await trio.sleep(3)
        nursery.cancel_scope.cancel()
    assert len(written(server)) == 1


GRANT = make(
    ReferenceGrant,
    "bananas",
    "allow",
    {
        "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "infra"}],
        "to": [{"group": "", "kind": "Service"}],
    },
    meta={"uid": "g"},
)
REFUSED = world(gateway(), route("r", "infra", ref("echo", "bananas"), meta={"uid": "u"}))


def statuses(resources, last=NOTHING):
    return Statuses(patches={}, graph=build_graph(resources, GraphSettings(), last), outcome=None)


@pytest.mark.parametrize("leads", [True, False])
async def test_only_the_leader_tells_of_grants_and_of_what_they_permit(autojump_clock, leads):
    server = Server()
    writing = Writing(server, Objects(server), GraphSettings(), Metrics(), Key("infra", "fastroute"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writing.run)
        refused = statuses(REFUSED)
        writing.post(refused)
        if leads:
            await trio.sleep(20)
        given = statuses(replaced(REFUSED, GRANT), refused.graph)
        writing.post(given)
        writing.post(statuses(REFUSED, given.graph))
        await trio.sleep(20)
        nursery.cancel_scope.cancel()
    events = [one for path, one in server.objects.items() if "/events/" in path]
    told = {(one["regarding"]["kind"], one["regarding"]["uid"], one["type"], one["reason"]) for one in events}
    assert told == (
        {
            ("ReferenceGrant", "g", "Normal", "GrantCreated"),
            ("ReferenceGrant", "g", "Normal", "ReferencePermitted"),
            ("HTTPRoute", "u", "Normal", "ReferencePermitted"),
            ("ReferenceGrant", "g", "Normal", "GrantDeleted"),
            ("ReferenceGrant", "g", "Normal", "ReferenceRefused"),
            ("HTTPRoute", "u", "Warning", "ReferenceRefused"),
        }
        if leads
        else set()
    )


@pytest.mark.parametrize(("watched", "is_told"), [((), True), (("infra",), False), (("infra", "default"), True)])
async def test_events_about_classes_are_written_where_there_is_a_role(autojump_clock, watched, is_told):
    """They are in namespace default."""
    server = Server()
    settings = GraphSettings(watched=frozenset(watched))
    writing = Writing(server, Objects(server), settings, Metrics(), Key("infra", "fastroute"))
    metadata = {"name": "c", "namespace": "", "generation": 1, "uid": "u"}
    path = member("GatewayClass", "v1", Key("", "c"))
    server.put(path, {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": metadata})
    refused = {"type": "Accepted", "status": "False", "reason": "X", "message": "m", "observedGeneration": 1}
    patch = StatusPatch("GatewayClass", Key("", "c"), 1, {"conditions": [refused]}, "u")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writing.run)
        writing.post(Statuses(patches={("GatewayClass", Key("", "c")): patch}, graph=NOTHING, outcome=None))
        await trio.sleep(20)
        nursery.cancel_scope.cancel()
    assert written(server) == [f"{path}/status"]
    assert bool([one for one in server.objects if "/events/" in one]) == is_told


def served(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@pytest.mark.parametrize("lease", [(), ("--status-lease", "ours/fastroute")], ids=["none", "named"])
async def test_outside_of_a_pod_nothing_is_written_unless_a_lease_is_named(api: ApiServer, tmp_path: Path, lease):
    """A process on a laptop with a kubeconfig changes nothing in the cluster."""
    api.put(CLASSES, "fastroute", "", spec={"controllerName": CONTROLLER_NAME})
    listener = {"name": "proxy", "port": 80, "protocol": "HTTP"}
    api.put(GATEWAYS, "web", spec={"gatewayClassName": "fastroute", "listeners": [listener]})
    api.refusals["/apis/coordination.k8s.io/v1/namespaces/ours/leases/fastroute"] = 404
    (port,) = free_ports(1)
    words = ["serve", "--kubernetes", "--kubeconfig", str(kubeconfig(api, tmp_path)), "--infrastructure", *lease]
    words += ["--metrics", "off", "--workers", "1", "--bind", "127.0.0.1", "--port-offset", str(port - 80)]
    log = tmp_path / "log"
    with log.open("wb") as out:
        program = await trio.lowlevel.open_process(
            [sys.executable, "-m", "fastroute", *words], stdout=out, stderr=subprocess.STDOUT
        )
    try:
        with trio.fail_after(30):
            while not served(port) or (lease and not api.writes):  # noqa: ASYNC110 (of another process)
                await trio.sleep(0.05)
        await trio.sleep(1)
    finally:
        program.terminate()
        await program.wait()
    said = "statuses are not written: outside of a pod, set --status-lease NAMESPACE/NAME"
    assert (said in log.read_text()) is not bool(lease)
    assert set(api.writes) == ({"POST /apis/coordination.k8s.io/v1/namespaces/ours/leases"} if lease else set())
