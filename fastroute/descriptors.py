"""File descriptors and local ports: how much of each the gateway may use, and reports of missing descriptors.

The main process keeps RESERVE descriptors for other purposes. Listening sockets use at most half of the others, because
the old and the new sockets exist together while sockets are replaced. So the main process can always start a worker,
answer health checks and reach the API server.

Each worker has the same limit. A client connection may need a second descriptor there, for a backend. If clients could
use all of them, no request would reach a backend.

A flow of datagrams has a local port. The kernel looks for a free one from a random port on. The fewer are free, the
longer this takes: 2 µs if an eighth is free, up to 300 µs if a hundredth is, and 90 ms if none is. So there are never
more flows than seven eighths of the ports.
"""

import errno
import logging
import os
import time
from collections.abc import Callable

from fastroute.shortage import Short

RESERVE = 256  # descriptors that ports never take
REPEAT = 60.0  # seconds between two messages about the same use
_SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ETOOMANYREFS})

_DONE = {
    "accept": "cannot accept connections of clients",
    "connect": "cannot connect to a backend",
    "share": "refuses requests, because the routes of a namespace may have no more connections to backends",
}
_REFUSED = frozenset({"connect", "share"})  # the request was refused; another one may succeed

_log = logging.getLogger(__name__)


def sockets_afforded(limit: int) -> int:
    """How many listening sockets the main process may have, if `limit` is its limit of open files."""
    return max(limit - RESERVE, 0) // 2


def ports_afforded(limit: int, sockets_per_port: int) -> int:
    """At least 1: without any port nothing would be served."""
    return max(sockets_afforded(limit) // sockets_per_port, 1)


def connections_afforded(limit: int, ports: int) -> int:
    """How many client connections a worker with `ports` listening sockets may have. At least 1."""
    return max((limit - RESERVE - ports) // 2, 1)


def flows_afforded(ports: int, workers: int) -> int:
    """How many flows of datagrams a worker may have, if all workers share `ports` local ports. At least 1."""
    return max(ports * 7 // 8 // workers, 1)


def is_shortage(error: BaseException | None) -> bool:
    """Whether the call failed because no descriptor, or no kernel memory for one, was free. It can succeed later."""
    return isinstance(error, OSError) and error.errno in _SHORT


def explained(error: OSError) -> str:
    """The text of the error, and for a shortage what to do."""
    text = os.strerror(error.errno) if error.errno else str(error)
    match error.errno:
        case errno.EMFILE | errno.ETOOMANYREFS:
            return f"{text}: raise the limit of open files of fastroute (ulimit -n)"
        case errno.ENFILE:
            return f"{text}: raise the limit of the machine (sysctl fs.file-max)"
        case errno.EADDRNOTAVAIL:
            return f"{text}: no local port is free: raise net.ipv4.ip_local_port_range, or add endpoints"
        case errno.ENOBUFS | errno.ENOMEM:
            return f"{text}: the kernel has no memory left"
        case _:
            return text


class Shortages:
    """Counts and logs failures caused by a missing descriptor. Logs each use at most once in REPEAT seconds.
    Thread-safe."""

    def __init__(self, count: Callable[..., None], clock: Callable[[], float] = time.monotonic) -> None:
        self._count = count
        self._clock = clock
        self._logged: dict[str, float] = {}

    def note(self, use: str, what: str, error: OSError) -> None:
        """`use`: the label of the metric; `what`: the beginning of the message, "a worker cannot be started"."""
        self._count(use)
        self._report(use, what, error)

    def note_report(self, worker: int, report: Short) -> None:
        self._count(report.use, report.times)
        self._report(report.use, f"worker {worker} {_DONE[report.use]}", OSError(report.error, ""))

    def _report(self, use: str, what: str, error: OSError) -> None:
        now = self._clock()
        if now >= self._logged.get(use, -REPEAT) + REPEAT:
            self._logged[use] = now
            again = "" if use in _REFUSED else ". fastroute will try again"
            _log.error("%s: %s%s", what, _explained(use, error), again)


def _explained(use: str, error: OSError) -> str:
    if use == "share":
        return "for more, raise the limit of open files of fastroute (ulimit -n) or add replicas"
    return explained(error)
