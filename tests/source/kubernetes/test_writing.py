"""All that is written together: by whoever leads, and by nobody who only led."""

from pathlib import Path

import trio
from source.kubernetes.standin import Objects, Server

from fastroute.graph.build import NOTHING
from fastroute.metrics import Metrics
from fastroute.resources.meta import Key
from fastroute.resources.status_patch import StatusPatch
from fastroute.settings import CONTROLLER_NAME, GraphSettings
from fastroute.source.kubernetes.kinds import member
from fastroute.source.kubernetes.lease import DURATION
from fastroute.source.kubernetes.writing import Writing
from fastroute.status.build import Statuses

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
    """The process was frozen, or a pass took very long: what was due is not written before the Lease is looked at."""
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
