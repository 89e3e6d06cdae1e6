"""When a worker is replaced because its installation does not end, although it reports progress.

Such a worker still serves the version before. So only one worker at a time is killed: if its successor does not finish
either, the others continue to serve.
"""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from fastroute.supervisor.process import Worker

INSTALLATION = 300.0  # seconds

_log = logging.getLogger(__name__)


@asynccontextmanager
async def replaced_when_endless(
    worker: Worker, version: int, all_serve: Callable[[], bool], changed: Callable[[], trio.Event]
) -> AsyncIterator[None]:
    """A context for code that waits for an installation. `changed`: the event after which `all_serve` or `worker` may
    have changed."""
    with trio.move_on_after(INSTALLATION) as limit:
        yield
    if not limit.cancelled_caught:
        return
    while worker.owed is not None and worker.serving and not all_serve():
        await changed().wait()
    if worker.owed is not None:
        what = "worker %d has been installing version %d for %g s: replacing it"
        _log.error(what, worker.slot, version, INSTALLATION)
        worker.kill()
