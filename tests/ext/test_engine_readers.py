"""Clients that read a response slowly, or not at all, with a held clock and real receive buffers.

The kernel of a client acknowledges in steps: when its buffer is full, it acknowledges nothing until the client has read
a part of it. So a client that reads slowly, and one that does not read, look the same for some time.
"""

import ctypes
import fcntl
import socket
import struct
import termios

import pytest
import trio
from rig import GET, PLAIN, Peer, Rig, accepted_from, backends, quiet, rule, running, soon

from fastroute.settings import Limits

pytestmark = [pytest.mark.usefixtures("transport"), PLAIN]

RATE = 1024  # --min-body-rate
PATIENT = Limits(body_idle_timeout=36_000)  # only the rate ends a response
LARGE = 256 << 20
ADVANCE = 20 * RATE  # bytes that a reader may be behind, in addition to those that its kernel may hold back
LATEST = 22  # seconds: a grace of 1 s, and up to two windows of 10 s


async def generous(peer: Peer) -> None:
    """Responds with as much as its client takes."""
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
    for _ in range(LARGE >> 17):
        await peer.stream.send_all(b"x" * 131_072)


async def reader(rig: Rig, buffer: int, fast: int = 0) -> Peer:
    """A client that has requested the response and read `fast` bytes of it, and whose kernel has filled its buffer of
    about `buffer` bytes; 0: the default."""
    one = trio.socket.socket()
    if buffer:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    await one.connect(("127.0.0.1", rig.port))
    client = Peer(trio.SocketStream(one))
    await client.send(GET)
    while fast > 0:
        fast -= len(await client.stream.receive_some(1 << 20))
    before = -1
    while before != waiting(client):
        before = waiting(client)
        await quiet(0.05)
    return client


def waiting(client: Peer) -> int:
    """The bytes that the kernel of the client has received and the client has not read."""
    found = fcntl.ioctl(client.stream.socket.fileno(), termios.FIONREAD, b"\0" * 4)  # type: ignore[attr-defined]
    return int(struct.unpack("i", found)[0])


async def reads(rig: Rig, client: Peer, size: int, pause: float) -> None:
    """Reads `size` bytes, then the clock advances by `pause`."""
    while size > 0:
        size -= len(await client.stream.receive_some(size))
    await rig.passes(pause)


async def ends_after(rig: Rig, client: Peer, size: int = 0, pause: float = 1) -> tuple[float, float, int]:
    """Three values if the client reads only `size` bytes after each `pause`: the seconds until the response ends, the
    seconds from the time when its kernel held the most bytes until the response ends, and these bytes."""
    begun, grown, held = rig.clock, rig.clock, 0
    while rig.engine.statistics().exchanges and rig.clock - begun < 3600:
        await reads(rig, client, size, pause)
        if waiting(client) > held:
            grown, held = rig.clock, waiting(client)
    return rig.clock - begun, rig.clock - grown, held


@pytest.mark.parametrize("rate", [3000, 1100])
@pytest.mark.parametrize("buffer", [0, 4096, 100_000, 4_000_000])
async def test_a_reader_above_the_minimum_is_served(buffer: int, rate: int) -> None:
    """With all defaults, whatever its buffer."""
    async with backends(generous) as [backend], running(rule("b"), held=True) as rig:
        rig.put("b", backend.port)
        client = await reader(rig, buffer)
        for _ in range(900_000 // 15_000 if buffer != 4096 else 10):
            await reads(rig, client, 15_000, 15_000 / rate)
            assert rig.engine.statistics().exchanges == 1


@pytest.mark.parametrize("fast", [20_000_000, 100_000_000])
async def test_a_reader_whose_buffer_has_grown_is_served(fast: int) -> None:
    """15 KB/s after a fast part, for which the kernel has raised the buffer to many megabytes."""
    async with backends(generous) as [backend], running(rule("b"), held=True) as rig:
        rig.put("b", backend.port)
        client = await reader(rig, 0, fast)
        for _ in range(60):
            await reads(rig, client, 75_000, 5)
            assert rig.engine.statistics().exchanges == 1


@pytest.mark.parametrize(("buffer", "fast"), [(0, 0), (4096, 0), (1_000_000, 0), (0, 20_000_000)])
@pytest.mark.parametrize("seconds", [60, 1])
async def test_a_client_that_does_not_read_ends_in_the_documented_time(buffer: int, fast: int, seconds: int) -> None:
    """--body-idle-timeout, once for each 60 KiB that the client may have to read until its kernel acknowledges more."""
    limits = Limits(body_idle_timeout=seconds, min_body_rate=0)
    async with backends(generous) as [backend], running(rule("b"), limits=limits, log=True, held=True) as rig:
        rig.put("b", backend.port)
        client = await reader(rig, buffer, fast)
        took, since, held = await ends_after(rig, client, pause=seconds / (4 if fast else 20))
        held += 2 * fast  # what the client has read counts too
        steps = max(1, min(held, held / 16 + 524_288) / 61_440)
        assert seconds <= took
        assert since <= seconds * (steps + 0.2)
        if buffer == 4096:
            assert since <= seconds * 1.2
        [line] = rig.lines()
        assert (line["status"], line["reason"]) == (200, "body_timeout")
        await soon(lambda: backend.open == 0)


@pytest.mark.parametrize("size", [0, 400])
@pytest.mark.parametrize("buffer", [0, 4096])
async def test_a_reader_below_the_minimum_ends_in_the_documented_time(buffer: int, size: int) -> None:
    async with backends(generous) as [backend], running(rule("b"), limits=PATIENT, log=True, held=True) as rig:
        rig.put("b", backend.port)
        client = await reader(rig, buffer)
        took, _, held = await ends_after(rig, client, size)
        assert 20 <= took <= LATEST + (ADVANCE + held) / (RATE - size)
        [line] = rig.lines()
        assert (line["status"], line["reason"]) == (200, "body_too_slow")
        assert rig.counters.fixed()["ended_body_too_slow"] == 1
        await soon(lambda: backend.open == 0)


def fall_silent(client: Peer) -> None:
    """The kernel of the client drops everything that arrives for it (SO_ATTACH_FILTER, a filter that returns 0)."""
    code = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    program = struct.pack("HP", 1, ctypes.addressof(code))
    client.stream.socket.setsockopt(socket.SOL_SOCKET, 26, program)  # type: ignore[attr-defined]


def probes(engines: socket.socket) -> tuple[int, int]:
    """The unanswered probes of the closed window of the peer, and how often their interval has doubled."""
    found = engines.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return found[3], found[4]


async def test_a_client_that_is_gone_has_no_more_time() -> None:
    """A closed window extends the time of a client only while its kernel answers probes."""
    async with backends(generous) as [backend], running(rule("b"), log=True, held=True) as rig:
        rig.put("b", backend.port)
        client = await reader(rig, 0)
        with accepted_from(client) as engines:
            await soon(lambda: probes(engines)[1] >= 2)
            fall_silent(client)
            await soon(lambda: probes(engines)[0] >= 3)
        assert (await ends_after(rig, client))[0] <= 61
