"""Without a descriptor for a connection to a backend, the request is refused as overload: no endpoint is to blame."""

import pytest
from ext.test_engine_mirror import failures
from ext.test_tls_passthrough import BACKEND, NAME, hello, records, route
from passages import ended, passing, reasons
from rig import (
    GET,
    OK,
    Peer,
    Rig,
    answering,
    backends,
    connect,
    free_port,
    hanging,
    no_descriptor,
    quiet,
    rule,
    running,
    saying,
)

from fastroute import snapshot
from fastroute.snapshot import Mode

RETRY = snapshot.Retry(attempts=3, codes=(503,))
AVOIDED = 1.5  # seconds: longer than an endpoint is avoided after its first failure


async def refused(rig: Rig, data: bytes = GET) -> None:
    peer = await connect(rig.port)
    await quiet()  # it is accepted
    with no_descriptor():
        await peer.send(data)
        assert (await peer.response())[0] == 503
    assert rig.local("overloaded") == 1
    assert rig.engine.shortages()["connect"][0] == 1
    assert rig.engine.failures(10) == []


@pytest.mark.parametrize("protocol", ["h1", "h2"])
async def test_a_request_is_refused_once(protocol: str) -> None:
    """Neither another endpoint nor a retry follows."""
    async with running(rule("b", retry=RETRY)) as rig:
        rig.upstreams.speak("b", snapshot.Backend(protocol=protocol))
        rig.put("b", free_port(), free_port(), free_port())
        await refused(rig)


async def test_bytes_are_refused() -> None:
    async with backends(hanging) as [backend], passing(route(BACKEND), mode=Mode.PASSTHROUGH) as rig:
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port)
        await quiet()
        with no_descriptor():
            await client.send(records(hello(NAME)))
            assert await ended(client) == "closed"
        assert reasons(rig) == ["overloaded"]
        assert rig.engine.failures(10) == []


async def test_a_mirror_is_left_out_and_counted() -> None:
    async with backends(answering) as [backend], running(rule("b", filters=[snapshot.Mirror(backend="m")])) as rig:
        rig.put("b", backend.port)
        peer = await connect(rig.port)
        await peer.send(GET)
        assert (await peer.response())[0] == 200
        assert failures(rig) == {"no_endpoint": 1}
        rig.put("m", free_port())
        await quiet()
        with no_descriptor():
            await peer.send(GET)
            assert (await peer.response())[0] == 200
        assert failures(rig) == {"no_endpoint": 1, "overloaded": 1}
        assert rig.engine.failures(10) == []


# --- the request would have tested whether an endpoint that has failed works again: the next one does


async def test_the_next_request_tests_the_endpoint() -> None:
    closing = saying(OK.replace(b"OK", b"OK\r\nConnection: close"), close=True)
    async with backends(closing) as [backend], running(rule("b"), held=True) as rig:
        rig.put("b", backend.port, free_port())
        peer = await connect(rig.port)
        await asked(peer, 20, 200)
        assert retried(rig) == 1
        await rig.passes(AVOIDED)
        with no_descriptor():
            await asked(peer, 20, 503)
        await asked(peer, 20, 200)
        assert retried(rig) == 2


async def test_the_next_mirror_tests_the_endpoint() -> None:
    filters = [snapshot.Mirror(backend="m")]
    async with backends(answering) as [backend], running(rule("b", filters=filters), held=True) as rig:
        rig.put("b", backend.port)
        rig.put("m", free_port())
        peer = await connect(rig.port)
        await asked(peer, 1, 200)
        assert failures(rig) == {"not_connected": 1}
        await rig.passes(AVOIDED)
        with no_descriptor():
            await asked(peer, 1, 200)
        assert failures(rig) == {"not_connected": 1, "overloaded": 1}
        await asked(peer, 1, 200)
        assert failures(rig) == {"not_connected": 2, "overloaded": 1}


async def asked(peer: Peer, count: int, status: int) -> None:
    for _ in range(count):
        await peer.send(GET)
        assert (await peer.response())[0] == status
        await quiet()


def retried(rig: Rig) -> int:
    return rig.counters.fixed()["retries_connect"]
