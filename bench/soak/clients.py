"""The other clients: valid and mutated requests, TLS handshakes and PROXY headers, and clients that leave; a third of
the connections speak HTTP/2 (http2_clients.py), and another third is passed on unread (passed.py)."""

import contextlib
import random
import socket
import ssl
from collections import Counter

import trio

from bench.certificate import HOST, client_tls
from bench.soak.good import Stream
from bench.soak.http2_clients import Http2Clients
from bench.soak.mutation import (
    RIGHT,
    WRONG,
    mutated,
    mutated_records,
    mutated_request,
    preface,
    valid_request,
)
from bench.soak.passed import PassedClients
from bench.soak.sessions import ENDS

LINGER = b"\1\0\0\0\0\0\0\0"  # close with a reset


async def read_status(stream: trio.abc.ReceiveStream) -> int:
    """The final status of the first response; 0 if the connection ended without one."""
    data = b""
    while True:
        while b"\r\n\r\n" not in data:
            piece = await stream.receive_some(65536)
            if not piece:
                return 0
            data += piece
        head, _, data = data.partition(b"\r\n\r\n")
        status = int(head.split()[1])
        if status >= 200:
            return status


class Clients:
    """Concurrent clients; `counts` has their results, `wrong` the unexpected ones. `proxied`: added to the ports, it
    gives those that expect a PROXY header; `share`: of mutated traffic."""

    def __init__(self, port: int, secure_port: int, proxied: int, share: float) -> None:
        self.port, self.secure_port, self._proxied, self._share = port, secure_port, proxied, share
        self._tls = client_tls()
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._http2 = Http2Clients(port, secure_port, self._note, self.wrong.append)
        self._passed = PassedClients(port - 80, self._note, self.wrong.append)

    def _note(self, what: str) -> None:
        self.counts[what] += 1

    async def run(self, until: float, pause: float) -> None:
        """One client, which waits for `pause` seconds on average after each connection."""
        valid = (self._right, self._right, self._right, self._pipeline, self._leaver)
        strange = (self._mutant, self._mutant, self._mutated_response, self._scrambler, self._preface, self._preface)
        while trio.current_time() < until:
            kinds = ((valid, strange), *((each.valid, each.strange) for each in (self._http2, self._passed)))
            kind = random.choice(kinds)[random.random() < self._share]
            with trio.move_on_after(8) as scope:
                try:
                    await random.choice(kind)()
                except* ENDS:
                    self.counts["socket error"] += 1
            if scope.cancelled_caught:
                self.counts["gave up"] += 1
            await trio.sleep(random.uniform(0.5, 1.5) * pause)

    async def _open(self) -> Stream:
        """Opens a plain or a TLS connection, with equal probability."""
        if random.random() < 0.5:
            return await trio.open_tcp_stream("127.0.0.1", self.port)
        return await self._secured(await trio.open_tcp_stream("127.0.0.1", self.secure_port))

    async def _secured(self, stream: trio.SocketStream) -> Stream:
        secure = trio.SSLStream(stream, self._tls, server_hostname=HOST, https_compatible=True)
        await secure.do_handshake()
        self.counts["handshakes"] += 1
        return secure

    # --- valid

    async def _right(self) -> None:
        behaviour = random.choice(RIGHT)
        request = valid_request(behaviour)
        try:
            async with await self._open() as stream:
                await stream.send_all(request)
                status = await read_status(stream)
        except (OSError, trio.BrokenResourceError) as error:
            self.wrong.append(f"/{behaviour}: {error!r}")
            return
        self.counts[f"valid {status}"] += 1
        # If a backend closes a kept-alive connection, a request that must not be repeated gets a 502.
        if status != 200 and (status != 502 or request.startswith(b"GET ")):
            self.wrong.append(f"/{behaviour}: {status}")

    async def _pipeline(self) -> None:
        requests = [valid_request("wild/" + random.choice(RIGHT + WRONG)) for _ in range(random.randrange(2, 9))]
        with trio.move_on_after(1.0):
            async with await self._open() as stream:
                await stream.send_all(b"".join(requests))
                while await stream.receive_some(65536):
                    pass
        self.counts["pipelines"] += 1

    async def _leaver(self) -> None:
        stream = await self._open()
        data = valid_request("wild/" + random.choice(RIGHT + WRONG))
        await stream.send_all(data[: random.randrange(len(data) + 1)])
        await trio.sleep(random.random() * 0.02)
        if random.random() < 0.5:
            raw = stream if isinstance(stream, trio.SocketStream) else stream.transport_stream
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
        await trio.aclose_forcefully(stream)
        self.counts["leavers"] += 1

    # --- mutated

    async def _mutant(self) -> None:
        data = mutated_request("wild/" + random.choice(RIGHT + WRONG))
        step = random.choice((1, 7, 1000, len(data) + 1))
        with trio.move_on_after(1.0):
            async with await self._open() as stream:
                for start in range(0, min(len(data), 3000 if step == 1 else len(data)), step):
                    await stream.send_all(data[start : start + step])
                self.counts[f"mutated {await read_status(stream)}"] += 1

    async def _mutated_response(self) -> None:
        with trio.move_on_after(2.0):
            async with await self._open() as stream:
                await stream.send_all(valid_request("wild/mutated"))
                self.counts[f"mutated response {await read_status(stream)}"] += 1

    async def _scrambler(self) -> None:
        """A handshake or request whose records are changed or truncated on the way, in any of its flights."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        peer = self._tls.wrap_bio(incoming, outgoing, server_hostname=HOST)
        with trio.move_on_after(1.0):
            async with await trio.open_tcp_stream("127.0.0.1", self.secure_port) as stream:
                for _ in range(4):
                    with contextlib.suppress(ssl.SSLError):
                        peer.do_handshake()
                        peer.write(valid_request("wild/plain"))
                    data = outgoing.read()
                    await stream.send_all(mutated_records(data) if data and random.random() < 0.5 else data)
                    incoming.write(await stream.receive_some(65536))
        self.counts["scrambled handshakes"] += 1

    async def _preface(self) -> None:
        """A PROXY header, two of three of them mutated, and a request, over plain TCP or TLS."""
        right = random.random() < 1 / 3
        header = preface() if right else mutated(preface())
        secure = random.random() < 0.5
        port = self._proxied + (self.secure_port if secure else self.port)
        with trio.move_on_after(1.0):
            async with await trio.open_tcp_stream("127.0.0.1", port) as plain:
                step = random.choice((1, 5, len(header) + 1))
                for start in range(0, len(header), step):
                    await plain.send_all(header[start : start + step])
                stream = await self._secured(plain) if secure else plain
                await stream.send_all(valid_request("wild/plain"))
                self.counts[f"{'valid' if right else 'mutated'} preface {await read_status(stream)}"] += 1
