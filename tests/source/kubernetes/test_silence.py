"""A watch that receives nothing: when it asks for the version of the API server, on a clock that the tests control."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, cast

import pytest
import trio
import trio.testing
from prometheus_client import CollectorRegistry

from fastroute.apiserver.client import ApiError, Client, Line
from fastroute.apiserver.contact import Contact
from fastroute.metrics import Metrics
from fastroute.source.kubernetes.watch import DEAF, INITIAL_END, Watch

END = f'{{"metadata":{{"resourceVersion":"7","annotations":{{"{INITIAL_END}":"true"}}}}}}'
BOOKMARK = '{"metadata":{"resourceVersion":"7"}}'


class Server:
    """What a Watch uses of a Client. The only object of a stream is a bookmark, after `interval` seconds."""

    def __init__(self, interval: float = math.inf, *, life: float = math.inf, refuses: bool = False) -> None:
        self.interval, self.life, self.refuses = interval, life, refuses
        self.asked: list[float] = []  # when the version was asked for
        self.listings = 0

    async def request(self, *_: Any, **__: Any) -> bytes:
        await trio.lowlevel.checkpoint()
        self.asked.append(trio.current_time())
        if self.refuses:
            raise ApiError(500, "Unavailable", "on demand")
        return BOOKMARK.encode()

    @contextmanager
    def stream(self, path: str, query: Mapping[str, str], accept: str) -> Iterator["Stream"]:
        is_listing = "sendInitialEvents" in query
        self.listings += is_listing
        yield Stream(self, [END] if is_listing else [])


class Stream:
    def __init__(self, server: Server, waiting: list[str]) -> None:
        self._server, self._waiting = server, waiting

    async def opened(self) -> None:
        await trio.lowlevel.checkpoint()

    async def lines(self) -> list[Line]:
        if not self._waiting:
            with trio.move_on_after(self._server.life) as life:
                await trio.sleep(self._server.interval)
            if life.cancelled_caught:
                raise ApiError(0, "Unreached", "the connection broke")
            self._waiting.append(BOOKMARK)
        event = f'{{"type":"BOOKMARK","object":{self._waiting.pop()}}}'
        return [Line(event.encode(), trio.current_time())]

    def lines_nowait(self) -> list[Line]:
        return []


async def watching(server: Server, seconds: float) -> None:
    metrics = Metrics(CollectorRegistry())
    one = Watch(cast(Client, server), Contact("https://api", metrics), "HTTPRoute", "/apis/httproutes")
    with trio.move_on_after(seconds):
        await one.run(lambda notices: None, lambda error: None)


@pytest.mark.parametrize(
    ("server", "pauses"),
    [
        pytest.param(Server(DEAF - 1), [], id="bookmarks"),
        pytest.param(Server(), [DEAF] * 10, id="silence"),
        pytest.param(Server(life=DEAF / 4 + 1), [DEAF] * 10, id="silence in several streams"),
        pytest.param(Server(refuses=True), [DEAF, *[DEAF / 2] * 18], id="refused"),
    ],
)
async def test_the_version_is_asked_for_after_a_silence(
    autojump_clock: trio.testing.MockClock, server: Server, pauses: list[float]
) -> None:
    """Everything is listed only once. Between two streams, the watch waits for up to 5 s."""
    begin = trio.current_time()
    await watching(server, 11 * DEAF)
    times = [begin, *server.asked]
    found = [later - earlier for earlier, later in pairwise(times)]
    assert server.listings == 1
    assert len(pauses) - 2 <= len(found) <= len(pauses) + 1
    for pause, expected in zip(found, pauses, strict=False):
        assert expected <= pause < expected + 25
