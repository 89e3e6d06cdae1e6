"""The statuses of Gateways, ListenerSets and routes that are no longer served, although they did not change."""

import copy
from contextlib import asynccontextmanager

import pytest
import trio
from graph.world import gateway, listener, listener_set, make, removed, replaced, route, world
from writing.standin import Objects, Server

from fastroute.apiserver.kinds import member
from fastroute.graph.build import build_graph
from fastroute.graph.orphan import orphans
from fastroute.metrics import Metrics
from fastroute.resources.gateway import Gateway, GatewayClass
from fastroute.resources.meta import Key
from fastroute.settings import GraphSettings
from fastroute.status import build_statuses, everything_bound
from fastroute.writing.merge import Ours
from fastroute.writing.statuswriter import StatusWriter

OURS = "fastroute.dev/gateway"
SETTINGS = GraphSettings(class_name=None)
UNKNOWN = {"Accepted": ("Unknown", "Pending", 1), "Programmed": ("Unknown", "Pending", 1)}
SERVED = {"Accepted": ("True", "Accepted", 1), "Programmed": ("True", "Programmed", 1)}
CLASS = Key("", "fastroute")
GW, SET, ROUTE = (
    ("Gateway", Key("infra", "gw")),
    ("ListenerSet", Key("infra", "ls")),
    ("HTTPRoute", Key("infra", "r")),
)
FOREIGN = {"type": "x.dev/Seen", "status": "True", "reason": "Seen", "message": ""}


def gateway_class(by=OURS):
    return make(GatewayClass, "", "fastroute", {"controllerName": by})


WORLD = world(
    gateway_class(),
    gateway(spec={"allowedListeners": {"namespaces": {"from": "All"}}}),
    listener_set("ls", "infra", listener("ls", 81)),
    route("r", "infra"),
)


class Scene:
    """A cluster with the objects of WORLD, and one replica."""

    def __init__(self):
        self.server = Server()
        self.objects = Objects(self.server)
        for kind, key in (GW, SET, ROUTE):
            self.create(kind, key)
        self.start()

    def create(self, kind, key, generation=1, status=None):
        metadata = {"namespace": key.namespace, "name": key.name, "generation": generation, "uid": ""}
        one = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind, "metadata": metadata}
        self.server.put(member(kind, "v1", key), {**one, "status": status or {}})

    def start(self, settings=SETTINGS):
        """Starts a new process."""
        self.settings, self.statuses = settings, None
        self.writer = StatusWriter(
            self.server, self.objects, Ours(OURS, settings.gateways), Metrics(), lambda write: None
        )

    def post(self, resources):
        graph = build_graph(resources, self.settings, self.statuses and self.statuses.graph)
        self.statuses = build_statuses(graph, everything_bound(graph), self.statuses)
        self.writer.post(self.statuses)

    @asynccontextmanager
    async def running(self, leads=True):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.writer.run)
            self.writer.lead(leads)
            yield
            await trio.sleep(5)
            nursery.cancel_scope.cancel()

    def status(self, id_):
        kind, key = id_
        return self.server.objects[member(kind, "v1", key)]["status"]

    def says(self, id_):
        conditions = self.status(id_)["conditions"]
        return {c["type"]: (c["status"], c["reason"], c["observedGeneration"]) for c in conditions}


async def test_whose_class_is_deleted_is_unknown_again_with_all_that_hangs_on_it(autojump_clock):
    scene = Scene()
    async with scene.running():
        scene.post(WORLD)
        await trio.sleep(1)
        assert scene.says(GW) == scene.says(SET) == SERVED
        assert scene.status(GW)["addresses"]
        assert scene.status(ROUTE)["parents"]
        scene.post(removed(WORLD, GatewayClass, CLASS))
    assert scene.says(GW) == scene.says(SET) == UNKNOWN
    assert scene.status(GW).keys() == {"conditions", "listeners"}, "addresses and attachedListenerSets are removed"
    assert scene.status(GW)["listeners"] == scene.status(SET)["listeners"] == scene.status(ROUTE)["parents"] == []
    assert "GatewayClass is missing" in scene.status(GW)["conditions"][0]["message"]


async def test_who_is_served_again_says_so_again(autojump_clock):
    scene = Scene()
    async with scene.running():
        scene.post(WORLD)
        scene.post(removed(WORLD, GatewayClass, CLASS))
        await trio.sleep(1)
        scene.post(WORLD)
    assert scene.says(GW) == scene.says(SET) == SERVED
    assert len(scene.status(ROUTE)["parents"]) == 1


async def test_a_listener_set_whose_gateway_is_deleted_is_unknown_again(autojump_clock):
    scene = Scene()
    async with scene.running():
        scene.post(WORLD)
        await trio.sleep(1)
        del scene.server.objects[member(*GW[:1], "v1", GW[1])]
        scene.post(removed(WORLD, Gateway, GW[1]))
    assert scene.says(SET) == UNKNOWN


async def test_a_gateway_that_moved_to_another_class_is_left_as_it_is(autojump_clock):
    scene = Scene()
    async with scene.running():
        scene.post(WORLD)
        await trio.sleep(1)
        scene.create(*GW, generation=2, status=copy.deepcopy(scene.status(GW)))
        scene.post(replaced(WORLD, gateway(class_name="foreign", meta={"generation": 2})))
    assert scene.says(GW) == SERVED
    assert scene.says(SET) == UNKNOWN, "the spec of the ListenerSet is unchanged"


async def test_what_another_controller_wrote_is_left_to_it(autojump_clock):
    """The class was deleted and recreated with another controllerName, and that controller has already written."""
    theirs = {**FOREIGN, "type": "Accepted", "reason": "Accepted", "message": "Theirs.", "observedGeneration": 1}
    scene = Scene()
    async with scene.running():
        scene.post(WORLD)
        await trio.sleep(1)
        scene.create(*GW, status={"conditions": [theirs]})
        scene.post(replaced(WORLD, gateway_class("x.dev/c")))
    assert scene.says(GW) == {"Accepted": ("True", "Accepted", 1)}


async def test_conditions_of_others_stay_also_in_listeners(autojump_clock):
    scene = Scene()
    async with scene.running():
        scene.post(WORLD)
        await trio.sleep(1)
        for id_ in (GW, SET):
            scene.status(id_)["listeners"][0]["conditions"].append(FOREIGN)
            scene.status(id_)["conditions"].append(FOREIGN)
        scene.post(removed(WORLD, GatewayClass, CLASS))
    for id_ in (GW, SET):
        (entry,) = scene.status(id_)["listeners"]
        assert (entry["attachedRoutes"], entry["conditions"]) == (0, [FOREIGN])
        assert FOREIGN in scene.status(id_)["conditions"]


@pytest.mark.parametrize("chosen", [frozenset(), frozenset({"infra/gw"})], ids=["all", "chosen"])
async def test_a_process_that_never_served_it_knows_our_words(autojump_clock, chosen):
    """All replicas were restarted while the class was deleted."""
    scene = Scene()
    async with scene.running():
        scene.post(WORLD)
    scene.start(GraphSettings(class_name=None, gateways=chosen))
    async with scene.running():
        scene.post(removed(WORLD, GatewayClass, CLASS))
    assert scene.says(GW) == scene.says(SET) == UNKNOWN
    assert scene.status(ROUTE)["parents"] == []


async def test_what_others_are_responsible_for_a_new_process_leaves(autojump_clock):
    scene = Scene()
    async with scene.running():
        scene.post(WORLD)
    for resources, settings in (
        (replaced(WORLD, gateway_class("x.dev/c")), SETTINGS),
        (removed(WORLD, GatewayClass, CLASS), GraphSettings(class_name=None, gateways=frozenset({"infra/other"}))),
    ):
        scene.start(settings)
        async with scene.running():
            scene.post(resources)
        assert scene.says(GW) == scene.says(SET) == SERVED


async def test_a_new_leader_retracts_what_the_former_one_could_not(autojump_clock):
    scene = Scene()
    async with scene.running():
        scene.post(WORLD)
        await trio.sleep(1)
        scene.writer.lead(False)
        scene.post(removed(WORLD, GatewayClass, CLASS))
        await trio.sleep(1)
        assert scene.says(GW) == SERVED
        scene.writer.lead(True)
    assert scene.says(GW) == scene.says(SET) == UNKNOWN


async def test_a_write_under_way_does_not_bring_the_old_status_back(autojump_clock):
    scene = Scene()
    scene.server.delay = 1.0
    async with scene.running():
        scene.post(WORLD)
        await trio.sleep(0.5)
        scene.post(removed(WORLD, GatewayClass, CLASS))
    assert scene.says(GW) == scene.says(SET) == UNKNOWN


async def test_an_object_that_is_gone_has_nothing_to_retract(autojump_clock):
    scene = Scene()
    async with scene.running():
        scene.post(WORLD)
        await trio.sleep(1)
        scene.server.objects.clear()
        asked = len(scene.server.asked)
        scene.post(removed(WORLD, GatewayClass, CLASS))
    assert len(scene.server.asked) == asked


def test_orphans_are_what_nobody_serves():
    gone = removed(WORLD, GatewayClass, CLASS)
    assert orphans(build_graph(WORLD, SETTINGS)) == frozenset()
    assert orphans(build_graph(gone, SETTINGS)) == {GW, SET}
    assert orphans(build_graph(removed(WORLD, Gateway, GW[1]), SETTINGS)) == {SET}
    other = listener_set("ls", "infra", parent="nobody")
    assert orphans(build_graph(replaced(gone, other), SETTINGS)) == {GW, SET}
