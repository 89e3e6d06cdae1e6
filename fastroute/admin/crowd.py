"""The open connections of an endpoint, and which one closes if there are too many.

A connection with an unanswered probe is never closed. If all have one, the next connection waits until one of the
probes is answered. Connections without an unanswered request close first, then those with an unanswered scrape. Among
these, the oldest one of the client address with the most connections closes. So a client that opens many connections
closes its own ones. Addresses with up to FEW connections count as equal, because the kubelet and Prometheus may have
more than one.
"""

from collections.abc import Iterator
from enum import IntEnum
from itertools import count
from typing import Protocol

FEW = 4


class Need(IntEnum):
    """What a connection is needed for. Those with lower values close first."""

    IDLE = 0  # no unanswered request, and no bytes that were not read yet
    UNREAD = 1  # the kernel has bytes for it, perhaps a request; they are read in the next pass of the event loop
    SCRAPE = 2  # an unanswered request for /metrics, or another one that Hypercorn answers
    PROBE = 3  # an unanswered probe


class Connection(Protocol):
    def drop(self) -> None: ...

    @property
    def need(self) -> Need: ...


class Crowd:
    def __init__(self, most: int) -> None:
        self._most = most
        self._by_client: dict[str, dict[Connection, int]] = {}  # oldest first, with a number that grows
        self._numbers = count()
        self._open = 0
        self._newest: Connection | None = None  # counts as UNREAD: its client had no time to send a request

    def __len__(self) -> int:
        return self._open

    @property
    def full(self) -> bool:
        return self._open >= self._most

    def admit(self, stream: Connection, client: str) -> None:
        self._by_client.setdefault(client, {})[stream] = next(self._numbers)
        self._open += 1
        self._newest = stream

    def shrink(self, *, scrapes: bool = True) -> bool:
        """Closes the least needed connection. False if none may be closed now. `scrapes`: whether it may close one with
        an unanswered scrape."""
        for least in (Need.IDLE, Need.SCRAPE) if scrapes else (Need.IDLE,):
            for client, stream in self._by_size():
                need = Need.UNREAD if stream is self._newest and stream.need is Need.IDLE else stream.need
                if need is least:
                    self.leave(stream, client)
                    stream.drop()
                    return True
        return False

    def _by_size(self) -> Iterator[tuple[str, Connection]]:
        """All connections: those of the client with the most first, and among equal clients the oldest first."""
        found = [
            (-max(len(streams), FEW), number, client, stream)
            for client, streams in self._by_client.items()
            for stream, number in streams.items()
        ]
        found.sort(key=lambda one: one[:2])
        return ((client, stream) for _, _, client, stream in found)

    def disperse(self) -> None:
        """Closes all connections."""
        for client, stream in list(self._by_size()):
            self.leave(stream, client)
            stream.drop()

    def leave(self, stream: Connection, client: str) -> None:
        """The connection is closed. May be called more than once."""
        streams = self._by_client.get(client, {})
        if streams.pop(stream, None) is not None:
            self._open -= 1
            if stream is self._newest:
                self._newest = None
            if not streams:
                del self._by_client[client]
