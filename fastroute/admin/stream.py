"""One connection of an endpoint: its first request, the rate of its requests, the time in which its client reads."""

import math
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

from fastroute.admin.crowd import Need
from fastroute.admin.probe import Probes, is_complete, probed

PROBES = 10  # requests for probes per second of one connection that Hypercorn answers; further ones wait
READING = 10.0  # seconds in which a client must read a response; then the connection is closed


class RateLimit:
    """Spreads requests over time: at most `rate` per second, in the order of their arrival. A request whose wait is
    cancelled does not delay others."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._next = -math.inf
        self._first = trio.StrictFIFOLock()  # held by the request that is next

    async def wait(self) -> None:
        async with self._first:
            mine = max(trio.current_time(), self._next)
            await trio.sleep_until(mine)
            self._next = mine + 1 / self._rate


class ClientStream(trio.abc.HalfCloseableStream):
    """A connection whose client must read responses within READING: Hypercorn has no time limit for sending. At most
    one request of it waits for the rate limit."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._waiting: trio.CancelScope | None = None
        self._ended = False
        self._head = b""  # bytes that were read before Hypercorn reads
        self._fresh = False  # bytes were read, and Hypercorn may not have called the application yet
        self._open = 0  # requests without a complete answer
        self._probing = False
        self.scope = trio.CancelScope()  # of the task of the connection
        self.rate_limit = RateLimit(PROBES)  # for the probes that Hypercorn answers
        self.socket = stream.socket

    @property
    def need(self) -> Need:
        if self._probing:
            return Need.PROBE
        if self._open or self._fresh:
            return Need.SCRAPE
        if self.socket.fileno() < 0:
            return Need.IDLE  # it is closed, and its task is about to end
        polled = select.poll()
        polled.register(self.socket, select.POLLIN)
        return Need.UNREAD if polled.poll(0) else Need.IDLE

    async def head(self, limit: int, probes: Probes) -> Callable[[], tuple[int, str]] | None:
        """Reads the head of the first request. Returns the probe that it asks for. If it is another request, Hypercorn
        gets the bytes that were read. trio.BrokenResourceError: the client left before."""
        data = bytearray()
        while not is_complete(data, limit):
            more = await self._stream.receive_some(limit)
            if not more:
                raise trio.BrokenResourceError("the client left")
            data += more
        probe = probed(data, probes)
        self._probing = probe is not None
        self._fresh = True
        self._head = bytes(data)
        return probe

    async def wait_rate(self, limit: RateLimit) -> bool:
        """Waits until the limit allows a request; False if the connection has ended.

        Only an HTTP/2 client can have several requests at a time, and any number of them if it resets earlier ones. If
        a second request of a connection would wait, the connection is closed.
        """
        if self._waiting is not None:
            self.drop()
        if self._ended:
            return False
        with trio.CancelScope() as self._waiting:
            await limit.wait()
        self._waiting = None
        return not self._ended

    @contextmanager
    def request(self) -> Iterator[None]:
        """Surrounds a request of Hypercorn, from its head to the end of its response."""
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1

    def drop(self) -> None:
        """Closes the connection. Tasks that use it get ClosedResourceError or are cancelled: Hypercorn shields sends,
        and waits without limit if an application does not read a body."""
        self._end()
        self.socket.close()
        self.scope.cancel()

    def _end(self) -> None:
        self._ended = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        with trio.move_on_after(READING):
            await self._stream.send_all(data)
            return
        raise trio.BrokenResourceError("the client does not read")

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        if self._head:
            data: bytes | bytearray = self._head
            self._head = b""
            return data
        await trio.lowlevel.checkpoint()  # lets the task run that Hypercorn has started for a request
        self._fresh = False
        data = b""
        try:
            data = await self._stream.receive_some(max_bytes)
            self._fresh = bool(data)
        finally:
            if not data:
                self._end()
        return data

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()
