"""Pen: what the leader writes with. It asks just before each request whether we still lead.

To lead is also a matter of time (lease.py). A process that stood still, or a loop that was busy for longer than our
Lease is good, finds writes that were due before it finds out that the Lease is another's; those must not be made.
Reading is everybody's.
"""

from typing import Any, Protocol

from fastroute.source.kubernetes.client import ApiError, Client


class Holder(Protocol):
    @property
    def holds(self) -> bool:
        """Whether to write is ours, now."""


class Pen:
    """A Client's requests, as far as `holder` may make them."""

    def __init__(self, client: Client, holder: Holder) -> None:
        self._client, self._holder = client, holder

    async def request(self, method: str, path: str, body: bytes | Any = None, **more: Any) -> bytes:
        """As Client.request. Raises ApiError, also where it is not ours to write any more (status 0)."""
        if method != "GET" and not self._holder.holds:
            raise ApiError(0, "NotLeading", f"{method} {path}: our Lease has run out")
        return await self._client.request(method, path, body, **more)
