"""Serves an ASGI application on one address, with Hypercorn on trio. Its messages go to the log of fastroute."""

import errno
import logging
import os
import socket
from typing import Any

import hypercorn.trio
import trio
from hypercorn.config import Config

from fastroute.errors import SettingError

_log = logging.getLogger(__name__)
_GRACE = 1.0  # seconds that a request in flight gets when the endpoint closes


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


async def serve_endpoint(application: Any, one: socket.socket) -> None:
    """Serves until it is cancelled, and closes the socket."""
    config = Config()
    config.bind = [f"fd://{one.detach()}"]
    config.errorlog = _log
    _log.setLevel(logging.WARNING)  # Hypercorn's messages below WARNING are of no use here
    config.graceful_timeout = _GRACE
    config.include_server_header = False
    await hypercorn.trio.serve(application, config, shutdown_trigger=trio.sleep_forever)
