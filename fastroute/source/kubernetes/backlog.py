"""Backlog: the notices of a watch that have arrived and are not processed yet. The namespaces take turns.

A stream contains the changes of all namespaces in the order in which they were made. The order matters only within an
object. So a change of one namespace does not wait for thousands of earlier changes of another namespace. A newer notice
about an object replaces the one that waits, at the same position.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from fastroute.fairness import FairQueue


class Notice(NamedTuple):
    """One message of the API server. `content`: the object, as JSON."""

    what: str  # Begun, Listed, Complete, Put, Gone
    content: msgspec.Raw = msgspec.Raw()
    namespace: bytes = b""  # as in `content`
    name: bytes = b""
    since: float = 0.0  # when it arrived, on trio's clock


class Backlog:
    """`size`: the bytes of the objects in it."""

    def __init__(self) -> None:
        self.size = 0
        self._notices: dict[tuple[bytes, bytes], Notice] = {}
        self._queue = FairQueue[tuple[bytes, bytes], bytes](lambda object_: object_[0])

    def __len__(self) -> int:
        return len(self._notices)

    def add(self, notices: Iterable[Notice]) -> None:
        for notice in notices:
            object_ = notice.namespace, notice.name
            if (before := self._notices.get(object_)) is not None:
                notice = notice._replace(since=before.since)
                self.size -= _size(before)
            self.size += _size(notice)
            self._notices[object_] = notice
            self._queue.add(object_)

    def take(self, most: int, room: int) -> list[Notice]:
        """Removes and returns the next notices: at most `most`, and no more once they have `room` bytes in all."""
        taken: list[Notice] = []
        while len(taken) < most and room > 0 and (object_ := self._queue.take()) is not None:
            taken.append(self._notices.pop(object_))
            size = _size(taken[-1])
            room -= size
            self.size -= size
        return taken


def _size(notice: Notice) -> int:
    return memoryview(notice.content).nbytes
