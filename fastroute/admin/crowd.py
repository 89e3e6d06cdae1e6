"""The open connections of an endpoint. At most MOST; above that, the client address with the most connections loses its
oldest one. So a client that opens many connections closes its own and not the one of a probe or of Prometheus."""

from typing import Protocol

MOST = 32


class Connection(Protocol):
    def drop(self) -> None: ...


class Crowd:
    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._by_client: dict[str, list[Connection]] = {}  # oldest first
        self._open = 0

    def __len__(self) -> int:
        return self._open

    def admit(self, stream: Connection, client: str) -> None:
        """Adds a connection. If there are too many then, closes one."""
        self._by_client.setdefault(client, []).append(stream)
        self._open += 1
        if self._open > self._most:
            self.shrink()

    def shrink(self) -> None:
        """Closes the oldest connection of the client with the most connections."""
        if self._by_client:
            client = max(self._by_client, key=lambda one: len(self._by_client[one]))
            oldest = self._by_client[client][0]
            self.leave(oldest, client)
            oldest.drop()

    def leave(self, stream: Connection, client: str) -> None:
        """The connection is closed. May be called more than once."""
        streams = self._by_client.get(client, [])
        if stream in streams:
            streams.remove(stream)
            self._open -= 1
            if not streams:
                del self._by_client[client]
