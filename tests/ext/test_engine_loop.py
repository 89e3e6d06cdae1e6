"""Requests that come back to the gateway: one turn, several installations, mirrors, and what hides the mark."""

import pytest
from rig import Rig, answering, backends, connect, reporting, rule, running, soon

from fastroute import snapshot

MINE = {"installation": "mine", "log": True}


def marks(head: bytes) -> list[str]:
    lines = head.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    return [line.partition(": ")[2] for line in lines if line.lower().startswith("fastroute-loop:")]


async def asked(rig: Rig, *fields: str) -> int:
    client = await connect(rig.port)
    await client.send("\r\n".join(["GET / HTTP/1.1", "Host: a", *fields, "", ""]).encode())
    status: int = (await client.response())[0]
    await client.close()
    return status


async def test_a_request_is_marked_after_the_marks_that_it_has() -> None:
    report: list[bytes] = []
    async with backends(reporting(report)) as [backend], running(rule("b"), **MINE) as rig:
        rig.put("b", backend.port)
        assert await asked(rig) == 200
        assert marks(report[-2]) == ["mine"]
        assert await asked(rig, "Fastroute-Loop: other, third", "fastroute-loop: mine-too") == 200
        assert marks(report[-2]) == ["other, third", "mine-too", "mine"]


async def test_without_an_identity_nothing_is_marked() -> None:
    report: list[bytes] = []
    async with backends(reporting(report)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        assert await asked(rig, "Fastroute-Loop: mine") == 200
        assert marks(report[-2]) == ["mine"]


@pytest.mark.parametrize(
    "fields",
    [
        ["Fastroute-Loop: mine"],
        ["fastroute-loop: a, mine ,b"],
        ["Fastroute-Loop: a", "Fastroute-Loop: mine"],
        ["Fastroute-Loop: mine", "Connection: fastroute-loop"],
    ],
)
async def test_a_request_with_our_mark_is_answered_with_508(fields: list[str]) -> None:
    async with backends(answering) as [backend], running(rule("b"), **MINE) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for _ in range(2):  # the connection stays open
            await client.send("\r\n".join(["GET / HTTP/1.1", "Host: a", *fields, "", ""]).encode())
            status, _, body = await client.response()
            assert (status, body) == (508, b"508 Loop Detected: loop_detected\n")
        [line, _] = rig.lines()
        assert (line["status"], line["reason"], line["route"]) == (508, "loop_detected", "apps/route")
        assert rig.local("loop_detected") == 2


async def test_an_endpoint_that_is_the_gateway_itself_costs_one_turn() -> None:
    async with running(rule("b"), **MINE) as rig:
        rig.put("b", rig.port)
        assert await asked(rig) == 508
        assert [(line["status"], line["reason"]) for line in rig.lines()] == [(508, "loop_detected"), (508, None)]
        assert rig.engine.statistics().upstream_active == 0


HIDING = snapshot.HeaderModifier(
    direction="request",
    set=(snapshot.HeaderValue("Fastroute-Loop", "x"),),
    add=(snapshot.HeaderValue("fastroute-loop", "y"),),
    remove=("FASTROUTE-LOOP",),
)
NOMINATING = snapshot.HeaderModifier(direction="request", set=(snapshot.HeaderValue("Connection", "fastroute-loop"),))


@pytest.mark.parametrize("filter_", [HIDING, NOMINATING], ids=["hiding", "nominating"])
@pytest.mark.parametrize("of_backend", [False, True], ids=["rule", "backend"])
async def test_a_loop_over_several_installations_whose_filters_remove_the_mark(
    filter_: snapshot.Filter, of_backend: bool
) -> None:
    """Three gateways: each request of the client passes each of them once."""
    if of_backend:
        looping = rule(snapshot.WeightedBackend(weight=1, backend="b", filters=(filter_,)))
    else:
        looping = rule("b", filters=(filter_,))
    async with (
        running(looping, installation="one", log=True) as one,
        running(looping, installation="two", log=True) as two,
        running(looping, installation="three", log=True) as three,
    ):
        one.put("b", two.port)
        two.put("b", three.port)
        three.put("b", one.port)
        assert await asked(one) == 508
        assert [len(rig.lines()) for rig in (one, two, three)] == [2, 1, 1]


async def test_a_mirror_that_is_the_gateway_itself_gets_no_second_copy() -> None:
    """The mirror is listed before a filter that tries to remove the mark."""
    mirrors = (snapshot.Mirror(backend="self", numerator=1, denominator=1), HIDING)
    async with backends(answering) as [backend], running(rule("b", filters=mirrors), **MINE) as rig:
        rig.put("b", backend.port)
        rig.put("self", rig.port)
        assert await asked(rig) == 200
        await soon(lambda: len(rig.lines()) == 2)
        found = [(line["status"], line["reason"]) for line in rig.lines()]
        assert sorted(found, key=str) == [(200, None), (508, "loop_detected")]


@pytest.mark.parametrize("wrong", ["a b", "a,b", "x" * 65, "a\r\nb", "é"])
def test_what_is_no_identity_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="token"):
        Rig(installation=wrong)
