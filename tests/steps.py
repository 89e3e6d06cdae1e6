"""An engine whose turns a test calls, and how much happens in one of them.

The clock is held, and advances by LOOK each time the engine reads it. So a turn of 2 ms has a few steps, and how much
happens in a turn shows how much a step does.
"""

import itertools
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from rig import PATIENCE, Rig, rule

from fastroute.settings import Limits

LOOK = 1e-3  # seconds
STEPS = 4  # of a turn


@contextmanager
def standing(limits: Limits | None = None, **options: Any) -> Iterator[tuple[Rig, ExitStack]]:
    """An engine whose turns the test calls, with a clock that stands still."""
    with ExitStack() as stack:
        rig = Rig(limits, **options)
        stack.callback(rig.close)
        rig.engine.hold_clock()
        rig.listen()
        rig.install(rule("b"))
        yield rig, stack


def turns_until(rig: Rig, holds: Callable[[], bool]) -> int:
    """Makes turns until `holds()` is true. Returns their number."""
    deadline = time.monotonic() + PATIENCE
    turns = 0
    while not holds():
        assert time.monotonic() < deadline
        rig.engine.turn()
        turns += 1
    return turns


def most_in_a_turn(rig: Rig, count: Callable[[], int], end: int) -> int:
    """Makes turns until `count()` is `end`. Returns by how much one turn changed it at most."""
    changes = [0]

    def reached() -> bool:
        changes.append(count())
        return changes[-1] == end

    changes[0] = count()
    turns_until(rig, reached)
    return max(abs(one - other) for one, other in itertools.pairwise(changes))


def settle(rig: Rig) -> None:
    """Makes turns until there is nothing to do."""
    idle = 0
    while idle < 3:
        idle = 0 if rig.engine.turn() or has_events(rig) else idle + 1


def has_events(rig: Rig) -> bool:
    """Whether there are events that no turn has fetched yet."""
    return is_readable(rig.engine.fileno())


def client(rig: Rig, stack: ExitStack, data: bytes = b"", port: int = 0) -> socket.socket:
    one = stack.enter_context(socket.create_connection(("127.0.0.1", port or rig.port), PATIENCE))
    one.sendall(data)
    return one


def is_readable(fd: int) -> bool:
    """Now. `select` would fail for a descriptor above 1,023: other tests of the process may hold many."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))
