"""Clients that read nothing, or slowly, while the streams of their connection wait for each other; with a held clock
and real receive buffers."""

import fcntl
import socket
import struct
import termios
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest
import trio
from h2.settings import SettingCodes
from http2.client import head
from msgspec.structs import replace
from rig import PLAIN, Peer, Rig, backends, quiet, rule, running, soon

from fastroute.settings import Limits

pytestmark = [pytest.mark.usefixtures("transport"), PLAIN]

STREAMS = 40
BUFFER = 4096  # of the kernel of the client
LARGE = 1 << 30  # windows that never close
CALL = [("content-type", "application/grpc"), ("te", "trailers")]
LENGTH = b"Content-Length: %d\r\n\r\n" % LARGE
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
MESSAGES = b"Content-Type: application/grpc\r\n" + CHUNKED


class Reader:
    """A client with STREAMS requests in progress, which reads only when `read` is called."""

    def __init__(self, stream: trio.SocketStream, wide: bool) -> None:
        self.stream = stream
        self.link = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.link.initiate_connection()
        if wide:
            self.link.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: LARGE})
            self.link.increment_flow_control_window(LARGE)

    async def ask(self, fields: list[tuple[str, str]], end: bool) -> None:
        for _ in range(STREAMS):
            self.link.send_headers(self.link.get_next_available_stream_id(), fields, end_stream=end)
        await self.stream.send_all(self.link.data_to_send())
        before = -1
        while before != self.waiting():
            before = self.waiting()
            await quiet(0.05)

    def waiting(self) -> int:
        found = fcntl.ioctl(self.stream.socket.fileno(), termios.FIONREAD, b"\0" * 4)
        return int(struct.unpack("i", found)[0])

    async def read(self, size: int) -> None:
        """Reads `size` bytes, and opens the windows by their content."""
        while size > 0:
            data = await self.stream.receive_some(size)
            size -= len(data)
            assert data
            for event in self.link.receive_data(data):
                assert not isinstance(event, h2.events.StreamReset)
                if isinstance(event, h2.events.DataReceived) and event.flow_controlled_length:
                    self.link.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        await self.stream.send_all(self.link.data_to_send())


async def reader(rig: Rig, fields: Any = (), end: bool = True, buffer: int = BUFFER, wide: bool = True) -> Reader:
    one = trio.socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    await one.connect(("127.0.0.1", rig.port))
    found = Reader(trio.SocketStream(one), wide)
    await found.ask(head("GET" if end else "POST", "/a.B/C", fields), end)
    return found


def generous(framing: bytes) -> Any:
    """A backend that responds with as much as its client takes."""
    piece = bytes(60_000)
    piece = piece if framing == LENGTH else b"%x\r\n%s\r\n" % (len(piece), piece)

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\n" + framing)
        while True:
            await peer.stream.send_all(piece)

    return script


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(body_idle_timeout=2, min_body_rate=0), "body_timeout"),
        (Limits(body_idle_timeout=3600), "body_too_slow"),
    ],
)
@pytest.mark.parametrize("framing", [LENGTH, CHUNKED, MESSAGES], ids=["length", "chunked", "calls"])
async def test_a_client_that_does_not_read(limits: Limits, reason: str, framing: bytes) -> None:
    """All its exchanges end in time, also those that have no answer yet and calls of gRPC, and no backend is blamed."""
    calls = framing == MESSAGES
    served = replace(rule("b"), calls=calls)
    async with (
        backends(generous(framing)) as [backend],
        running(served, limits=limits, log=True, held=True) as rig,
    ):
        rig.put("b", backend.port)
        client = await reader(rig, CALL if calls else (), not calls)
        assert rig.engine.statistics().exchanges == STREAMS
        while rig.engine.statistics().exchanges and rig.clock < 600:
            await rig.passes(1)
        assert rig.clock <= (10 if reason == "body_timeout" else 150)
        lines = rig.lines()
        assert len(lines) == STREAMS
        assert {line["reason"] for line in lines} == {reason}
        assert {line["status"] for line in lines} <= {200, None}
        assert rig.counters.fixed()["ended_upstream_too_slow"] == 0
        assert rig.counters.fixed()["ended_body_too_slow"] == (STREAMS if reason == "body_too_slow" else 0)
        await soon(lambda: backend.open == 0)
        await client.stream.aclose()


@pytest.mark.parametrize("wide", [True, False], ids=["wide", "narrow"])
@pytest.mark.parametrize("buffer", [BUFFER, 100_000])
@pytest.mark.parametrize("framing", [LENGTH, CHUNKED], ids=["length", "chunked"])
async def test_a_client_that_reads_above_the_minimum_is_served(framing: bytes, buffer: int, wide: bool) -> None:
    """With all defaults. A stream may wait minutes for its turn: what the client reads of the others counts."""
    async with backends(generous(framing)) as [backend], running(rule("b"), held=True) as rig:
        rig.put("b", backend.port)
        client = await reader(rig, buffer=buffer, wide=wide)
        for _ in range(60):
            await client.read(15_000)
            await rig.passes(10)
            assert rig.engine.statistics().exchanges == STREAMS
        await client.stream.aclose()
