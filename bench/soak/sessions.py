"""Connections of HTTP/2, by the library h2 and by the client and the backend of the tests."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h2.exceptions
import trio

from bench.soak.frames import Fields

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "tests"))
from http2.client import Session  # type: ignore[import-not-found]  # from tests/
from http2.server import spoken  # type: ignore[import-not-found]  # from tests/
from peer import Peer  # type: ignore[import-not-found]  # from tests/

__all__ = ["ENDS", "Peer", "asked", "session", "spoken"]

ENDS = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, h2.exceptions.ProtocolError)  # of a connection


@asynccontextmanager
async def session(stream: Any) -> AsyncIterator[Any]:
    """A connection of HTTP/2 on a stream of trio, which it closes."""
    one = Session(Peer(stream))
    await one.begin()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.read)
        try:
            yield one
        finally:
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)


async def asked(one: Any, head: Fields, body: bytes | None = None) -> Any:
    """A request whose answer, or reset, has arrived. OSError: the connection ended before."""
    ask = await one.ask_with(head, body)
    await one.until(lambda: ask.over)
    if one.closed and not ask.ended:
        raise OSError("the connection ended before the answer")
    return ask
