"""The admin address of a State that a test may replace, in a thread of its own."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import trio

from fastroute.admin.api import admin_app
from fastroute.admin.endpoint import bind_endpoint, serve_endpoint
from fastroute.admin.probe import Site
from fastroute.descriptors import Shortages
from fastroute.view.state import State

Change = Callable[[str, bytes], bytes]


class Shown:
    """What is served, and where."""

    def __init__(self, port: int, state: State | None) -> None:
        self.port, self.state = port, state

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"


def _as_it_is(path: str, body: bytes) -> bytes:
    return body


def _changing(site: Site, change: Change) -> Site:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        head: dict[str, Any] = {}

        async def forward(message: Any) -> None:
            if message["type"] == "http.response.start":
                head.update(message)
                return
            body = change(scope["path"], message["body"])
            fields = [one for one in head["headers"] if one[0] != b"content-length"]
            await send({**head, "headers": [*fields, (b"content-length", str(len(body)).encode())]})
            await send({**message, "body": body})

        await site.application(scope, receive, forward if scope["type"] == "http" else send)

    return Site(application, site.probes, site.connections)


@contextmanager
def showing(state: State | None, change: Change = _as_it_is) -> Iterator[Shown]:
    """`change`: the body of an answer, from the path and the body that the admin API would send."""
    one = bind_endpoint("127.0.0.1", 0, "--admin")
    shown = Shown(one.getsockname()[1], state)
    scope, begun = trio.CancelScope(), threading.Event()
    tokens: list[trio.lowlevel.TrioToken] = []

    async def serve() -> None:
        tokens.append(trio.lowlevel.current_trio_token())
        begun.set()
        with scope:
            site = _changing(admin_app(lambda: shown.state), change)
            await serve_endpoint(site, one, Shortages(lambda use: None))

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    begun.wait()
    try:
        yield shown
    finally:
        tokens[0].run_sync_soon(scope.cancel)
        thread.join()
