"""Invalid bytes from clients and backends: the engine survives, its own responses are complete, and it forwards nothing
invalid.

The backend reads with h11, which is strict: h11 must accept every request that the engine forwards. The backend must
see as many requests as the client gets responses of the backend, never more (no request is smuggled).
"""

import random

import h11
import pytest
import trio
from rig import Peer, backends, connect, rule, running

SEEDS = [
    b"GET /a/b?c=d HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n",
    b"HEAD / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    b"PUT http://b/x HTTP/1.1\r\nHost: b\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
]
PIECES = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b"0",
    b"-1",
    b"\r\n\r\n",
    b"Content-Length: 3\r\n",
    b"\xff",
    b"%00",
]
PIECES += [b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"Host: c\r\n", b"chunked", b"HTTP/1.1", b"../"]


def mutated(dice: random.Random, seeds: list[bytes]) -> bytes:
    """One seed with a few positions changed, removed, duplicated, or filled with bytes that are significant in HTTP."""
    data = bytearray(dice.choice(seeds))
    for _ in range(dice.randrange(1, 4)):
        at = dice.randrange(len(data) + 1)
        change = dice.randrange(5)
        if change == 0:
            data[at : at + 1] = bytes([dice.randrange(256)])
        elif change == 1:
            del data[at : at + dice.randrange(1, 9)]
        elif change == 2:
            data[at:at] = dice.choice(PIECES)
        elif change == 3:
            data[at:at] = data[dice.randrange(len(data) + 1) :][: dice.randrange(1, 30)]
        else:
            data[at : at + 2] = dice.choice(PIECES)
    return bytes(data)


class Strict:
    """A backend that reads with h11 and counts the requests that h11 finds."""

    def __init__(self) -> None:
        self.requests = 0
        self.trouble: list[str] = []

    async def __call__(self, peer: Peer) -> None:
        reader = h11.Connection(h11.SERVER)
        try:
            await self.read(peer, reader)
        except h11.RemoteProtocolError as error:
            if "without sending complete message body" not in str(error):  # the client disconnected in the middle
                self.trouble.append(str(error))

    async def read(self, peer: Peer, reader: h11.Connection) -> None:
        while True:
            event = reader.next_event()
            if event is h11.NEED_DATA:
                await peer.more()
                reader.receive_data(peer.buffer)
                peer.buffer = b""
            elif isinstance(event, h11.ConnectionClosed):
                return
            elif isinstance(event, h11.Request):
                self.requests += 1
            elif isinstance(event, h11.EndOfMessage):
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Backend: 1\r\n\r\n")
                reader.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
                reader.send(h11.EndOfMessage())
                if reader.our_state is h11.MUST_CLOSE:
                    return
                reader.start_next_cycle()


async def answers(peer: Peer) -> tuple[int, int]:
    """Reads until the end: the number of responses, and how many of them are from the backend."""
    everything = await peer.rest()
    heads = everything.count(b"HTTP/1.1 ") - everything.count(b"HTTP/1.1 100 Continue\r\n")
    return heads, everything.count(b"X-Backend: 1\r\n")


@pytest.mark.parametrize("seed", range(4))
async def test_broken_requests(seed: int) -> None:
    dice = random.Random(seed)
    strict = Strict()
    async with backends(strict) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        for _ in range(150):
            request = mutated(dice, SEEDS)
            before = strict.requests
            peer = await connect(rig.port)
            await peer.send(request[: len(request) // 2])
            if dice.random() < 0.2:
                await trio.sleep(0.001)
            try:
                await peer.send(request[len(request) // 2 :])
                await peer.end_of_writing()
                _, own = await answers(peer)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                continue
            finally:
                await peer.close()
            assert own <= strict.requests - before, request
        assert strict.trouble == []
        statuses = {line["status"] for line in rig.lines()}
        assert {200, 400} <= statuses <= {None, 200, 400, 413, 414, 431, 501, 502, 505}


ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 204 No Content\r\nA: b\r\n\r\n",
    b"HTTP/1.0 404 Nope\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nDate: now\r\n\r\nunframed",
]


CUT = {  # messages of h11 about a response that ended too early
    "peer closed connection without sending complete message body",
    "peer unexpectedly closed connection",
}


@pytest.mark.parametrize("seed", range(4))
async def test_broken_answers(seed: int) -> None:
    """Whatever the backend sends: the client (h11) reads a response or the end; the next response is not affected."""
    dice = random.Random(seed)

    async def broken(peer: Peer) -> None:
        await peer.request()
        await peer.send(mutated(dice, ANSWERS))
        await trio.sleep(0.001)

    async def told(peer: Peer, method: str) -> None:
        """Reads one response with h11. LocalProtocolError is a mistake of the test, RemoteProtocolError one of the
        engine."""
        reader = h11.Connection(h11.CLIENT)
        reader.send(h11.Request(method=method, target="/", headers=[("host", "a")]))
        reader.send(h11.EndOfMessage())
        while True:
            event = reader.next_event()
            if event is h11.NEED_DATA:
                await peer.more()
                reader.receive_data(peer.buffer)
                peer.buffer = b""
            elif isinstance(event, h11.EndOfMessage):
                return

    cut = 0
    trouble: set[str] = set()
    async with backends(broken) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        for _ in range(150):
            peer = await connect(rig.port)
            method = dice.choice(["GET", "HEAD"])
            await peer.send(method.encode() + b" / HTTP/1.1\r\nHost: a\r\n\r\n")
            try:
                await told(peer, method)
            except h11.RemoteProtocolError as error:
                cut += 1
                trouble.add(str(error).split(" (")[0])
            await peer.close()
        assert trouble <= CUT
        lines = rig.lines()
        assert len(lines) == 150
        assert cut <= sum(line["reason"] is not None for line in lines)
