"""A backend of HTTP/2, by the library h2, for tests that script it like one of HTTP/1.1.

`spoken(script)` is the script of a connection. It runs `script` on each stream, as a `Channel`: what arrives is read as
a request of HTTP/1.1, and answers of HTTP/1.1 that are sent become frames. So one script serves both protocols.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import trio
from peer import PATIENCE, Peer
from rig import Script

Fields = Sequence[tuple[str, str]]
REFUSED, CANCEL = 7, 8  # codes of RST_STREAM
HOP = ("connection", "keep-alive", "transfer-encoding", "upgrade")


class ResetError(EOFError):
    """The other side has reset the stream."""

    def __init__(self, cause: int) -> None:
        super().__init__(f"reset with code {cause}")


class Channel(Peer):
    """One stream: a request of HTTP/1.1, in chunks if its length is not known, and the answer to it."""

    def __init__(self, link: "Link", id: int, fields: Fields) -> None:
        self.link = link
        self.id = id
        self.buffer = b""
        self.fields = list(fields)
        self.trailers: Fields = ()
        self.ended = False
        self.cause: int | None = None
        self.awaits = True  # the head of an answer is sent next
        self.left = 0  # bytes of the answer that its Content-Length still promises; -1: in chunks; -2: until it ends
        self.unsent = b""  # what was sent and is no whole head or chunk yet
        self.arrived = b"\r\n".join(self.lines()) + b"\r\n\r\n"

    def lines(self) -> list[bytes]:
        pseudo = dict(self.fields[:4])
        lines = [f"{pseudo[':method']} {pseudo[':path']} HTTP/1.1", f"Host: {pseudo.get(':authority', '')}"]
        lines += [f"{name.title()}: {value}" for name, value in self.fields if name[0] != ":"]
        return [line.encode() for line in lines]

    @property
    def chunked(self) -> bool:
        return not any(name == "content-length" for name, _ in self.fields)

    def begin(self, ends: bool) -> None:
        if self.chunked and not ends:
            self.arrived = self.arrived[:-2] + b"Transfer-Encoding: chunked\r\n\r\n"

    def add(self, data: bytes) -> None:
        if data:
            self.arrived += b"%x\r\n%s\r\n" % (len(data), data) if self.chunked else data

    def end(self) -> None:
        self.ended = True
        if self.chunked:
            lines = [f"{name}: {value}\r\n".encode() for name, value in self.trailers]
            self.arrived += b"0\r\n" + b"".join(lines) + b"\r\n"

    async def more(self) -> bool:
        await self.link.until(lambda: self.arrived or self.ended or self.cause is not None)
        if not self.arrived:
            if self.cause is not None and not self.ended:
                raise ResetError(self.cause)
            return False
        self.buffer, self.arrived = self.buffer + self.arrived, b""
        await self.link.credit(self)
        return True

    # --- the answer

    async def send(self, data: bytes) -> None:
        self.unsent += data
        while await self.send_next():
            pass

    async def send_next(self) -> bool:
        """Sends the next part of what was written. False: nothing more is complete."""
        if self.awaits:
            head, mark, rest = self.unsent.partition(b"\r\n\r\n")
            if not mark:
                return False
            self.unsent = rest
            await self.send_head(head.decode("latin-1"))
            return True
        if self.left == -1:
            return await self.send_chunk()
        data = self.unsent if self.left < 0 else self.unsent[: self.left]
        self.unsent = self.unsent[len(data) :]
        self.left -= len(data) if self.left > 0 else 0
        if data:
            await self.content(data, end=self.left == 0)
        return False

    async def send_head(self, head: str) -> None:
        start, *lines = head.split("\r\n")
        status = start.split(" ")[1]
        pairs = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        fields = [(":status", status), *(pair for pair in pairs if pair[0] not in HOP)]
        if status[0] == "1":
            await self.answer(fields)
            return
        self.awaits = False
        said = dict(pairs)
        self.left = int(said.get("content-length", -2))
        if "transfer-encoding" in said:
            self.left = -1
        bodiless = status in ("204", "304") or dict(self.fields)[":method"] == "HEAD"
        if bodiless:
            self.left = 0
        await self.answer(fields, end=self.left == 0)

    async def send_chunk(self) -> bool:
        size, mark, rest = self.unsent.partition(b"\r\n")
        if not mark:
            return False
        length = int(size.split(b";")[0], 16)
        if length == 0:
            if not rest.endswith(b"\r\n"):
                return False
            self.unsent, self.left = b"", 0
            lines = [line.decode().lower().partition(": ") for line in rest.split(b"\r\n") if line]
            fields = [(name, value) for name, _, value in lines]
            await (self.finish(fields) if fields else self.content(b"", end=True))
            return False
        if len(rest) < length + 2:
            return False
        self.unsent = rest[length + 2 :]
        await self.content(rest[:length])
        return True

    # --- frames

    async def answer(self, fields: Fields, end: bool = False) -> None:
        self.link.h2.send_headers(self.id, fields, end_stream=end)
        await self.link.flush()

    async def content(self, data: bytes, end: bool = False) -> None:
        """Sends content as the windows allow."""
        wire = self.link.h2
        while data:
            await self.link.until(lambda: self.cause is not None or wire.local_flow_control_window(self.id) > 0)
            if self.cause is not None:
                raise ResetError(self.cause)
            size = min(len(data), wire.local_flow_control_window(self.id), wire.max_outbound_frame_size)
            wire.send_data(self.id, data[:size], end_stream=end and size == len(data))
            data = data[size:]
            await self.link.flush()
            end = end and bool(data)
        if end:
            wire.end_stream(self.id)
            await self.link.flush()

    async def finish(self, trailers: Fields) -> None:
        self.link.h2.send_headers(self.id, trailers, end_stream=True)
        await self.link.flush()

    async def end_of_writing(self) -> None:
        self.link.h2.end_stream(self.id)
        await self.link.flush()

    async def reset(self, cause: int = CANCEL) -> None:
        self.link.h2.reset_stream(self.id, cause)
        await self.link.flush()

    async def close(self) -> None:
        """Ends an answer whose length was not stated."""
        if not self.awaits and self.left == -2 and self.cause is None:
            with suppress(h2.exceptions.ProtocolError, trio.BrokenResourceError, trio.ClosedResourceError):
                await self.end_of_writing()

    async def until_reset(self) -> int:
        await self.link.until(lambda: self.cause is not None)
        assert self.cause is not None
        return self.cause


class Link:
    """One connection."""

    def __init__(self, peer: Peer, accepting: Callable[[Channel], None], credits: bool = True) -> None:
        config = h2.config.H2Configuration(
            client_side=False,
            header_encoding="utf-8",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.peer = peer
        self.accepting = accepting
        self.credits = credits  # whether windows open again as content is read
        self.h2 = h2.connection.H2Connection(config)
        self.channels: dict[int, Channel] = {}
        self.changed = trio.Event()
        self.writing = trio.Lock()
        self.owed: dict[int, int] = {}  # bytes of content that were not read yet, by stream
        self.goaways: list[tuple[int, int]] = []  # last stream and code of each GOAWAY
        self.settings: dict[int, int] = {}
        self.pings = 0
        self.over = False

    async def begin(self, settings: dict[Any, int] | None = None) -> None:
        if settings:
            self.h2.local_settings = h2.settings.Settings(client=False, initial_values=settings)
        self.h2.initiate_connection()
        await self.flush()

    async def flush(self) -> None:
        async with self.writing:
            data = self.h2.data_to_send()
            if data:
                await self.peer.send(data)

    async def raw(self, data: bytes) -> None:
        async with self.writing:
            await self.peer.send(data)

    async def leave(self, last: int, code: int = 0) -> None:
        """GOAWAY: streams above `last` are not processed."""
        payload = last.to_bytes(4, "big") + code.to_bytes(4, "big")
        await self.raw(len(payload).to_bytes(3, "big") + b"\x07\0\0\0\0\0" + payload)

    async def credit(self, channel: Channel) -> None:
        size = self.owed.pop(channel.id, 0)
        if size and self.credits:
            with suppress(h2.exceptions.ProtocolError):
                self.h2.acknowledge_received_data(size, channel.id)
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self.flush()

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

    def take(self, event: Any) -> None:
        id: int = getattr(event, "stream_id", 0) or 0
        match event:
            case h2.events.RequestReceived():
                channel = self.channels[id] = Channel(self, id, list(event.headers))
                channel.begin(event.stream_ended is not None)
                self.accepting(channel)
            case h2.events.DataReceived():
                self.owed[id] = self.owed.get(id, 0) + event.flow_controlled_length
                self.channels[id].add(event.data)
            case h2.events.TrailersReceived():
                self.channels[id].trailers = list(event.headers)
            case h2.events.StreamEnded():
                self.channels[id].end()
            case h2.events.StreamReset():
                self.channels[id].cause = int(event.error_code)
            case h2.events.ConnectionTerminated():
                self.goaways.append((event.last_stream_id, int(event.error_code)))
                if int(event.error_code) == 0:  # the library would send nothing more
                    self.h2.state_machine.state = h2.connection.ConnectionState.SERVER_OPEN
            case h2.events.RemoteSettingsChanged():
                self.settings |= {int(name): one.new_value for name, one in event.changed_settings.items()}
            case h2.events.PingReceived():
                self.pings += 1

    async def read(self) -> None:
        with suppress(EOFError, trio.BrokenResourceError, trio.ClosedResourceError):
            while self.peer.buffer or await self.peer.more():
                data, self.peer.buffer = self.peer.buffer, b""
                for event in self.h2.receive_data(data):
                    self.take(event)
                await self.flush()
                self.notify()
        self.over = True
        self.notify()


def spoken(
    script: Script,
    opened: list[Link] | None = None,
    *,
    settings: dict[Any, int] | None = None,
    credits: bool = True,
) -> Script:
    """A script for the connection of a backend: runs `script` on each stream, and adds the connection to `opened`."""

    async def serve(peer: Peer) -> None:
        async with trio.open_nursery() as nursery:

            async def one(channel: Channel) -> None:
                with suppress(
                    EOFError, trio.BrokenResourceError, trio.ClosedResourceError, h2.exceptions.ProtocolError
                ):
                    await script(channel)
                    await channel.close()

            link = Link(peer, lambda channel: nursery.start_soon(one, channel), credits)
            if opened is not None:
                opened.append(link)
            await link.begin(settings)
            await link.read()
            nursery.cancel_scope.cancel()

    return serve
