"""Leader: which of several replicas writes statuses, by a Lease (coordination.k8s.io/v1). All of them serve.

The holder renews every RENEW seconds. The others look every RETRY seconds, and take a Lease that its holder gave back,
or that did not change for as long as it says it is good. Only our own clock counts: how long ago we *saw* it change,
never the times written in it. A holder that could not renew for DEADLINE seconds stops before the others may begin, so
there are never two; and one that ends says so, which the others see at their next look.

Death of the holder to writes of another: DURATION and two looks, 13 s at most. It costs statuses that time, traffic
nothing.
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

from fastroute.resources.meta import Key
from fastroute.source.kubernetes.client import ApiError, Client
from fastroute.source.kubernetes.contest import Claim
from fastroute.source.kubernetes.event import clock

DURATION = 10  # s that a Lease is good without being renewed
DEADLINE = 7.0  # s after which a holder that cannot renew stops
RENEW = 3.0  # s
RETRY = 1.0  # s between two looks of those who wait
PATIENCE = 3.0  # s for one request; within DEADLINE there is time for a second one

_log = logging.getLogger(__name__)


class LeaseSpec(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class LeaseObject(msgspec.Struct, frozen=True, rename="camel"):
    metadata: dict[str, Any]  # as it was read, with the version that it is written with
    spec: LeaseSpec = LeaseSpec()
    api_version: str = "coordination.k8s.io/v1"
    kind: str = "Lease"


class Seen(msgspec.Struct, frozen=True):
    """A Lease as it was read, and since when (our clock) it has not changed."""

    lease: LeaseObject
    since: float


def see(last: Seen | None, lease: LeaseObject, now: float) -> Seen:
    """`lease` was read just now."""
    return last if last is not None and last.lease == lease else Seen(lease, now)


def may_take(seen: Seen, identity: str, now: float) -> bool:
    """Whether `identity` may make the Lease its own: nobody holds it, it does, or its holder was silent too long."""
    spec = seen.lease.spec
    if spec.holder_identity in (None, "", identity):
        return True
    return now >= seen.since + (spec.lease_duration_seconds or DURATION)


def taken(lease: LeaseObject, identity: str, now: str) -> LeaseObject:
    """The Lease as its new or old holder writes it; `now`: RFC 3339, for people alone."""
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
    """Ours to hold or not. `turned(holds)` is called when that changes, `rewound()` when the API server's versions went
    back: its database was restored from an older backup. The Lease is read so often that this is seen here first."""

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
        self._renewed = -DEADLINE  # when we asked for what was granted last, on trio's clock
        self._held = False
        self._complaint = ""
        self._ended = False
        self._one = trio.Lock()  # one request at a time, or the last of them would be in conflict with the one before

    @property
    def holds(self) -> bool:
        """Whether statuses are ours to write, now."""
        return self._held and trio.current_time() < self._renewed + DEADLINE

    @property
    def claim(self) -> Claim | None:
        """The Lease's name and age; None while it is not known."""
        created = self._seen.lease.metadata.get("creationTimestamp") if self._seen is not None else None
        return Claim(str(created), str(self._key)) if created else None

    async def run(self) -> None:
        """Takes the Lease when it may be had, and keeps it, for ever."""
        while not self._ended:
            async with self._one:
                fine = await self._step()
            await trio.sleep(RENEW if self._held and fine else RETRY * random.uniform(0.8, 1.2))  # noqa: S311

    async def release(self) -> None:
        """Gives the Lease back if it is ours, and takes it no more. Never raises: it runs out by itself."""
        self._ended = True
        async with self._one:
            held, seen = self._held, self._seen
            self._turn(False)
            if not held or seen is None:
                return
            try:
                await self._write(given_back(seen.lease, clock()))
            except ApiError as error:
                _log.warning("lease %s could not be given back: %s", self._key, error)

    async def _step(self) -> bool:
        """Whether the API server did what it was asked for."""
        if self._ended:
            return True
        if self._held and not self.holds:
            self._turn(False)
        try:
            await self._renew() if self._held else await self._look()
        except ApiError as error:
            if error.status == 409 or (self._held and error.status == 404):
                self._turn(False)  # somebody wrote or deleted it meanwhile: look again
            else:
                self._complain(error)
            if self._held and not self.holds:
                self._turn(False)
            return False
        except Exception:
            _log.exception("lease %s: looked at again", self._key)
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
        self._turn(True)

    async def _write(self, lease: LeaseObject) -> None:
        """With the version that was read: of several who try one succeeds."""
        new = "resourceVersion" not in lease.metadata
        method, path = ("POST", self._path) if new else ("PUT", f"{self._path}/{self._key.name}")
        left = self._renewed + DEADLINE - trio.current_time() if self._held else PATIENCE
        raw = await self._client.request(method, path, lease, timeout=min(PATIENCE, max(left, 0.5)))
        self._seen = Seen(self._noted(raw), trio.current_time())

    def _noted(self, raw: bytes) -> LeaseObject:
        """The Lease as it was read; says if its version is lower than before."""
        lease = _decode(raw)
        before, now = (_version(one) for one in (self._seen.lease if self._seen else lease, lease))
        if now < before:
            _log.warning(
                "lease %s: the API server went back from version %d to %d, as when etcd is restored from a backup: "
                "everything is listed anew",
                self._key,
                before,
                now,
            )
            self._rewound()
        return lease

    def _turn(self, held: bool) -> None:
        if held == self._held:
            return
        self._held = held
        _log.info("lease %s: %s", self._key, "we write statuses" if held else "statuses are not ours to write any more")
        self._turned(held)

    def _complain(self, error: ApiError) -> None:
        """Once for each cause."""
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
    """Raises ApiError: what was read is no Lease."""
    try:
        lease = msgspec.json.decode(raw, type=LeaseObject)
    except msgspec.DecodeError as error:
        raise ApiError(0, "Unreadable", f"no Lease: {error}") from error
    lease.metadata.pop("managedFields", None)
    return lease
