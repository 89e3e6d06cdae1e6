"""Serves an ASGI application on one address, with Hypercorn on trio. Its messages go to the log of fastroute.

What clients may cost is bounded: the number of connections (crowd.py), the rate of requests, the size and the duration
of a request head, and the time in which a client must read a response. Probes do not wait for requests of other clients
(probe.py).
"""

import contextlib
import errno
import logging
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
from fastroute.admin.probe import Site, response
from fastroute.admin.stream import READING, ClientStream, RateLimit
from fastroute.descriptors import Shortages, is_shortage
from fastroute.errors import SettingError

_log = logging.getLogger(__name__)
RATE = 100  # requests per second of one endpoint, without probes; further ones wait
HEAD = 16 * 1024  # bytes of a request head; beyond: 431, the connection closes
BACKLOG = 1024  # connections that wait to be accepted. The kernel ignores further ones, which try again after 1 s
QUIET = 5.0  # seconds without a complete request head after which a connection is closed
PAUSE = 0.1  # seconds after a failed accept
MOMENT = 0.001  # seconds between two searches for a connection that may close
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
        one.listen(BACKLOG)
    except OSError as error:
        one.close()
        taken = "is in use by another process: stop that one, or choose another address"
        why = taken if error.errno == errno.EADDRINUSE else os.strerror(error.errno or 0)
        raise SettingError(f"{option} {shown}: {why}") from error
    return one


class Endpoint:
    """One listening socket and its connections."""

    def __init__(self, site: Site, one: socket.socket, shortages: Shortages) -> None:
        self._site = site
        self._shortages = shortages
        self._socket = trio.socket.from_stdlib_socket(one)
        self._rate_limit = RateLimit(RATE)
        self._crowd = Crowd(site.connections)
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
                self._crowd.disperse()  # Hypercorn does not let a cancellation end a send

    async def _accept(self, nursery: trio.Nursery) -> None:
        try:
            accepted, address = await self._socket.accept()
        except OSError as error:
            await self._recover(error)
            return
        while self._crowd.full and not self._crowd.shrink():  # noqa: ASYNC110 (needs change without an event)
            await trio.sleep(MOMENT)
        stream = ClientStream(trio.SocketStream(accepted))
        self._crowd.admit(stream, address[0])
        nursery.start_soon(self._attend, stream, address[0])

    async def _attend(self, stream: ClientStream, client: str) -> None:
        try:
            with stream.scope:
                await self._answer(stream)
        except Exception:
            _log.exception("a connection of an operator ended with an error")
        finally:
            self._crowd.leave(stream, client)
            stream.drop()

    async def _answer(self, stream: ClientStream) -> None:
        """Answers a probe, or lets Hypercorn answer."""
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            with trio.fail_after(QUIET):
                probe = await stream.head(HEAD, self._site.probes)
            if probe is None:
                await self._serve(stream)
            else:
                await stream.send_all(response(*probe(), self._config.response_headers("h11")))
                await stream.send_eof()

    async def _serve(self, stream: ClientStream) -> None:
        application = wrap_app(partial(self._paced, stream), self._config.wsgi_max_body_size, "asgi")
        await TCPServer(application, self._config, self._context, ConnectionState({}), stream)  # type: ignore[arg-type]

    async def _recover(self, error: OSError) -> None:
        """Handles a failed accept: the connection ended early, or no descriptor is free. If none is free, closes a
        connection of this endpoint. Raises any other error."""
        if is_shortage(error):
            self._shortages.note("endpoint", "a connection for metrics, health or admin cannot be accepted", error)
            self._crowd.shrink(scrapes=False)
            await trio.sleep(PAUSE)
        elif error.errno not in TRANSIENT:
            raise error

    async def _paced(self, stream: ClientStream, scope: Any, receive: Any, send: Any) -> None:
        async def send_in_time(message: Any) -> None:
            with trio.move_on_after(READING) as limit:  # an HTTP/2 client may leave no window
                await send(message)
            if limit.cancelled_caught:
                stream.drop()

        with stream.request():
            limit = stream.rate_limit if scope.get("path") in self._site.probes else self._rate_limit
            if await stream.wait_rate(limit):
                await self._site.application(scope, receive, send_in_time)


async def serve_endpoint(site: Site, one: socket.socket, shortages: Shortages) -> None:
    """Serves until it is cancelled, and closes the socket."""
    _log.setLevel(logging.WARNING)  # Hypercorn's messages below WARNING are of no use here
    await Endpoint(site, one, shortages).serve()


async def serve_apart(site: Site, one: socket.socket, shortages: Shortages, name: str) -> None:
    """Serves in a separate thread with its own event loop, so that it answers while this loop is busy. If the thread
    fails, another one is started. Closes the socket in the end."""
    try:
        while True:
            try:
                await _serve_in_thread(site, one.dup(), shortages, name)
            except Exception:
                _log.exception("the thread that answers requests for %s failed; it is started again", name)
            await trio.sleep(RESTART)
    finally:
        one.close()


async def _serve_in_thread(site: Site, one: socket.socket, shortages: Shortages, name: str) -> None:
    scope = trio.CancelScope()
    tokens: list[trio.lowlevel.TrioToken] = []

    async def serve() -> None:
        tokens.append(trio.lowlevel.current_trio_token())
        with scope:
            await serve_endpoint(site, one, shortages)

    limiter = trio.CapacityLimiter(1)  # other tasks need the threads of the default limiter
    try:
        await trio.to_thread.run_sync(trio.run, serve, thread_name=name, limiter=limiter, abandon_on_cancel=True)
    finally:
        for token in tokens:
            with contextlib.suppress(trio.RunFinishedError):
                token.run_sync_soon(scope.cancel)
