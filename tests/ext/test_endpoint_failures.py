"""Tries that fail because of the endpoint are counted by backend, endpoint and reason; others are not."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
import trio
from datagrams import clients, to, udp, udp_rule
from passages import ended, passage, passing
from peer import Peer
from rig import GET, PLAIN, Rig, Script, answering, backends, connect, free_port, quiet, rule, running, saying, soon

from fastroute.ext.reactor.failures import kinds
from fastroute.snapshot import Mirror, Retry

pytestmark = [PLAIN, pytest.mark.usefixtures("transport")]
MOST = 100
APART = 512  # FAILING_MOST


def failures(rig: Rig) -> dict[tuple[str, int], dict[str, int]]:
    """The reasons by backend and port of the endpoint; takes them."""
    found: dict[tuple[str, int], dict[str, int]] = {}
    while some := rig.engine.failures(MOST):
        for backend, label, reasons in some:
            found[backend, int(label.rpartition(":")[2] or 0)] = reasons
    return found


async def resetting(peer: Peer) -> None:
    await peer.request()
    await peer.reset()


async def mute(peer: Peer) -> None:
    await peer.request()
    await trio.sleep_forever()


class Case(NamedTuple):
    script: Script
    reason: str | None
    rule: dict[str, int] | None = None
    status: int = 502


BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
CASES = {
    "reset": Case(resetting, "upstream_closed"),
    "closed": Case(saying(close=True), "upstream_closed"),
    "malformed": Case(saying(b"nonsense\r\n\r\n"), "upstream_malformed"),
    "truncated": Case(
        saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", close=True), "upstream_truncated", status=200
    ),
    "500": Case(saying(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"), "status", status=500),
    "599": Case(saying(b"HTTP/1.1 599 No\r\nContent-Length: 0\r\n\r\n"), "status", status=599),
    "499": Case(saying(b"HTTP/1.1 499 No\r\nContent-Length: 0\r\n\r\n"), None, status=499),
    "200": Case(answering, None, status=200),
    "try timeout": Case(mute, "backend_timeout", {"backend_timeout_ms": 100}, 504),
    "request timeout": Case(mute, "request_timeout", {"request_timeout_ms": 100}, 504),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_the_reason_of_a_failed_try(case: Case) -> None:
    async with backends(case.script) as [backend], running(rule("b", **(case.rule or {})), held=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        if case.reason == "upstream_truncated":
            assert (await client.head()).startswith(b"HTTP/1.1 200")
            assert (await client.rest()).endswith(b"abc")
        else:
            (status, _, _), _ = await rig.timed(client.response, 0.02)
            assert status == case.status
        await quiet()
        assert failures(rig) == ({("b", backend.port): {case.reason: 1}} if case.reason else {})
        assert failures(rig) == {}


async def test_one_of_three_resets() -> None:
    async with backends(answering, resetting, answering) as ends, running(rule("b")) as rig:
        rig.put("b", *(end.port for end in ends))
        client = await connect(rig.port)
        statuses: Counter[int] = Counter()
        for _ in range(60):
            await client.send(GET)
            statuses[(await client.response())[0]] += 1
        await quiet()
        assert 0 < statuses[502] < 60
        assert failures(rig) == {("b", ends[1].port): {"upstream_closed": statuses[502]}}


@pytest.mark.parametrize("reason", ["status", "upstream_closed", "backend_timeout"])
async def test_a_try_that_is_repeated_counts(reason: str) -> None:
    """Also if the client gets a good answer."""
    script = {"status": saying(BUSY), "upstream_closed": resetting, "backend_timeout": mute}[reason]
    retry = Retry(attempts=1, codes=(503,), backoff_ms=1)
    served = rule("b", retry=retry, backend_timeout_ms=100)
    async with backends(script, answering) as [bad, good], running(served, held=True) as rig:
        rig.put("b", bad.port)
        client = await connect(rig.port)
        await client.send(GET)
        await soon(lambda: bad.connections > 0)
        rig.put("b", good.port)
        (status, _, _), _ = await rig.timed(client.response, 0.02)
        assert failures(rig)["b", bad.port] == {reason: 1 if status == 200 else 2}


async def next_failures(rig: Rig) -> list[tuple[str, dict[str, int]]]:
    """By backend, when there are some."""
    found = dict[tuple[str, int], dict[str, int]]()
    await soon(lambda: bool(found.update(failures(rig)) or found))
    return [(backend, reasons) for (backend, _), reasons in found.items()]


async def test_endpoints_that_cannot_be_connected() -> None:
    """Each try counts, also with a connection that the gateway makes for a mirror."""
    dead = free_port()
    served = rule("b", filters=[Mirror(backend="m")])
    async with backends(answering) as [good], running(served) as rig:
        rig.put("b", good.port, dead)
        rig.put("m", good.port)
        client = await connect(rig.port)
        while ("b", dead) not in (found := failures(rig)):
            await client.send(GET)
            assert (await client.response())[0] == 200
        assert found["b", dead] == {"connect_failed": 1}
        rig.put("b", good.port)
        for address in ("127.0.0.1", "255.255.255.255"):  # to the second one, connect() fails at once
            rig.upstreams.update("m", [(address, free_port())])
            await client.send(GET)
            assert (await client.response())[0] == 200
            assert await next_failures(rig) == [("m", {"connect_failed": 1})]


async def test_what_is_no_fault_of_the_endpoint() -> None:
    """A request that the client abandons, and one to a backend without endpoints."""
    async with backends(mute) as [slow], running(rule("b"), rule("none", name="1", path="/none")) as rig:
        rig.put("b", slow.port)
        client = await connect(rig.port)
        await client.send(GET)
        await soon(lambda: slow.connections > 0)
        await client.close()
        await soon(lambda: rig.engine.statistics().exchanges == 0)
        other = await connect(rig.port)
        await other.send(b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await other.response())[0] == 503
        assert failures(rig) == {}


async def test_two_backends_with_one_endpoint_are_told_apart() -> None:
    rules = rule("b"), rule("c", name="1", path="/c")
    async with backends(saying(BUSY)) as [one], running(*rules) as rig:
        rig.put("b", one.port)
        rig.put("c", one.port)
        client = await connect(rig.port)
        for path in (b"/", b"/c", b"/c"):
            await client.send(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path)
            await client.response()
        await quiet()
        assert failures(rig) == {("b", one.port): {"status": 1}, ("c", one.port): {"status": 2}}


async def test_a_passed_connection_that_fails() -> None:
    async def cutting(peer: Peer) -> None:
        await peer.exactly(1)
        await peer.reset()

    dead = free_port()
    async with backends(cutting) as [bad], passing(passage("b")) as rig:
        rig.put("b", dead)
        client = await connect(rig.port)
        await ended(client)
        await soon(lambda: rig.engine.statistics().exchanges == 0)
        assert failures(rig) == {("b", dead): {"connect_failed": 1}}
        rig.put("b", bad.port)
        client = await connect(rig.port)
        await client.send(b"x")
        await soon(lambda: rig.engine.statistics().exchanges == 0)
        assert failures(rig) == {("b", bad.port): {"upstream_truncated": 1}}


async def test_an_icmp_error_is_a_failure() -> None:
    dead = free_port()
    async with udp(udp_rule(to("apps/dns:53"))) as rig:
        rig.put("apps/dns:53/udp", dead)
        with clients(rig.place, 1) as [client]:
            await client.send(b"?")
            found: dict[Any, Any] = {}
            await soon(lambda: bool(found.update(failures(rig)) or found))
        assert found == {("apps/dns:53/udp", dead): {"connect_failed": 1}}


@asynccontextmanager
async def failing(names: list[str]) -> AsyncIterator[tuple[Rig, Callable[..., Awaitable[None]]]]:
    """Backends whose one endpoint answers with 503, and a function that sends a request to each of some of them."""
    async with backends(saying(BUSY)) as [one]:
        rules = [rule(name, name=str(number), path=f"/{name}") for number, name in enumerate(names)]
        async with running(*rules) as rig:
            for name in names:
                rig.put(name, one.port)
            client = await connect(rig.port)

            async def ask(*asked: str) -> None:
                for name in asked:
                    await client.send(f"GET /{name} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                    assert (await client.response())[0] == 503
                await quiet()

            yield rig, ask


async def test_the_endpoints_that_are_told_apart_are_limited() -> None:
    """What has no room is counted without an endpoint; later there is room again."""
    names = [f"a/b{number}" for number in range(APART + 5)]
    async with failing(names) as (rig, ask):
        await ask(*names)
        found = rig.engine.failures(MOST)
        assert (len(found), found[0]) == (MOST, ("", "", {"status": 5}))
        assert len(failures(rig)) == APART - MOST + 1
        await ask(names[0])
        assert [backend for backend, _ in failures(rig)] == names[:1]


async def test_a_namespace_with_very_many_failing_endpoints_leaves_shares_for_the_others() -> None:
    """All are counted. Two namespaces may share a number (owner.pxd), so not all of the late ones must have a share."""
    many, late = [f"a/{number}" for number in range(APART + 5)], [f"{name}/x" for name in "bcdefghi"]
    async with failing([*many, *late]) as (rig, ask):
        await ask(*many, *late, *late)
        found = {backend: reasons["status"] for (backend, _), reasons in failures(rig).items()}
        shown = [found[name] for name in late if name in found]
        assert set(shown) == {2}
        assert len(shown) > 5
        assert len(found) == APART + 1
        assert sum(found.values()) == len(many) + 2 * len(late)
        await ask(*many)
        assert len(failures(rig)) == APART + 1


async def test_namespaces_with_many_failing_endpoints_share_the_room() -> None:
    """Two of them may share a number."""
    names = [f"{space}/{number}" for space in "abcd" for number in range(200)]
    async with failing(names) as (rig, ask):
        await ask(*names)
        found = Counter(backend.partition("/")[0] for backend, _ in failures(rig) if backend)
        assert found.total() == APART
        assert max(found.values()) <= APART // 3 + 1


def test_the_reasons_have_names() -> None:
    assert len(set(kinds)) == len(kinds)
    assert kinds[0] == "none"
