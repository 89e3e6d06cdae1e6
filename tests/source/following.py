"""Watches a folder, records each pass, and writes files into it."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import trio
import trio.testing
from resources.manifests import HTTP_ROUTE

from fastroute.resources.meta import Key
from fastroute.source.directory import Directory

FRUITS = Key("infra", "fruits")
PATIENCE = 60.0  # s until a test gives up waiting for something that takes milliseconds
QUIET = 0.1  # s without a pass after which no more is expected: several times GRACE and RETRY


def route(name: str = "fruits", port: int = 8080) -> str:
    return HTTP_ROUTE.replace("name: fruits", f"name: {name}").replace("8080", str(port))


def put(name: str, text: str, *, into: str | None = None) -> None:
    """Writes a file in the current folder and, if `into` is given, renames it to that."""
    Path(name).write_text(text)
    if into:
        Path(name).rename(into)


class Following:
    """A directory that is watched, and the passes it made."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.passes = 0
        self.states: list[dict[str, int]] = []  # `ports` after each pass
        self._passed = trio.Event()

    def note(self, noticed: float) -> None:
        assert noticed <= trio.current_time()
        self.passes += 1
        self.states.append(self.ports)
        self._passed.set()

    async def until(self, condition) -> None:
        """Waits until `condition` is true after a pass."""
        with trio.fail_after(PATIENCE):
            while not condition(self):
                self._passed = trio.Event()
                await self._passed.wait()

    @property
    def ports(self) -> dict[str, int]:
        """The backend port of each route."""
        routes = self.directory.store.snapshot().http_routes
        return {key.name: item.spec.rules[0].backend_refs[0].port for key, item in routes.items()}

    @property
    def said(self) -> list[str]:
        return [str(problem) for problem in self.directory.store.problems]


@contextlib.asynccontextmanager
async def follow(*paths: Path) -> AsyncIterator[Following]:
    directory = Directory(paths)
    directory.load()
    following = Following(directory)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(directory.watch, following.note)
        await trio.testing.wait_all_tasks_blocked()
        while directory._scanning:  # noqa: ASYNC110 (in a thread, if it takes long; no event reports it)
            await trio.sleep(0.001)
        yield following
        nursery.cancel_scope.cancel()
