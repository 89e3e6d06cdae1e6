"""Two installations with the same controllerName: the one with the older Lease writes, the other stops and logs it."""

import logging
from contextlib import asynccontextmanager

import trio
from graph.world import make, replaced, world
from writing.standin import Objects, Server

from fastroute.apiserver.kinds import member
from fastroute.graph.build import build_graph
from fastroute.metrics import Metrics
from fastroute.resources.gateway import GatewayClass
from fastroute.resources.meta import Key
from fastroute.settings import GraphSettings
from fastroute.status import build_statuses
from fastroute.writing.contest import PAUSE, TYPE, WITHIN, Claim, claim_of, with_claim
from fastroute.writing.merge import Ours
from fastroute.writing.statuswriter import BETWEEN, StatusWriter

OURS = "fastroute.dev/gateway"
OLD, YOUNG = Claim("2026-01-01T00:00:00Z", "b/fastroute"), Claim("2026-01-02T00:00:00Z", "a/fastroute")
CLASS = Key("", "fastroute")
PATH = member("GatewayClass", "v1", CLASS)
SOURCE = make(GatewayClass, "", "fastroute", {"controllerName": OURS})


class Scene:
    """A GatewayClass for which the installations compute different statuses, because their releases differ."""

    def __init__(self, *claims):
        self.server = Server()
        self.create()
        self.objects = Objects(self.server)
        self.metrics = [Metrics() for _ in claims]
        self.writers = [
            StatusWriter(self.server, self.objects, Ours(OURS), metrics, self.written) for metrics in self.metrics
        ]
        for number, (writer, claim) in enumerate(zip(self.writers, claims, strict=True)):
            writer.claim = lambda claim=claim: claim
            graph = build_graph(world(SOURCE), GraphSettings(bundle_version=f"v1.{number + 6}.0"))
            writer.post(build_statuses(graph))

    def create(self, status=None):
        metadata = {"namespace": "", "name": "fastroute", "generation": 1, "uid": ""}
        one = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": metadata}
        self.server.put(PATH, {**one, "status": status or {}})

    def written(self, write):
        """The watch of every installation receives the change."""
        for writer in self.writers:
            writer.restated("GatewayClass", CLASS)

    @property
    def status(self):
        return self.server.objects[PATH]["status"]

    @property
    def edition(self):
        return next(one["message"] for one in self.status["conditions"] if one["type"] == "SupportedVersion")

    def contested(self, number):
        return self.metrics[number].status_contested._value.get()

    @asynccontextmanager
    async def running(self):
        async with trio.open_nursery() as nursery:
            for writer in self.writers:
                nursery.start_soon(writer.run)
                writer.lead(True)
            yield
            nursery.cancel_scope.cancel()


async def test_the_younger_one_stops_and_both_say_so(autojump_clock, caplog):
    for claims in ((OLD, YOUNG), (YOUNG, OLD)):
        caplog.clear()
        scene = Scene(*claims)
        winner = claims.index(OLD)
        async with scene.running():
            await trio.sleep(60)
            puts = len(scene.server.asked)
            assert puts < 60, "the contest ends after seconds"
            assert "v1.6" in scene.edition if winner == 0 else "v1.7" in scene.edition
            await trio.sleep(PAUSE / 2)
            assert len(scene.server.asked) == puts
        assert claim_of(scene.status) == OLD
        assert scene.contested(0) >= 1
        assert scene.contested(1) >= 1
        assert "statuses are reverted soon after they are written" in caplog.text
        assert "its Lease b/fastroute was created at 2026-01-01T00:00:00Z, before the Lease of this one" in caplog.text


async def test_the_younger_one_goes_on_when_the_older_one_is_gone(autojump_clock):
    scene = Scene(OLD, YOUNG)
    async with scene.running():
        await trio.sleep(60)
        scene.writers[0].lead(False)
        assert "v1.6" in scene.edition
        await trio.sleep(PAUSE)
        assert "v1.7" in scene.edition
        await trio.sleep(PAUSE)
        assert claim_of(scene.status) is None, "the claim is removed after the contest"


async def test_what_comes_again_after_the_pause_ends_as_before(autojump_clock):
    scene = Scene(OLD, YOUNG)
    async with scene.running():
        await trio.sleep(60)
        puts = len(scene.server.asked)
        for _ in range(3):
            await trio.sleep(PAUSE)
            assert "v1.6" in scene.edition
        assert len(scene.server.asked) - puts < 3 * 60


async def test_somebody_who_makes_no_claim_does_not_stop_us(autojump_clock, caplog):
    scene = Scene(YOUNG)
    async with scene.running():
        await trio.sleep(1)
        for _ in range(10):
            scene.create({})
            scene.written(None)
            await trio.sleep(2 * BETWEEN)
        await trio.sleep(1)
        assert "v1.6" in scene.edition
        assert claim_of(scene.status) == YOUNG
    assert scene.contested(0) >= 5
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_one_that_is_mended_once_or_slowly_is_no_contest(autojump_clock, caplog):
    scene = Scene(YOUNG)
    async with scene.running():
        for _ in range(10):
            await trio.sleep(WITHIN + 1)
            scene.create({})
            scene.written(None)
        await trio.sleep(1)
        assert "v1.6" in scene.edition
        assert claim_of(scene.status) is None
    assert (scene.contested(0), caplog.records) == (0, [])


async def test_what_changes_on_our_side_is_no_contest(autojump_clock, caplog):
    scene = Scene(YOUNG)
    async with scene.running():
        for number in range(20):
            await trio.sleep(0.5)
            graph = build_graph(replaced(world(SOURCE), SOURCE), GraphSettings(bundle_version=f"v1.{number}.0"))
            scene.writers[0].post(build_statuses(graph))
        await trio.sleep(1)
    assert (scene.contested(0), caplog.records) == (0, [])


def test_a_claim_is_read_as_it_was_written():
    made = with_claim({"conditions": [{"type": "x"}]}, OLD, 1, "now")
    assert (claim_of(made), made["conditions"][0]) == (OLD, {"type": "x"})
    assert with_claim(made, OLD, 1, "later") is made
    [_, moved] = with_claim(made, OLD, 2, "later")["conditions"]
    assert moved["observedGeneration"] == 2
    assert [one["type"] for one in with_claim(made, YOUNG, 1, "later")["conditions"]] == ["x", TYPE]
    assert with_claim(made, None, 1, "later") == {"conditions": [{"type": "x"}]}
    assert OLD < YOUNG < Claim(YOUNG.created, "b/fastroute")
    assert claim_of({"conditions": [{**made["conditions"][1], "message": "?"}]}) is None
