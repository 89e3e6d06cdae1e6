"""File descriptors: how many ports a process can afford, and what is reported when none is left.

Ports take at most half of what is left after RESERVE. The other half is for sockets that replace them: for a moment
both exist. So the main process can always start a worker, answer for health and reach the API server.

Each worker has the same limit. A client connection may need a second descriptor there, for a backend. If clients could
take all of them, no request would reach a backend.
"""

import errno
import logging
import os
import time
from collections.abc import Callable

RESERVE = 256  # descriptors that ports never take
REPEAT = 60.0  # seconds between two messages about the same use
_SHORT = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ETOOMANYREFS})

_log = logging.getLogger(__name__)


def sockets_afforded(limit: int) -> int:
    """How many listening sockets the main process may have, if `limit` is its limit of open files."""
    return max(limit - RESERVE, 0) // 2


def ports_afforded(limit: int, sockets_per_port: int) -> int:
    """At least 1: without any port nothing would be served."""
    return max(sockets_afforded(limit) // sockets_per_port, 1)


def connections_afforded(limit: int, ports: int) -> int:
    """How many client connections a worker may have that listens on `ports` sockets. At least 1."""
    return max((limit - RESERVE - ports) // 2, 1)


def is_shortage(error: BaseException | None) -> bool:
    """Whether a descriptor, or memory of the kernel for it, is missing. Then the same call can succeed later."""
    return isinstance(error, OSError) and error.errno in _SHORT


def explained(error: OSError) -> str:
    """The text of the error, and for a shortage what to do."""
    text = os.strerror(error.errno) if error.errno else str(error)
    match error.errno:
        case errno.EMFILE | errno.ETOOMANYREFS:
            return f"{text}: raise the limit of open files of fastroute (ulimit -n)"
        case errno.ENFILE:
            return f"{text}: raise the limit of the machine (sysctl fs.file-max)"
        case errno.ENOBUFS | errno.ENOMEM:
            return f"{text}: the kernel has no memory left"
        case _:
            return text


class Shortages:
    """Counts failures for want of a descriptor and logs them, each use at most once in REPEAT seconds. Any thread may
    use it."""

    def __init__(self, count: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._count = count
        self._clock = clock
        self._logged: dict[str, float] = {}

    def note(self, use: str, what: str, error: OSError) -> None:
        """`use`: the label of the metric; `what`: the beginning of the message, "a worker cannot be started"."""
        self._count(use)
        now = self._clock()
        if now >= self._logged.get(use, -REPEAT) + REPEAT:
            self._logged[use] = now
            _log.error("%s: %s. It is tried again", what, explained(error))
