"""Statuses that are not kept in memory: they are read before they are written, and responses are not kept for long."""

import pytest
import trio
from writing.test_statuswriter import NAME, Scene, condition, key, parent, path, wanted

from fastroute.apiserver.client import ApiError
from fastroute.settings import CONTROLLER_NAME
from fastroute.writing.present import KEPT, Present

FOREIGN = parent(condition(reason="Foreign"), by="x")
ROUTE = ("HTTPRoute", key("r"))


def large(size: int) -> dict:
    return {"parents": [parent({**condition(), "message": "x" * size}, by="x")]}


def unkept(*names: str, status: dict | None = None) -> Scene:
    scene = Scene()
    for name in names:
        scene.create(name, status=status)
    scene.objects.keeps_statuses = False
    return scene


def entries(scene: Scene, name: str) -> list[str]:
    return [one["controllerName"] for one in scene.server.objects[path(name)]["status"]["parents"]]


def kept_bytes(scene: Scene) -> int:
    """Of statuses in the responses that the writer keeps."""
    found = [held for newer in scene.writer._present._newer.values() for held in newer if held is not None]
    return sum(len(held.raw_status) for held in found)


def methods(scene: Scene) -> list[str]:
    return [method for method, _ in scene.server.asked]


async def test_a_status_that_is_not_kept_is_read_and_the_entries_of_others_stay(autojump_clock):
    scene = unkept("r", status={"parents": [FOREIGN]})
    async with scene.running():
        scene.writer.lead(True)
        scene.writer.post(wanted("r"))
    assert NAME == CONTROLLER_NAME
    assert scene.server.objects[path("r")]["status"]["parents"][0] == FOREIGN
    assert scene.reason("r") == ["Accepted"]
    assert methods(scene) == ["GET", "PUT"]


async def test_one_that_is_as_wanted_is_not_written(autojump_clock):
    scene = unkept("r")
    async with scene.running():
        scene.writer.lead(True)
        scene.writer.post(wanted("r"))
        await trio.sleep(5)
        scene.writer.lead(False)
        scene.writer.lead(True)
    assert methods(scene) == ["GET", "PUT", "GET"]


async def test_one_without_our_entries_is_not_read_for_a_route_of_others(autojump_clock):
    scene = unkept("r", status={"parents": [FOREIGN]})
    async with scene.running():
        scene.writer.lead(True)
        scene.writer.post(wanted())
        scene.writer.restated("HTTPRoute", key("r"))
    assert methods(scene) == []


async def test_our_entry_in_a_route_of_others_is_removed(autojump_clock):
    scene = unkept("r", status={"parents": [FOREIGN, parent(condition())]})
    async with scene.running():
        scene.writer.lead(True)
        scene.writer.post(wanted())
    assert entries(scene, "r") == ["x"]


async def test_after_a_conflict_it_is_read_again(autojump_clock):
    scene = unkept("r")
    refusals = [ApiError(409, "Conflict", "written meanwhile")]

    def refuse(method: str, path: str) -> None:
        if method == "PUT" and refusals:
            raise refusals.pop()

    scene.server.refuse = refuse
    async with scene.running():
        scene.writer.lead(True)
        scene.writer.post(wanted("r"))
    assert scene.reason("r") == ["Accepted"]


@pytest.mark.parametrize("status", [404, 500])
async def test_one_that_cannot_be_read_is_tried_again_or_left(autojump_clock, status):
    scene = unkept("r")

    def refuse(method: str, path: str) -> None:
        if trio.current_time() < 3:
            raise ApiError(status, "Refused", "on demand")

    scene.server.refuse = refuse
    begin = trio.current_time()
    assert begin < 3
    async with scene.running():
        scene.writer.lead(True)
        scene.writer.post(wanted("r"))
    assert scene.reason("r") == ([] if status == 404 else ["Accepted"])


async def test_a_large_response_is_not_kept_until_a_watch_that_lags_has_it():
    scene = Scene("r")
    present = Present(scene.server, scene.objects, NAME)
    scene.objects.frozen[path("r")] = scene.objects.held(*ROUTE)
    told = present.told(ROUTE)
    for size in (KEPT // 2, 2 * KEPT):
        scene.create("r", status=large(size))
        answer = await present.read(ROUTE)
        present.remember(ROUTE, answer, told)
        current = present.current(ROUTE)
        assert current.resource_version == scene.server.objects[path("r")]["metadata"]["resourceVersion"]
        assert current.has_whole_status is (size < KEPT)
        assert len((await present.whole(ROUTE)).raw_status) > size
    del scene.objects.frozen[path("r")]
    assert present.is_from_us(ROUTE)
    assert not present.is_from_us(ROUTE), "it is forgotten"


async def test_what_was_written_is_forgotten_when_the_watch_has_it(autojump_clock):
    """A response, and the state before it, were kept for as long as the object did not change: 4 MB for a route with
    1.3 MB."""
    names = [f"r{number}" for number in range(200)]
    scene = Scene()
    for name in names:
        scene.create(name, status=large(30_000))
    scene.objects.frozen = {path(name): scene.objects.held("HTTPRoute", key(name)) for name in names}
    async with scene.running():
        scene.writer.lead(True)
        scene.writer.post(wanted(*names))
        await trio.sleep(5)
        assert scene.puts == 200
        scene.objects.frozen.clear()
        kept = [kept_bytes(scene)]
        for name in names:
            scene.writer.restated("HTTPRoute", key(name))
        kept.append(kept_bytes(scene))
    assert 0 < kept[0] < 200 * 32_000
    assert kept[1] == 0
    assert scene.puts == 200
