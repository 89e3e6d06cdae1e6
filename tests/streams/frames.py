"""The other end of the framing of framing.pyx: a client or a backend with many streams on one connection.

`Frames` reads the connection in a task. Each of its streams is a `Channel`, which a test uses like any Peer.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import trio
from peer import PATIENCE, Peer
from rig import Script, connect

END, RESET, CREDIT, LEAVE = 1, 2, 4, 8
PAYLOAD = 16384
STREAM_WINDOW, CONNECTION_WINDOW = 32768, 131072
DONE, CANCELLED, BROKEN, REFUSED, VIOLATION = range(5)


def frame(id: int, flags: int, payload: bytes = b"") -> bytes:
    return id.to_bytes(4, "big") + bytes([flags]) + len(payload).to_bytes(3, "big") + payload


class ResetError(EOFError):
    """The other side has reset the stream."""

    def __init__(self, cause: int) -> None:
        super().__init__(f"reset with cause {cause}")
        self.cause = cause


class Channel(Peer):
    """One stream."""

    def __init__(self, frames: "Frames", id: int) -> None:
        self.frames = frames
        self.id = id
        self.buffer = b""  # read by a test, not used yet
        self.arrived = b""  # not read yet
        self.window = STREAM_WINDOW
        self.ended = False
        self.cause: int | None = None

    async def more(self) -> bool:
        """Reads what has arrived; the other side may send as many bytes more. False at the end of the stream."""
        await self.frames.until(lambda: self.arrived or self.ended or self.cause is not None)
        if not self.arrived:
            if self.cause is not None and not self.ended:
                raise ResetError(self.cause)
            return False
        size, self.buffer, self.arrived = len(self.arrived), self.buffer + self.arrived, b""
        with suppress(trio.BrokenResourceError):  # the other side has sent all, and closed the connection
            await self.frames.add(self.id, CREDIT, size.to_bytes(4, "big"))
            await self.frames.add(0, CREDIT, size.to_bytes(4, "big"))
        return True

    async def send(self, data: bytes) -> None:
        """Sends the content, as the windows allow."""
        frames = self.frames
        while data:
            await frames.until(lambda: (self.window > 0 and frames.window > 0) or self.cause is not None)
            if self.cause is not None:
                raise ResetError(self.cause)
            piece = data[: min(self.window, frames.window, PAYLOAD)]
            data = data[len(piece) :]
            self.window -= len(piece)
            frames.window -= len(piece)
            await frames.add(self.id, 0, piece)

    async def end_of_writing(self) -> None:
        await self.frames.add(self.id, END)

    async def reset(self, cause: int = CANCELLED) -> None:
        await self.frames.add(self.id, RESET, bytes([cause]))

    async def close(self) -> None:
        """The stream needs no close: it ends by its frames."""

    async def until_reset(self) -> int:
        """The cause of the reset that comes."""
        await self.frames.until(lambda: self.cause is not None)
        assert self.cause is not None
        return self.cause


class Frames:
    """A connection with streams."""

    def __init__(self, peer: Peer, accepting: Callable[[Channel], None] | None = None) -> None:
        self.peer = peer
        self.accepting = accepting  # a backend: called with each new stream
        self.channels: dict[int, Channel] = {}
        self.window = CONNECTION_WINDOW
        self.changed = trio.Event()
        self.writing = trio.Lock()
        self.last = 0
        self.left = False  # the other side opens or takes no more streams
        self.over = False  # the connection has ended

    async def read(self) -> None:
        """Reads frames until the connection ends."""
        peer = self.peer
        with suppress(EOFError, trio.BrokenResourceError, trio.ClosedResourceError):
            while True:
                if not peer.buffer and not await peer.more():
                    break
                head = await peer.exactly(8)
                self.take(int.from_bytes(head[:4], "big"), head[4], await peer.exactly(int.from_bytes(head[5:], "big")))
                self.notify()
        self.over = True
        self.notify()

    def take(self, id: int, flags: int, payload: bytes) -> None:
        if id == 0:
            self.left = self.left or flags == LEAVE
            self.window += int.from_bytes(payload, "big") if flags == CREDIT else 0
            return
        channel = self.channels.get(id)
        if channel is None:
            assert self.accepting is not None
            channel = self.channels[id] = Channel(self, id)
            self.accepting(channel)
        if flags == RESET:
            channel.cause = payload[0]
        elif flags == CREDIT:
            channel.window += int.from_bytes(payload, "big")
        else:
            channel.arrived += payload
            channel.ended = channel.ended or flags == END

    def notify(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    async def until(self, holds: Callable[[], Any]) -> None:
        """Waits until `holds()`. EOFError if the connection ends before that."""
        with trio.fail_after(PATIENCE):
            while not holds():
                if self.over:
                    raise EOFError
                await self.changed.wait()

    async def add(self, id: int, flags: int, payload: bytes = b"") -> None:
        async with self.writing:
            await self.peer.send(frame(id, flags, payload))

    def open(self) -> Channel:
        """A new stream, which the other side learns of by its first frame: those of later streams must follow it."""
        self.last += 1
        channel = self.channels[self.last] = Channel(self, self.last)
        return channel

    async def ask(self, request: bytes) -> Channel:
        """A new stream with a whole request."""
        channel = self.open()
        await channel.send(request)
        await channel.end_of_writing()
        return channel


@asynccontextmanager
async def client(port: int) -> AsyncIterator[Frames]:
    """A client's connection with streams."""
    frames = Frames(await connect(port))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(frames.read)
        try:
            yield frames
        finally:
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):  # Cancelled would replace the exception of a test
                await frames.peer.close()


def framed(script: Script, opened: list[Frames] | None = None) -> Script:
    """A script for a backend's connection: runs `script` on each stream, and adds the connection to `opened`."""

    async def serve(peer: Peer) -> None:
        async with trio.open_nursery() as nursery:

            async def one(channel: Channel) -> None:
                with suppress(EOFError, trio.BrokenResourceError, trio.ClosedResourceError):
                    await script(channel)

            frames = Frames(peer, lambda channel: nursery.start_soon(one, channel))
            if opened is not None:
                opened.append(frames)
            await frames.read()
            nursery.cancel_scope.cancel()

    return serve
