"""What waits to be sent to the collectors of policies: bounded, and fair between namespaces."""

import threading
from collections import deque
from typing import NamedTuple

from fastroute.snapshot import Collector

ROOM = 8 * 1024 * 1024  # bytes of everything that waits
SLOTS_MOST = 2  # deliveries of one namespace at the same time: a dead collector holds no more threads


class Parcel(NamedTuple):
    """An ExportTraceServiceRequest for the collector of a policy."""

    policy: str  # "ns/name"
    collector: Collector
    data: bytes
    spans: int

    @property
    def namespace(self) -> str:
        return self.policy.partition("/")[0]


class Room:
    """Parcels by the namespace of their policy. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: dict[str, deque[Parcel]] = {}  # in the order in which the namespaces take turns
        self._sizes: dict[str, int] = {}
        self._sent: dict[str, int] = {}  # deliveries in progress
        self._total = 0
        self._ended = False

    def put(self, parcel: Parcel) -> bool:
        """False: there is no room. A namespace may have at most as many bytes as are free."""
        with self._changed:
            own, size = self._sizes.get(parcel.namespace, 0), len(parcel.data)
            if self._ended or own + size > ROOM - self._total:
                return False
            self._waiting.setdefault(parcel.namespace, deque()).append(parcel)
            self._sizes[parcel.namespace] = own + size
            self._total += size
            self._changed.notify()
            return True

    def take(self) -> Parcel | None:
        """The next parcel, of the namespace whose turn it is; waits for one. None: it is closed, and empty."""
        with self._changed:
            while (parcel := self._next()) is None:
                if self._ended and not self._waiting:
                    return None
                self._changed.wait()
            return parcel

    def done(self, parcel: Parcel) -> None:
        """It was sent, or lost."""
        with self._changed:
            self._sent[parcel.namespace] -= 1
            if not self._sent[parcel.namespace]:
                del self._sent[parcel.namespace]
            self._changed.notify_all()

    def close(self) -> None:
        """Nothing more is accepted."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def clear(self) -> int:
        """Removes everything; the number of spans in it."""
        with self._changed:
            spans = sum(parcel.spans for parcels in self._waiting.values() for parcel in parcels)
            self._waiting.clear()
            self._sizes.clear()
            self._total = 0
            self._changed.notify_all()
            return spans

    def _next(self) -> Parcel | None:
        for namespace, parcels in self._waiting.items():
            if self._sent.get(namespace, 0) < SLOTS_MOST:
                return self._remove(namespace, parcels)
        return None

    def _remove(self, namespace: str, parcels: deque[Parcel]) -> Parcel:
        parcel = parcels.popleft()
        del self._waiting[namespace]
        self._sizes[namespace] -= len(parcel.data)
        if parcels:
            self._waiting[namespace] = parcels  # as the last one
        else:
            del self._sizes[namespace]
        self._total -= len(parcel.data)
        self._sent[namespace] = self._sent.get(namespace, 0) + 1
        return parcel
