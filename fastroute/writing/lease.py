"""Leader: elects the replica that writes statuses, by a Lease (coordination.k8s.io/v1). All replicas serve.

The holder renews the Lease every RENEW seconds. The others read it every RETRY seconds, and take it if its holder
released it, or if it has not changed for its lease duration. Only the local clock counts: when this process *saw* the
Lease change, never the times in the Lease. A holder that cannot renew it for DEADLINE seconds stops writing before the
others may start, so there are never two writers. A holder that exits releases the Lease; the others see that at their
next read.

From the death of the holder to the first write of another replica: DURATION and two reads, 13 s at most. Statuses are
outdated meanwhile; traffic is not affected.
"""

import logging
import os
import random
import secrets
import socket
from collections.abc import Callable
from typing import Any

import msgspec
import trio

from fastroute.apiserver.client import ApiError, Client
from fastroute.resources.meta import Key
from fastroute.writing.contest import Claim
from fastroute.writing.event import clock

DURATION = 10  # s for which a Lease is valid without being renewed
DEADLINE = 7.0  # s after which a holder that cannot renew it stops
RENEW = 3.0  # s
RETRY = 1.0  # s between two reads by a replica that waits
PATIENCE = 3.0  # s for one request; DEADLINE leaves time for a second one

_log = logging.getLogger(__name__)


class LeaseSpec(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class LeaseObject(msgspec.Struct, frozen=True, rename="camel"):
    metadata: dict[str, Any]  # as it was read, with the resourceVersion for the write
    spec: LeaseSpec = LeaseSpec()
    api_version: str = "coordination.k8s.io/v1"
    kind: str = "Lease"


class Seen(msgspec.Struct, frozen=True):
    """A Lease as it was read, and since when (local clock) it has not changed."""

    lease: LeaseObject
    since: float


def see(last: Seen | None, lease: LeaseObject, now: float) -> Seen:
    """`lease` was read at `now`."""
    return last if last is not None and last.lease == lease else Seen(lease, now)


def may_take(seen: Seen, identity: str, now: float) -> bool:
    """Whether `identity` may take the Lease: it has no holder, `identity` holds it, or its holder did not renew it."""
    spec = seen.lease.spec
    if spec.holder_identity in (None, "", identity):
        return True
    return now >= seen.since + (spec.lease_duration_seconds or DURATION)


def taken(lease: LeaseObject, identity: str, now: str) -> LeaseObject:
    """The Lease as written by its new or present holder. `now`: RFC 3339, for information only."""
    spec = lease.spec
    mine = spec.holder_identity == identity
    return msgspec.structs.replace(
        lease,
        spec=LeaseSpec(
            holder_identity=identity,
            lease_duration_seconds=DURATION,
            acquire_time=spec.acquire_time if mine else now,
            renew_time=now,
            lease_transitions=(spec.lease_transitions or 0) + (0 if mine else 1),
        ),
    )


def given_back(lease: LeaseObject, now: str) -> LeaseObject:
    spec = msgspec.structs.replace(lease.spec, holder_identity="", lease_duration_seconds=1, renew_time=now)
    return msgspec.structs.replace(lease, spec=spec)


class Leader:
    """A candidate for the Lease. `turned(holds)` is called when it gains or loses it, `rewound()` when the resource
    versions of the API server went back: its database was restored from an older backup. The Lease is read so often
    that this is noticed here first."""

    def __init__(
        self,
        client: Client,
        key: Key,
        turned: Callable[[bool], None],
        rewound: Callable[[], None],
        identity: str | None = None,
    ) -> None:
        self.identity = identity or f"{socket.gethostname()}_{os.getpid()}_{secrets.token_hex(4)}"
        self._client, self._key, self._turned, self._rewound = client, key, turned, rewound
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{key.namespace}/leases"
        self._seen: Seen | None = None
        self._renewed = -DEADLINE  # when the last successful write was requested, on trio's clock
        self._held = False
        self._complaint = ""
        self._ended = False
        self._one = trio.Lock()  # a second request at the same time would conflict with the first

    @property
    def holds(self) -> bool:
        """Whether this process may write statuses now."""
        return self._held and trio.current_time() < self._renewed + DEADLINE

    @property
    def claim(self) -> Claim | None:
        """The name and age of the Lease; None while it is not known."""
        created = self._seen.lease.metadata.get("creationTimestamp") if self._seen is not None else None
        return Claim(str(created), str(self._key)) if created else None

    async def run(self) -> None:
        """Takes the Lease when possible and renews it, until `release`."""
        while not self._ended:
            async with self._one:
                fine = await self._step()
            await trio.sleep(RENEW if self._held and fine else RETRY * random.uniform(0.8, 1.2))  # noqa: S311

    async def release(self) -> None:
        """Releases the Lease if this process holds it, and does not take it again. Never raises: the Lease expires
        anyway."""
        self._ended = True
        async with self._one:
            held, seen = self._held, self._seen
            self._change(False)
            if not held or seen is None:
                return
            try:
                await self._write(given_back(seen.lease, clock()))
            except ApiError as error:
                _log.warning("lease %s could not be released: %s", self._key, error)

    async def _step(self) -> bool:
        """Whether the request to the API server succeeded."""
        if self._ended:
            return True
        if self._held and not self.holds:
            self._change(False)
        try:
            await self._renew() if self._held else await self._look()
        except ApiError as error:
            if error.status == 409 or (self._held and error.status == 404):
                self._change(False)  # another replica wrote or deleted it: read it again
            else:
                self._complain(error)
            if self._held and not self.holds:
                self._change(False)
            return False
        except Exception:
            _log.exception("lease %s: unexpected error, retrying", self._key)
            return False
        self._complaint = ""
        return True

    async def _renew(self) -> None:
        assert self._seen is not None
        await self._take(self._seen.lease)

    async def _look(self) -> None:
        try:
            raw = await self._client.request("GET", f"{self._path}/{self._key.name}", timeout=PATIENCE)
        except ApiError as error:
            if error.status != 404:
                raise
            await self._take(LeaseObject({"name": self._key.name, "namespace": self._key.namespace}))
            return
        now = trio.current_time()
        self._seen = see(self._seen, self._noted(raw), now)
        if may_take(self._seen, self.identity, now):
            await self._take(self._seen.lease)

    async def _take(self, lease: LeaseObject) -> None:
        asked = trio.current_time()
        await self._write(taken(lease, self.identity, clock()))
        self._renewed = asked
        self._change(True)

    async def _write(self, lease: LeaseObject) -> None:
        """With the version that was read: if several replicas try, one succeeds."""
        new = "resourceVersion" not in lease.metadata
        method, path = ("POST", self._path) if new else ("PUT", f"{self._path}/{self._key.name}")
        left = self._renewed + DEADLINE - trio.current_time() if self._held else PATIENCE
        raw = await self._client.request(method, path, lease, timeout=min(PATIENCE, max(left, 0.5)))
        self._seen = Seen(self._noted(raw), trio.current_time())

    def _noted(self, raw: bytes) -> LeaseObject:
        """The Lease as it was read. Logs a warning if its version is lower than before."""
        lease = _decode(raw)
        before, now = (_version(one) for one in (self._seen.lease if self._seen else lease, lease))
        if now < before:
            _log.warning(
                "lease %s: the API server went back from version %d to %d, as when etcd is restored from a backup: "
                "listing all objects again",
                self._key,
                before,
                now,
            )
            self._rewound()
        return lease

    def _change(self, held: bool) -> None:
        if held == self._held:
            return
        self._held = held
        _log.info(
            "lease %s: %s",
            self._key,
            "this replica writes statuses" if held else "lost leadership: no longer writing statuses",
        )
        self._turned(held)

    def _complain(self, error: ApiError) -> None:
        """Logs once for each cause."""
        cause = f"{error.status} {error.reason}"
        if cause != self._complaint:
            self._complaint = cause
            _log.warning("lease %s: %s%s", self._key, error, _way_out(error, self._key))


def _version(lease: LeaseObject) -> int:
    version = str(lease.metadata.get("resourceVersion", ""))
    return int(version) if version.isdecimal() else 0


def _way_out(error: ApiError, key: Key) -> str:
    ways = {
        403: f"allow get, create and update on leases in namespace {key.namespace}",
        404: f"create namespace {key.namespace}, or name another one with --status-lease",
    }
    return f". No status is written until you {ways[error.status]}." if error.status in ways else ""


def _decode(raw: bytes) -> LeaseObject:
    """Raises ApiError if the content is not a Lease."""
    try:
        lease = msgspec.json.decode(raw, type=LeaseObject)
    except msgspec.DecodeError as error:
        raise ApiError(0, "Unreadable", f"not a Lease: {error}") from error
    lease.metadata.pop("managedFields", None)
    return lease
