"""When and how often statuses are written, and how statuses that the API server refuses are handled."""

import logging
from contextlib import asynccontextmanager

import pytest
import trio
from writing.standin import Objects, Server

from fastroute.apiserver.client import ApiError
from fastroute.apiserver.kinds import member
from fastroute.graph.build import NOTHING
from fastroute.metrics import Metrics
from fastroute.resources.meta import Key
from fastroute.resources.status_patch import StatusPatch
from fastroute.status.build import Statuses
from fastroute.writing.merge import Ours
from fastroute.writing.statuswriter import (
    BETWEEN,
    FORBIDDEN,
    SETTLING,
    WRITERS,
    YOUNG_FORBIDDEN,
    StatusWriter,
)

NAME = "fastroute.dev/gateway"
LONG = 20.0  # s, after which all writes are done


def path(name):
    """`name`: of a route in infra, or "namespace/name"."""
    return member("HTTPRoute", "v1", key(name))


def key(name):
    return Key(*name.split("/")) if "/" in name else Key("infra", name)


def condition(status="True", reason="Accepted", generation=1):
    return {
        "type": "Accepted",
        "status": status,
        "reason": reason,
        "message": "m",
        "observedGeneration": generation,
    }


def parent(*conditions, by=NAME):
    return {"controllerName": by, "parentRef": {"name": "web"}, "conditions": list(conditions)}


def wanted(*names, reason="Accepted", generation=1, uid="uid"):
    patches = {}
    for name in names:
        status = {"parents": [parent(condition(reason=reason, generation=generation))]}
        patches["HTTPRoute", key(name)] = StatusPatch("HTTPRoute", key(name), generation, status, f"{uid}-{name}")
    return Statuses(patches=patches, graph=NOTHING, outcome=None)


class Scene:
    def __init__(self, *names):
        self.server = Server()
        for name in names:
            self.create(name)
        self.objects, self.metrics, self.told = Objects(self.server), Metrics(), []
        self.writer = StatusWriter(self.server, self.objects, Ours(NAME), self.metrics, self.told.append)

    def create(self, name, generation=1, status=None, uid="uid"):
        named = {"namespace": key(name).namespace, "name": key(name).name}
        metadata = {**named, "generation": generation, "uid": f"{uid}-{name}"}
        one = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata}
        self.server.put(path(name), {**one, "status": status or {}})

    def reason(self, name):
        parents = self.server.objects[path(name)]["status"].get("parents", [])
        return [c["reason"] for one in parents if one["controllerName"] == NAME for c in one["conditions"]]

    @property
    def puts(self):
        return sum(method == "PUT" for method, _ in self.server.asked)

    @asynccontextmanager
    async def running(self):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.writer.run)
            yield
            await trio.sleep(LONG)
            nursery.cancel_scope.cancel()


async def test_each_is_written_once(autojump_clock):
    names = [f"r{number}" for number in range(300)]
    scene = Scene(*names)
    async with scene.running():
        scene.writer.lead(True)
        scene.writer.post(wanted(*names))
        scene.writer.post(wanted(*names))
    assert {tuple(scene.reason(name)) for name in names} == {("Accepted",)}
    assert scene.puts == len(scene.told) == 300


async def test_all_writers_write_also_after_a_rest(autojump_clock):
    """New statuses wake all waiting writers."""
    names = [f"r{number}" for number in range(WRITERS * 10)]
    scene = Scene(*names)
    scene.server.delay = 0.1
    async with scene.running():
        scene.writer.lead(True)
        scene.writer.post(wanted(names[0]))
        await trio.sleep(LONG)
        begin = trio.current_time()
        scene.writer.post(wanted(*names))
        await trio.sleep(1.05)
        assert scene.puts >= WRITERS * 9, "each writer makes about ten writes of 0.1 s in 1.05 s"
        assert trio.current_time() - begin < 1.1


async def test_thousands_of_statuses_of_one_namespace_do_not_delay_those_of_another(autojump_clock):
    """The first ones are being written when that of z-tenant changes. Nothing but the order counts."""
    flood = [f"a-tenant/r{number}" for number in range(5_000)]
    scene = Scene(*flood, "z-tenant/r")
    async with scene.running():
        scene.writer.lead(True)
        scene.writer.post(wanted(*flood))
        await trio.sleep(2)  # the tokens for a burst are used up
        before, begin = scene.puts, trio.current_time()
        assert before < 2_000
        scene.writer.post(wanted(*flood, "z-tenant/r"))
        while not scene.reason("z-tenant/r"):  # noqa: ASYNC110 (the clock jumps)
            await trio.sleep(0.005)
        assert trio.current_time() - begin < 0.2
        assert scene.puts - before <= 4 * WRITERS
    assert {tuple(scene.reason(name)) for name in flood} == {("Accepted",)}


async def test_the_newest_is_what_is_written_and_not_too_often(autojump_clock):
    scene = Scene("r")
    async with scene.running():
        scene.writer.lead(True)
        begin = trio.current_time()
        for number in range(100):
            scene.writer.post(wanted("r", reason=f"R{number}"))
            await trio.sleep(0.02)
        took = trio.current_time() - begin
    assert scene.reason("r") == ["R99"]
    assert 2 <= scene.puts <= took / BETWEEN + 2


async def test_a_status_that_changes_while_another_is_sent_is_not_contested(autojump_clock, caplog):
    """A status was reverted by another client only if it must be written again although the wanted one is the same."""
    scene = Scene("r")
    scene.server.delay = 1.0
    async with scene.running():
        scene.writer.lead(True)
        for number in range(16):
            scene.writer.post(wanted("r", reason=f"R{number}"))
            await trio.sleep(0.6)
    assert scene.reason("r") == ["R15"]
    assert scene.metrics.registry.get_sample_value("fastroute_status_contested_total") == 0
    assert "reverted" not in caplog.text


async def test_a_new_generation_that_the_watch_sends_before_the_response_arrives_is_written(autojump_clock):
    """The response is older than what the watch has sent in the meantime."""
    scene = Scene("r")
    scene.server.late = 0.5
    async with scene.running():
        scene.writer.lead(True)
        scene.writer.post(wanted("r"))
        await trio.sleep(0.2)
        assert scene.reason("r") == ["Accepted"]
        scene.create("r", generation=2, status=scene.server.objects[path("r")]["status"])
        scene.writer.post(wanted("r", reason="Second", generation=2))
    assert scene.reason("r") == ["Second"]


async def test_only_who_leads_writes_and_a_new_leader_writes_what_differs(autojump_clock):
    scene = Scene("old", "new")
    scene.create("same", status={"parents": [parent({**condition(), "lastTransitionTime": "t"})]})
    scene.create("gone", status={"parents": [parent(condition(), by="x"), parent(condition())]})
    async with scene.running():
        scene.writer.post(wanted("old", "new", "same"))
        await trio.sleep(1)
        assert scene.puts == 0
        scene.writer.lead(True)
        await trio.sleep(5)
        assert scene.puts == 3
        scene.writer.lead(False)
        scene.writer.post(wanted("old", reason="Late"))
    assert scene.puts == 3
    assert [scene.reason(name) for name in ("old", "new", "same", "gone")] == [["Accepted"]] * 3 + [[]]
    assert len(scene.server.objects[path("gone")]["status"]["parents"]) == 1


async def test_a_route_that_is_none_of_ours_any_more_loses_our_entry(autojump_clock):
    scene = Scene("r", "s")
    async with scene.running():
        scene.writer.lead(True)
        scene.writer.post(wanted("r", "s"))
        await trio.sleep(1)
        scene.writer.post(wanted("s"))
    assert (scene.reason("r"), scene.reason("s")) == ([], ["Accepted"])


async def test_nothing_is_written_for_another_generation(autojump_clock):
    scene = Scene()
    scene.create("r", generation=2)
    async with scene.running():
        scene.writer.lead(True)
        scene.writer.post(wanted("r", generation=1))
        await trio.sleep(1)
        assert scene.puts == 0
        scene.writer.post(wanted("r", generation=2))
    assert scene.reason("r") == ["Accepted"]


async def test_nothing_is_written_for_another_object_of_that_name(autojump_clock):
    """Deleted and recreated (kubectl replace --force): generation 1 of the new object is not that of the old one."""
    scene = Scene("r")
    async with scene.running():
        scene.writer.lead(True)
        scene.writer.post(wanted("r"))
        await trio.sleep(1)
        scene.create("r", uid="another")
        scene.writer.restated("HTTPRoute", Key("infra", "r"))
        await trio.sleep(1)
        assert (scene.puts, scene.reason("r")) == (1, [])
        scene.writer.post(wanted("r", reason="NotAllowedByListeners", uid="another"))
    assert scene.reason("r") == ["NotAllowedByListeners"]


async def test_after_a_conflict_it_is_read_again(autojump_clock):
    scene = Scene("r")
    scene.objects.frozen[path("r")] = scene.objects.held("HTTPRoute", Key("infra", "r"))
    scene.create("r", status={"parents": [parent(condition(), by="x")]})  # the watch has not delivered it
    async with scene.running():
        scene.writer.lead(True)
        scene.writer.post(wanted("r"))
    assert [one["controllerName"] for one in scene.server.objects[path("r")]["status"]["parents"]] == ["x", NAME]
    assert scene.metrics.status_conflicts._value.get() == 1
    assert [method for method, _ in scene.server.asked] == ["PUT", "GET", "PUT"]


@pytest.mark.parametrize(
    "error",
    [
        ApiError(0, "Unreached", "nobody there"),
        ApiError(500, "InternalError", "etcd is away"),
        ApiError(503, "ServiceUnavailable", "later"),
        ApiError(429, "TooManyRequests", "slowly", retry_after=3.0),
    ],
    ids=lambda error: error.reason,
)
async def test_what_fails_waits_and_is_said_once(autojump_clock, caplog, error):
    caplog.set_level(logging.INFO)
    names = [f"r{number}" for number in range(50)]
    scene = Scene(*names)

    def refuse(method, path):
        if trio.current_time() < 60:
            raise error

    scene.server.refuse = refuse
    async with scene.running():
        scene.writer.lead(True)
        scene.writer.post(wanted(*names))
        await trio.sleep(60)
        tried = scene.puts
    assert tried < 12 * 40  # concurrent requests times retries
    assert all(scene.reason(name) == ["Accepted"] for name in names)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_what_fails_together_is_one_failure(autojump_clock):
    """All writers had a request in flight when the API server was unavailable for a moment."""
    names = [f"r{number}" for number in range(50)]
    scene = Scene(*names)

    def refuse(method, path):
        if trio.current_time() < begin + 0.3:
            raise ApiError(0, "Unreached", "nobody there")

    begin = trio.current_time()
    scene.server.refuse = refuse
    async with scene.running():
        scene.writer.lead(True)
        scene.writer.post(wanted(*names))
        await trio.sleep(2)
        assert all(scene.reason(name) == ["Accepted"] for name in names)


async def test_what_is_forbidden_is_said_once_with_the_way_out(autojump_clock, caplog):
    scene = Scene("r", "s")
    allowed = False

    def refuse(method, path):
        if not allowed:
            raise ApiError(403, "Forbidden", "no")

    scene.server.refuse = refuse
    async with scene.running():
        scene.writer.lead(True)
        scene.writer.post(wanted("r", "s"))
        await trio.sleep(SETTLING + 2 * YOUNG_FORBIDDEN)
        assert caplog.messages == ["403 Forbidden: no: allow update on httproutes.gateway.networking.k8s.io/status"]
        tried = scene.puts
        assert 2 * 5 < tried < 2 * 15  # a server that has just started may refuse what it will allow in a moment
        await trio.sleep(FORBIDDEN / 2)
        assert scene.puts == tried
        allowed = True
        await trio.sleep(FORBIDDEN)
    assert (scene.reason("r"), scene.reason("s")) == (["Accepted"], ["Accepted"])


@pytest.mark.parametrize(
    "error",
    [
        ApiError(422, "Invalid", "too long"),
        ApiError(500, "Internal Server Error", "etcdserver: request is too large"),
        ApiError(500, "Internal Server Error", "trying to send message larger than max (2893244 vs. 2097152)"),
    ],
    ids=["invalid", "too-large", "much-too-large"],
)
async def test_what_is_not_taken_waits_for_another_status_and_keeps_nobody_waiting(autojump_clock, caplog, error):
    scene = Scene("r", "s")

    def refuse(method, refused):
        if refused == f"{path('r')}/status":
            raise error

    scene.server.refuse = refuse
    async with scene.running():
        scene.writer.lead(True)
        scene.writer.post(wanted("r"))
        await trio.sleep(60)
        assert scene.puts == 1
        scene.writer.post(wanted("r", "s"))
        await trio.sleep(0.1)
        assert scene.reason("s") == ["Accepted"]
        scene.server.refuse = lambda method, path: None
        scene.writer.post(wanted("r", reason="Short"))
    assert scene.reason("r") == ["Short"]
    assert "rejects its status" in caplog.text


async def test_who_takes_our_entry_out_sees_it_again(autojump_clock):
    scene = Scene("r")
    async with scene.running():
        scene.writer.lead(True)
        scene.writer.post(wanted("r"))
        await trio.sleep(1)
        scene.writer.restated("HTTPRoute", Key("infra", "r"))  # the writer's own change, delivered by the watch
        await trio.sleep(1)
        assert scene.puts == 1
        scene.create("r", status={"parents": []})
        scene.writer.restated("HTTPRoute", Key("infra", "r"))
    assert scene.reason("r") == ["Accepted"]


async def test_an_object_that_is_gone_is_left(autojump_clock):
    scene = Scene("r")
    scene.objects.frozen[path("r")] = scene.objects.held("HTTPRoute", Key("infra", "r"))
    del scene.server.objects[path("r")]
    async with scene.running():
        scene.writer.lead(True)
        scene.writer.post(wanted("r"))
    assert scene.puts == 1


async def test_what_others_leave_no_room_for_is_said_once_and_the_rest_is_written(autojump_clock, caplog):
    scene = Scene()
    others = [{**parent(by="x"), "parentRef": {"name": f"p{number}"}} for number in range(32)]
    scene.create("r", status={"parents": others})
    async with scene.running():
        scene.writer.lead(True)
        scene.writer.post(wanted("r"))
        await trio.sleep(1)
        scene.writer.restated("HTTPRoute", Key("infra", "r"))
        await trio.sleep(1)
        full = "HTTPRoute infra/r: entries of other controllers leave no room in its status for the entry of parent web"
        assert (caplog.messages, scene.puts) == ([full], 0)
        scene.create("r", status={"parents": others[:31]})
        scene.writer.restated("HTTPRoute", Key("infra", "r"))
        await trio.sleep(1)
        assert scene.reason("r") == ["Accepted"]
        scene.create("r", status={"parents": others})
        scene.writer.restated("HTTPRoute", Key("infra", "r"))
    assert caplog.messages == [full, full], "logged again, because the status had room in between"


async def test_a_server_that_went_back_is_written_to_before_the_watch_finds_out(autojump_clock):
    """Restored from a backup: its versions are lower than the watch's last one, so the watch receives nothing."""
    scene = Scene("r")
    for _ in range(10):
        scene.create("r")
    scene.objects.frozen[path("r")] = scene.objects.held("HTTPRoute", Key("infra", "r"))
    scene.server.restore(3)
    async with scene.running():
        scene.writer.lead(True)
        scene.writer.post(wanted("r"))
        await trio.sleep(1)
        scene.writer.post(wanted("r", reason="Later"))
    assert scene.reason("r") == ["Later"]
    assert len(scene.server.asked) <= 4, "two writes, one conflict, one GET"
