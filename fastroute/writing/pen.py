"""Pen: the leader's write requests. Each checks immediately before that this process still leads.

Leadership also ends by time (lease.py). A process that was suspended, or whose event loop was busy for longer than the
Lease is valid, may have writes due before it notices that another replica holds the Lease; they must not be made. Any
replica may read.
"""

from typing import Any, Protocol

from fastroute.apiserver.client import ApiError, Client


class Holder(Protocol):
    @property
    def holds(self) -> bool:
        """Whether this process may write now."""


class Pen:
    """The requests of a Client, as far as `holder` permits them."""

    def __init__(self, client: Client, holder: Holder) -> None:
        self._client, self._holder = client, holder

    async def request(self, method: str, path: str, body: bytes | Any = None, **more: Any) -> bytes:
        """Like Client.request. Raises ApiError, with status 0 if this process does not lead any more."""
        if method != "GET" and not self._holder.holds:
            raise ApiError(0, "NotLeading", f"{method} {path}: this replica does not hold the Lease any more")
        return await self._client.request(method, path, body, **more)
