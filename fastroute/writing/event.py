"""Events (events.k8s.io/v1): changes of conditions, for `kubectl describe` and `kubectl get events`.

Events are written on a best-effort basis: nothing waits for them, they are not retried, and they are dropped beyond a
rate (per object), or if too many wait. The namespaces take turns, and in each of them warnings and other Events. If too
many wait, those of the namespace with the most are dropped. A repetition within WINDOW increases the count of the
existing Event instead of creating another one. A note says what must be permitted, but never whether a refused target
exists.
"""

import logging
import re
import secrets
from datetime import UTC, datetime
from typing import Any, NoReturn

import msgspec
import trio

from fastroute.apiserver.bucket import Bucket
from fastroute.apiserver.client import ApiError
from fastroute.fairness import FairMemory, FairQueue
from fastroute.writing.pen import Pen

MOST_WAITING = 500  # Events; further ones are dropped
WINDOW = 600.0  # s
REMEMBERED = 2_000  # Events whose count can be increased, and objects that have their own bucket
OBJECT_RATE, OBJECT_BURST = 1 / 30, 12.0  # Events of one object: tokens a second, and at once
RATE, BURST = 10.0, 100.0  # Events of all objects that are written: a second, and at once
DEFAULT = "default"  # the namespace of Events about objects that are in no namespace
LONGEST_NOTE = 1_024  # bytes
LONGEST_REPORTER = 63  # characters of a reportingController after its domain
LONGEST_NAME = 200  # characters of the object's name in the name of the Event

_log = logging.getLogger(__name__)


class Regarding(msgspec.Struct, frozen=True, rename="camel"):
    """The corev1.ObjectReference to the object of an Event."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str

    @property
    def event_namespace(self) -> str:
        return self.namespace or DEFAULT


class Happening(msgspec.Struct, frozen=True):
    regarding: Regarding
    is_warning: bool
    reason: str
    action: str
    note: str


class _Waiting(msgspec.Struct, eq=False):
    """An Event that waits. Two with equal content are two Events."""

    happening: Happening

    @property
    def line(self) -> tuple[str, bool]:
        """Those that wait for each other."""
        return self.happening.regarding.event_namespace, self.happening.is_warning


class _Written(msgspec.Struct):
    """An Event that was written and whose count can be increased."""

    path: str
    since: float
    count: int = 1


class Events:
    """Queues Events (`tell`); `run` writes them. `reporter`: our controllerName and our identity."""

    def __init__(self, pen: Pen, reporter: tuple[str, str]) -> None:
        self._pen = pen
        controller, self._instance = reporter
        self._controller = qualified(controller)
        self._waiting = FairQueue[_Waiting, tuple[str, bool]](lambda each: each.line)
        self._news = trio.Event()
        self._all = Bucket(RATE, BURST)
        self._objects = FairMemory[tuple[str, str], Bucket](REMEMBERED, _namespace)  # by namespace and uid
        self._written = FairMemory[tuple[str, ...], _Written](REMEMBERED, _namespace)
        self._complained = False

    def tell(self, happening: Happening) -> bool:
        """Whether the Event waits to be written. It is dropped later if others need its place."""
        object_ = (happening.regarding.event_namespace, happening.regarding.uid)
        bucket = self._objects.pop(object_) or Bucket(OBJECT_RATE, OBJECT_BURST)
        self._objects.put(object_, bucket)
        if not bucket.take(trio.current_time()):
            return False
        waiting = _Waiting(happening)
        self._waiting.add(waiting)
        self._news.set()
        return len(self._waiting) <= MOST_WAITING or self._waiting.drop() is not waiting

    def clear(self) -> None:
        """Drops what waits: another replica writes from now on."""
        self._waiting.clear()

    async def run(self) -> NoReturn:
        """Writes the Events, one after the other, until cancelled."""
        while True:
            await self._news.wait()
            await trio.sleep(self._all.reserve(trio.current_time()))
            waiting = self._waiting.take()
            if not self._waiting:
                self._news = trio.Event()
            if waiting is not None:
                await self._try(waiting.happening)

    async def _try(self, happening: Happening) -> None:
        try:
            await self._write(happening)
        except ApiError as error:
            if not self._complained:
                self._complained = True
                way_out = ": allow create and patch on events.k8s.io events" if error.status == 403 else ""
                _log.warning("events cannot be written: %s%s", error, way_out)
        except Exception:
            _log.exception("an event of %s %s could not be written", happening.regarding.kind, happening.regarding.name)
        else:
            self._complained = False

    async def _write(self, happening: Happening) -> None:
        now = trio.current_time()
        regarding = happening.regarding
        key = (regarding.event_namespace, regarding.uid, happening.reason, happening.note)
        written = self._written.pop(key)
        if written is not None and now - written.since < WINDOW:
            written.count += 1
            try:
                await self._pen.request(
                    "PATCH", written.path, _series(written.count), content_type="application/merge-patch+json"
                )
            except ApiError as error:
                if error.status != 404:  # it was deleted: create another one below
                    raise
            else:
                self._written.put(key, written)
                return
        event = self._event(happening)
        path = f"/apis/events.k8s.io/v1/namespaces/{regarding.event_namespace}/events"
        await self._pen.request("POST", path, event)
        self._written.put(key, _Written(f"{path}/{event['metadata']['name']}", now))

    def _event(self, happening: Happening) -> dict[str, Any]:
        regarding = happening.regarding
        name = f"{regarding.name[:LONGEST_NAME].rstrip('.-')}.{secrets.token_hex(8)}"
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": regarding.event_namespace},
            "eventTime": clock(),
            "reportingController": self._controller,
            "reportingInstance": self._instance[:128],
            "type": "Warning" if happening.is_warning else "Normal",
            "reason": happening.reason,
            "action": happening.action,
            "note": _cut(happening.note),
            "regarding": regarding,
        }


def _namespace(key: tuple[str, ...]) -> str:
    return key[0]


def qualified(controller_name: str) -> str:
    """A controllerName in the narrower format of Events: DOMAIN/NAME, with at most 63 characters in NAME.

    >>> qualified("fastroute.dev/gateway"), qualified("example.com/team-a/~edge")
    ('fastroute.dev/gateway', 'example.com/team-a-edge')
    """
    domain, _, name = controller_name.partition("/")
    plain = re.sub(r"[^A-Za-z0-9._]+", "-", name)[:LONGEST_REPORTER].strip("._-")
    return f"{domain}/{plain or 'gateway'}"


def _series(count: int) -> dict[str, Any]:
    return {"series": {"count": count, "lastObservedTime": clock()}}


def _cut(note: str) -> str:
    """
    >>> _cut("short"), len(_cut("x" * 2000).encode())
    ('short', 1024)
    """
    encoded = note.encode()
    if len(encoded) <= LONGEST_NOTE:
        return note
    return encoded[: LONGEST_NOTE - 3].decode(errors="ignore") + "…"


def clock() -> str:
    """metav1.MicroTime."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
