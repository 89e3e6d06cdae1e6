"""A client of HTTP/2 on one connection, by the library h2, for tests that script frames.

A task of `client` reads the connection. Each request is an `Ask`, which collects what arrives for it.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import cache
from ssl import SSLContext
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings
import trio
from certificates import trusting
from peer import PATIENCE, Peer
from rig import TRANSPORT, connect

Fields = Sequence[tuple[str, str]]
AUTHORITY = "a"


@cache
def agreeing(*protocols: str) -> SSLContext:
    return trusting(alpn=protocols or ("h2",))


def head(
    method: str = "GET", path: str = "/", fields: Fields = (), authority: str = AUTHORITY
) -> list[tuple[str, str]]:
    scheme = "http" if TRANSPORT.get() == "plain" else "https"
    return [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path), *fields]


class Ask:
    """One request and its answer."""

    def __init__(self, session: "Session", id: int) -> None:
        self.session = session
        self.id = id
        self.interim: list[int] = []
        self.fields: list[tuple[str, str]] = []
        self.body = b""
        self.trailers: list[tuple[str, str]] = []
        self.ended = False
        self.reset: int | None = None

    @property
    def status(self) -> int:
        return int(dict(self.fields).get(":status", 0))

    @property
    def over(self) -> bool:
        return self.ended or self.reset is not None or self.session.closed

    async def send(self, data: bytes, end: bool = False) -> None:
        """Sends content as the windows allow."""
        link = self.session.link
        while data:
            await self.session.until(lambda: link.local_flow_control_window(self.id) > 0 or self.over)
            if self.over:
                return
            size = min(len(data), link.local_flow_control_window(self.id), link.max_outbound_frame_size)
            link.send_data(self.id, data[:size], end_stream=end and size == len(data))
            data = data[size:]
            await self.session.flush()
            end = end and bool(data)
        if end:
            link.end_stream(self.id)
            await self.session.flush()

    async def finish(self, trailers: Fields) -> None:
        self.session.link.send_headers(self.id, trailers, end_stream=True)
        await self.session.flush()

    async def cancel(self, code: int = 8) -> None:
        self.session.link.reset_stream(self.id, code)
        await self.session.flush()

    async def answered(self) -> int:
        """Waits for the head of the final answer; its status, or 0 if the stream ended without one."""
        await self.session.until(lambda: self.status or self.over)
        return self.status

    async def response(self) -> tuple[int, dict[str, str], bytes]:
        await self.session.until(lambda: self.over)
        return self.status, dict(self.fields), self.body


class Session:
    """One connection."""

    def __init__(self, peer: Peer, credits: bool = True, deaf: bool = False) -> None:
        self.peer = peer
        self.before = b""  # sent before the preface
        self.credits = credits
        self.deaf = deaf
        config = h2.config.H2Configuration(
            header_encoding="utf-8",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
            validate_inbound_headers=True,
        )
        self.link = h2.connection.H2Connection(config)
        self.asks: dict[int, Ask] = {}
        self.news = trio.Event()
        self.sending = trio.Lock()
        self.closed = False
        self.goaways: list[tuple[int, int]] = []  # last stream and code of each GOAWAY
        self.settings: dict[int, int] = {}
        self.pongs = 0

    async def begin(self, settings: dict[Any, int] | None = None) -> None:
        if settings:
            values = {h2.settings.SettingCodes.ENABLE_PUSH: 0, **settings}
            self.link.local_settings = h2.settings.Settings(client=True, initial_values=values)
        self.link.initiate_connection()
        await self.flush()

    async def flush(self) -> None:
        async with self.sending:
            data, self.before = self.before + self.link.data_to_send(), b""
            if data and not self.closed:
                await self.peer.send(data)

    async def ask(
        self, method: str = "GET", path: str = "/", fields: Fields = (), body: bytes | None = None, end: bool = True
    ) -> Ask:
        """Begins a request; `body`: None: no content. `end`: no trailers or more content follow."""
        return await self.ask_with(head(method, path, fields), body, end)

    async def ask_with(self, fields: Fields, body: bytes | None = None, end: bool = True) -> Ask:
        ask = Ask(self, self.link.get_next_available_stream_id())
        self.asks[ask.id] = ask
        self.link.send_headers(ask.id, fields, end_stream=body is None and end)
        await self.flush()
        if body is not None:
            await ask.send(body, end)
        return ask

    async def raw(self, data: bytes) -> None:
        async with self.sending:
            await self.peer.send(data)

    async def until(self, holds: Callable[[], Any]) -> None:
        with trio.fail_after(PATIENCE):
            while not holds():
                await self.news.wait()

    def take(self, event: Any) -> None:
        ask = self.asks.get(getattr(event, "stream_id", 0) or 0)
        match event:
            case h2.events.ConnectionTerminated():
                self.goaways.append((event.last_stream_id, int(event.error_code)))
                if int(event.error_code) == 0:  # the library would send nothing more, not even on streams in progress
                    self.link.state_machine.state = h2.connection.ConnectionState.CLIENT_OPEN
            case h2.events.RemoteSettingsChanged():
                self.settings |= {int(name): one.new_value for name, one in event.changed_settings.items()}
            case h2.events.PingAckReceived():
                self.pongs += 1
            case _ if ask is None:
                pass
            case h2.events.InformationalResponseReceived():
                ask.interim.append(int(dict(event.headers)[":status"]))
            case h2.events.ResponseReceived():
                ask.fields = list(event.headers)
            case h2.events.DataReceived():
                ask.body += event.data
                if self.credits and event.flow_controlled_length:
                    self.link.acknowledge_received_data(event.flow_controlled_length, ask.id)
            case h2.events.TrailersReceived():
                ask.trailers = list(event.headers)
            case h2.events.StreamEnded():
                ask.ended = True
            case h2.events.StreamReset():
                ask.reset = int(event.error_code)

    async def read(self) -> None:
        while True:
            try:
                data = await self.peer.stream.receive_some(65536)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                data = b""
            if data:
                for event in self.link.receive_data(data):
                    self.take(event)
                if self.deaf:
                    self.link.clear_outbound_data_buffer()
                try:
                    await self.flush()
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    data = b""
            self.closed = not data
            self.news.set()
            self.news = trio.Event()
            if self.closed:
                return


@asynccontextmanager
async def client(
    port: int,
    *,
    name: str = "a",
    settings: dict[Any, int] | None = None,
    credits: bool = True,
    deaf: bool = False,
    context: SSLContext | None = None,
    before: bytes = b"",
) -> AsyncIterator[Session]:
    """`settings`: of h2.settings.SettingCodes. `credits`: whether windows open again as content is read. `deaf`: frames
    that the client receives have no answer, not even settings. `context`: of TLS, if not the usual one. `before`: sent
    with the preface, before it."""
    peer = await connect(port, name, context or (None if TRANSPORT.get() == "plain" else agreeing()))
    session = Session(peer, credits, deaf)
    session.before = before
    await session.begin(settings)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.read)
        try:
            yield session
        finally:
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):  # or its Cancelled would replace an exception of the test
                await peer.close()
