"""Serves an ASGI application on one address, with Hypercorn on trio. Its messages go to the log of fastroute.

What clients may cost is bounded: the number of connections (crowd.py), the rate of requests, the size and the duration
of a request head, and the time in which a client must read a response.
"""

import errno
import logging
import math
import os
import socket
from functools import partial
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from hypercorn.utils import wrap_app

from fastroute.admin.crowd import Crowd
from fastroute.descriptors import Shortages, is_shortage
from fastroute.errors import SettingError

_log = logging.getLogger(__name__)
RATE = 100  # requests per second of one endpoint; further ones wait
HEAD = 16 * 1024  # bytes of a request head; beyond: 431, the connection closes
QUIET = 5.0  # seconds without a complete request head after which a connection is closed
READING = 10.0  # seconds in which a client must read a response; then the connection is closed
PAUSE = 0.1  # seconds after a failed accept
RESTART = 1.0  # seconds from the failure of a thread until the next one is started
TRANSIENT = frozenset(  # errors of accept(2) that concern one connection
    (
        *(errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.ENOPROTOOPT, errno.EOPNOTSUPP),
        *(errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENONET),
    )
)


def bind_endpoint(host: str, port: int, option: str) -> socket.socket:
    """A listening socket. "::" accepts IPv4 too, and only IPv4 if the kernel has no IPv6. Raises SettingError, which
    names `option`."""
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        info = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = info[0]
        one = socket.socket(family, kind, protocol)
    except OSError as error:
        if host == "::" and error.errno == errno.EAFNOSUPPORT:
            return bind_endpoint("0.0.0.0", port, option)  # noqa: S104 (all addresses were requested)
        raise SettingError(f"{option} {shown}: {error.strerror}") from error
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        one.bind(address)
        one.listen(128)
    except OSError as error:
        one.close()
        taken = "is in use by another process: stop that one, or choose another address"
        why = taken if error.errno == errno.EADDRINUSE else os.strerror(error.errno or 0)
        raise SettingError(f"{option} {shown}: {why}") from error
    return one


class Turns:
    """Spreads requests over time: at most RATE per second, in the order of their arrival. A request that does not wait
    any more delays no other one."""

    def __init__(self) -> None:
        self._next = -math.inf
        self._first = trio.StrictFIFOLock()  # held by the request that is next

    async def wait(self) -> None:
        async with self._first:
            mine = max(trio.current_time(), self._next)
            await trio.sleep_until(mine)
            self._next = mine + 1 / RATE


class _Stream(trio.abc.HalfCloseableStream):
    """A connection whose client must read responses within READING: Hypercorn has no time limit for sending. At most
    one request of it waits for its turn."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._waiting: trio.CancelScope | None = None
        self._ended = False
        self.socket = stream.socket

    async def turn(self, turns: Turns) -> bool:
        """Waits for the turn of a request; False if the connection has ended.

        Only HTTP/2 has several requests at a time, any number of them if the client resets those that it sent. Such a
        connection is closed.
        """
        if self._waiting is not None:
            self.drop()
        if self._ended:
            return False
        with trio.CancelScope() as self._waiting:
            await turns.wait()
        self._waiting = None
        return not self._ended

    def drop(self) -> None:
        """Closes the connection. Tasks that use it get ClosedResourceError."""
        self._end()
        self.socket.close()

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
        data: bytes | bytearray = b""
        try:
            data = await self._stream.receive_some(max_bytes)
        finally:
            if not data:
                self._end()
        return data

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()


class Endpoint:
    """One listening socket and its connections."""

    def __init__(self, application: Any, one: socket.socket, shortages: Shortages) -> None:
        self._application = application
        self._shortages = shortages
        self._socket = trio.socket.from_stdlib_socket(one)
        self._turns = Turns()
        self._crowd = Crowd()
        self._context = WorkerContext(None)
        self._config = Config()
        self._config.errorlog = _log
        self._config.h11_max_incomplete_size = HEAD
        self._config.keep_alive_timeout = QUIET
        self._config.include_server_header = False

    async def serve(self) -> None:
        """Serves until it is cancelled, and closes the socket."""
        async with trio.open_nursery() as nursery:
            try:
                while True:
                    await self._accept(nursery)
            finally:
                self._socket.close()
                while self._crowd:  # Hypercorn does not let a cancellation end a send
                    self._crowd.shrink()

    async def _accept(self, nursery: trio.Nursery) -> None:
        try:
            accepted, address = await self._socket.accept()
        except OSError as error:
            await self._recover(error)
            return
        stream = _Stream(trio.SocketStream(accepted))
        self._crowd.admit(stream, address[0])
        nursery.start_soon(self._attend, stream, address[0])

    async def _attend(self, stream: _Stream, client: str) -> None:
        application = wrap_app(partial(self._paced, stream), self._config.wsgi_max_body_size, "asgi")
        try:
            await TCPServer(application, self._config, self._context, ConnectionState({}), stream)  # type: ignore[arg-type]
        except Exception:
            _log.exception("a connection for metrics or health ended with an error")
        finally:
            self._crowd.leave(stream, client)
            stream.drop()

    async def _recover(self, error: OSError) -> None:
        """Handles a failed accept: the connection ended early, or no descriptor is free. If none is free, closes a
        connection of this endpoint. Raises any other error."""
        if is_shortage(error):
            self._shortages.note("endpoint", "a connection for metrics or health cannot be accepted", error)
            self._crowd.shrink()
            await trio.sleep(PAUSE)
        elif error.errno not in TRANSIENT:
            raise error

    async def _paced(self, stream: _Stream, scope: Any, receive: Any, send: Any) -> None:
        if await stream.turn(self._turns):
            await self._application(scope, receive, send)


async def serve_endpoint(application: Any, one: socket.socket, shortages: Shortages) -> None:
    """Serves until it is cancelled, and closes the socket."""
    _log.setLevel(logging.WARNING)  # Hypercorn's messages below WARNING are of no use here
    await Endpoint(application, one, shortages).serve()


async def serve_apart(application: Any, one: socket.socket, shortages: Shortages, name: str) -> None:
    """Serves in a separate thread with its own event loop, so that it answers while this loop is busy. If the thread
    fails, another one is started. Closes the socket in the end."""
    try:
        while True:
            try:
                await _serve_in_thread(application, one.dup(), shortages, name)
            except Exception:
                _log.exception("the thread that answers requests for %s failed; it is started again", name)
            await trio.sleep(RESTART)
    finally:
        one.close()


async def _serve_in_thread(application: Any, one: socket.socket, shortages: Shortages, name: str) -> None:
    scope = trio.CancelScope()
    tokens: list[trio.lowlevel.TrioToken] = []

    async def serve() -> None:
        tokens.append(trio.lowlevel.current_trio_token())
        with scope:
            await serve_endpoint(application, one, shortages)

    limiter = trio.CapacityLimiter(1)  # other tasks need the threads of the default limiter
    try:
        await trio.to_thread.run_sync(trio.run, serve, thread_name=name, limiter=limiter, abandon_on_cancel=True)
    finally:
        for token in tokens:
            token.run_sync_soon(scope.cancel)
