"""A folder being followed, with its passes noted; what is put into it."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import trio
import trio.testing
from resources.manifests import HTTP_ROUTE

from fastroute.resources.meta import Key
from fastroute.source.directory import Directory

FRUITS = Key("infra", "fruits")
PATIENCE = 60.0  # s until a test gives up on something that takes milliseconds
QUIET = 0.1  # s without a pass that count as "nothing happens": several times GRACE and RETRY


def route(name: str = "fruits", port: int = 8080) -> str:
    return HTTP_ROUTE.replace("name: fruits", f"name: {name}").replace("8080", str(port))


def put(name: str, text: str, *, into: str | None = None) -> None:
    """Writes a file in the current folder; `into` another name by renaming, if given."""
    Path(name).write_text(text)
    if into:
        Path(name).rename(into)


class Following:
    """A directory being watched, and the passes it made."""

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
        """Waits until a state that passes left behind fulfils `condition`."""
        with trio.fail_after(PATIENCE):
            while not condition(self):
                self._passed = trio.Event()
                await self._passed.wait()

    @property
    def ports(self) -> dict[str, int]:
        """The backend's port of each route."""
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
        yield following
        nursery.cancel_scope.cancel()
