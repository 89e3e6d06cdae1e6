"""Random load: every client gets the response to its own request or none, and afterwards nothing is left open.

Every request has a token. Its backend returns the token in the response, in pieces, over kept connections, and
sometimes breaks the connection. A client that got the response to another request, or a response twice, would see a
wrong token.
"""

import contextlib
import gc
import random

import pytest
import trio
from rig import Peer, Rig, backends, connect, rule, running, soon

from fastroute.settings import Limits

pytestmark = pytest.mark.usefixtures("transport")


def tokens(head: bytes) -> bytes:
    return head.lower().split(b"x-token: ")[1].split(b"\r\n")[0]


def cut(dice: random.Random, data: bytes) -> list[bytes]:
    """The data in up to three pieces."""
    cuts = sorted(dice.randrange(len(data) + 1) for _ in range(dice.randrange(3)))
    return [data[i:j] for i, j in zip([0, *cuts], [*cuts, len(data)], strict=True) if data[i:j]]


async def send(dice: random.Random, peer: Peer, data: bytes) -> None:
    for piece in cut(dice, data):
        await peer.send(piece)
        await trio.sleep(dice.choice([0, 0, 0.001]))


class Wild:
    """A script that answers every request with its token, in all framings; with probability `breaks` it breaks the
    connection."""

    def __init__(self, dice: random.Random, breaks: float) -> None:
        self.dice = dice
        self.breaks = breaks

    async def __call__(self, peer: Peer) -> None:
        dice = self.dice
        while True:
            head, body = await peer.request()
            mood = dice.random()
            if dice.random() < self.breaks:
                return await self.break_off(peer, mood)
            await trio.sleep(dice.choice([0, 0, 0.001, 0.005]))
            text = tokens(head) + b" " + (body or b"x" * dice.choice([0, 10, 100_000]))
            start = b"HTTP/1.1 103 Early Hints\r\n\r\n" if mood < 0.1 else b""
            if mood < 0.5:
                start += b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)
                await send(dice, peer, start)
            elif mood < 0.9:
                start += b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                await send(dice, peer, start + b"%x\r\n%s\r\n0\r\n\r\n" % (len(text), text))
            else:
                return await send(dice, peer, start + b"HTTP/1.1 200 OK\r\n\r\n" + text)

    async def break_off(self, peer: Peer, mood: float) -> None:
        if mood < 0.3:
            await peer.reset()
        elif mood < 0.6:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")


class Asking:
    """Clients that send requests over kept connections, sometimes pipelined, and check that they get their own
    responses."""

    def __init__(self, dice: random.Random, rig: Rig, breaks: float) -> None:
        self.dice = dice
        self.rig = rig
        self.breaks = breaks
        self.asked = 0
        self.right = 0
        self.others: list[int] = []

    async def forever(self) -> None:
        while True:
            peer = await connect(self.rig.port)
            for _ in range(self.dice.randrange(1, 6)):
                if not await self.ask(peer, self.dice.choice([1, 1, 3])):
                    break
            await peer.close()

    def request(self) -> bytes:
        self.asked += 1
        body = b"b" * self.dice.choice([0, 0, 5, 5, 200_000])
        path = b"/%d" % len(body)
        if not body:
            return b"GET %s HTTP/1.1\r\nHost: a\r\nX-Token: %d\r\n\r\n" % (path, self.asked)
        fields = b"POST %s HTTP/1.1\r\nHost: a\r\nX-Token: %d\r\n" % (path, self.asked)
        if self.dice.random() < 0.5:
            return fields + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        return fields + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)

    async def ask(self, peer: Peer, count: int) -> bool:
        """Sends `count` requests at once. False if the connection has ended."""
        first = self.asked + 1
        data = b"".join(self.request() for _ in range(count))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.tell, peer, data)
            try:
                if self.dice.random() < self.breaks:
                    await trio.sleep(0.001)
                    await peer.reset()
                for token in range(first, first + count):
                    await self.read(peer, token)
            except (EOFError, trio.BrokenResourceError, trio.ClosedResourceError):
                nursery.cancel_scope.cancel()
                return False
        return True

    async def read(self, peer: Peer, token: int) -> None:
        status, _, body = await peer.response()
        if status == 200 and int(body.split(b" ")[0]) == token:
            self.right += 1
        elif status == 200 or status not in (502, 503, 504):
            self.others.append(status)

    async def tell(self, peer: Peer, data: bytes) -> None:
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await send(self.dice, peer, data)


@pytest.mark.parametrize(("breaks", "seed"), [(0.0, 1), (0.0, 2), (0.15, 3), (0.15, 4)])
async def test_everybody_gets_his_own_answer(breaks: float, seed: int) -> None:
    dice = random.Random(seed)
    rules = rule("a", "b", request_timeout_ms=3000), rule("a", name="1", path="/5", backend_timeout_ms=2000)
    wild = Wild(dice, breaks)
    async with (
        backends(wild, wild) as [one, two],
        running(*rules, log=True, limits=Limits(max_connections=20), held=True) as rig,
    ):
        rig.put("a", one.port, two.port)
        rig.put("b", *((two.port, 1) if breaks else (two.port,)))
        asking = Asking(dice, rig, breaks)
        async with trio.open_nursery() as nursery:
            for _ in range(25):
                nursery.start_soon(asking.forever)
            for _ in range(20):
                await trio.sleep(0.05)
                rig.advance(0.05)  # much shorter than all timeouts, whatever is in progress
                rig.install(*rules)
                rig.put("a", *dice.sample([one.port, two.port], dice.randrange(1, 3)))
                rig.engine.wake()
            await soon(lambda: asking.right > 20)
            nursery.cancel_scope.cancel()
        gc.collect()  # closes the sockets of cancelled clients
        await soon(lambda: not sum(rig.engine.statistics()[:2]))
        assert asking.others == []
        assert rig.engine.statistics().exchanges == 0
        assert rig.engine.statistics().upstream_active == 0
        fixed = rig.counters.fixed()
        assert (fixed["downstream_active"], fixed["downstream_idle"], fixed["upstream_active"]) == (0, 0, 0)
        statuses = {line["status"] for line in rig.lines()}
        assert statuses <= {None, 200, 502, 503, 504} if breaks else statuses <= {None, 200}
