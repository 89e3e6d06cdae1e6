"""Load of TCP, TLS and UDP: clients whose bytes are passed on, and their backends, which return what they get.

A TCPRoute, a TLSRoute of each mode and a UDPRoute lead to them (world.py). Valid connections must get back exactly what
they send, and then the end. A datagram may be lost, but what comes back must be one that was sent.
"""

import random
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import trio

from bench.certificate import HOST, client_tls
from bench.soak.mutation import mutated, mutated_records
from bench.soak.sessions import ENDS

BYTES, NAMED = 81, 444  # ports of the listeners: TCP and UDP; TLS of both modes
THROUGH = "through.example.com"  # the server name with which TLS goes to the backend
LINGER = b"\1\0\0\0\0\0\0\0"  # close with a reset
SIZES = (0, 1, 100, 1_472, 9_000, 65_507)  # of datagrams
PATIENCE = 30.0  # seconds


async def echo(stream: Any) -> None:
    """Returns all bytes; sometimes it breaks off when a client asks for that."""
    with suppress(*ENDS, ssl.SSLError), trio.move_on_after(PATIENCE):
        first = True
        while data := await stream.receive_some(65536):
            if first and data.startswith(b"!"):
                raw = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
                break
            first = False
            await stream.send_all(data)
        if isinstance(stream, trio.SocketStream):
            await stream.send_eof()
    with trio.CancelScope(shield=True):
        await trio.aclose_forcefully(stream)


async def echo_datagrams(address: str, port: int) -> None:
    with trio.socket.socket(type=socket.SOCK_DGRAM) as one:
        await one.bind((address, port))
        while True:
            data, peer = await one.recvfrom(65536)
            with suppress(OSError):
                await one.sendto(data, peer)


class PassedClients:
    """`offset` is added to the ports."""

    def __init__(self, offset: int, note: Callable[[str], None], wrong: Callable[[str], None]) -> None:
        self._offset, self._note, self._wrong = offset, note, wrong
        self._tls = client_tls()
        self.valid = (self._tcp, self._through, self._ended, self._udp)
        self.strange = (self._leaver, self._broken, self._hello, self._records, self._datagrams)

    async def _open(self, port: int) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", port + self._offset)

    # --- valid

    async def _tcp(self) -> None:
        await self._returned("TCP", await self._open(BYTES))

    async def _through(self) -> None:
        await self._secured("TLS passed on", THROUGH)

    async def _ended(self) -> None:
        await self._secured("TLS ended", HOST)

    async def _secured(self, kind: str, name: str) -> None:
        stream = trio.SSLStream(await self._open(NAMED), self._tls, server_hostname=name, https_compatible=True)
        await stream.do_handshake()
        await self._returned(kind, stream)

    async def _returned(self, kind: str, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]) -> None:
        content = b"c" + random.randbytes(random.choice((0, 1, 99, 5_000, 300_000)))
        found = b""

        async def send() -> None:
            step = random.choice((len(content), 70_000))
            for start in range(0, len(content), step):
                await stream.send_all(content[start : start + step])

        try:
            async with stream, trio.open_nursery() as nursery:
                nursery.start_soon(send)
                while len(found) < len(content):
                    data = await stream.receive_some(65536)
                    if not data:
                        break
                    found += data
                if isinstance(stream, trio.SocketStream):
                    await stream.send_eof()
                    found += await stream.receive_some(65536)
        except* (*ENDS, ssl.SSLError) as error:
            self._wrong(f"{kind}: {error.exceptions!r}")
        self._note(kind)
        if found != content:
            self._wrong(f"{kind}: {len(found)} of {len(content)} bytes came back")

    async def _udp(self) -> None:
        with trio.socket.socket(type=socket.SOCK_DGRAM) as one:
            for number in range(random.randrange(1, 20)):
                sent = b"%d" % number + random.randbytes(random.choice(SIZES[:-1]))
                await one.sendto(sent, ("127.0.0.1", BYTES + self._offset))
                with trio.move_on_after(0.5) as scope:
                    while (found := await one.recv(65536)) != sent:
                        if len(found) > 9_100:
                            self._wrong(f"UDP: {len(found)} bytes")
                self._note("datagrams lost" if scope.cancelled_caught else "datagrams returned")

    # --- strange

    async def _leaver(self) -> None:
        stream = await self._open(BYTES)
        await stream.send_all(random.randbytes(random.choice((1, 100, 300_000))))
        await trio.sleep(random.random() * 0.02)
        if random.random() < 0.5:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
        if random.random() < 0.3:
            await stream.socket.send(b"urgent", socket.MSG_OOB)
        await trio.aclose_forcefully(stream)
        self._note("leavers of TCP")

    async def _broken(self) -> None:
        """The backend resets the connection."""
        with suppress(trio.BrokenResourceError):
            async with await self._open(BYTES) as stream:
                await stream.send_all(b"!" * random.choice((1, 100_000)))
                while await stream.receive_some(65536):
                    pass
        self._note("resets by backends")

    def _said(self, name: str) -> tuple[Any, ssl.MemoryBIO, ssl.MemoryBIO]:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        peer = self._tls.wrap_bio(incoming, outgoing, server_hostname=name)
        with suppress(ssl.SSLWantReadError):
            peer.do_handshake()
        return peer, incoming, outgoing

    async def _hello(self) -> None:
        """A ClientHello that is changed, or that comes in pieces."""
        data = self._said(random.choice((THROUGH, HOST, "none.example.org")))[2].read()
        data = random.choice((mutated, mutated_records, bytes))(data)
        step = random.choice((1, 100, len(data) + 1))
        with trio.move_on_after(1.0):
            async with await self._open(NAMED) as stream:
                for start in range(0, len(data), step):
                    await stream.send_all(data[start : start + step])
                await stream.receive_some(65536)
        self._note("strange ClientHellos")

    async def _records(self) -> None:
        """Records that are changed on the way, in any flight."""
        peer, incoming, outgoing = self._said(random.choice((THROUGH, HOST)))
        with trio.move_on_after(1.0):
            async with await self._open(NAMED) as stream:
                for _ in range(4):
                    data = outgoing.read()
                    await stream.send_all(mutated_records(data) if data and random.random() < 0.4 else data)
                    incoming.write(await stream.receive_some(65536))
                    with suppress(ssl.SSLError):
                        peer.do_handshake()
                        peer.write(b"bytes")
        self._note("strange records")

    async def _datagrams(self) -> None:
        """Many flows, which send at once and leave."""
        for _ in range(random.randrange(1, 50)):
            with socket.socket(type=socket.SOCK_DGRAM) as one:
                one.setblocking(False)
                with suppress(OSError):
                    for _ in range(random.randrange(1, 8)):
                        one.sendto(random.randbytes(random.choice(SIZES)), ("127.0.0.1", BYTES + self._offset))
            await trio.lowlevel.checkpoint()
        self._note("bursts of datagrams")
