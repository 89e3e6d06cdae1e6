"""Content: reads a file, but only if its writer has finished.

A writer that truncates a file and writes it again exposes intermediate contents that may well be valid YAML: an empty
file, or the first documents of many. Serving them would remove routes. So a file is read
- under a lease, if possible. Linux grants a read lease only while no process has the file open for writing, and blocks
  a process that opens it for writing until the lease is released.
- without a lease (another user's file, network file systems) if its writer is known to have closed it (inotify reported
  a close or a move into place), or else if it has not changed for `SETTLED_NS`; in both cases only if it is the same
  before and after reading.
Files that are renamed into place, as editors, `kubectl` and mounted ConfigMaps do, are always complete.

At most MOST bytes are read: a link may lead to any file of the machine, and some files of /proc never end.
"""

import contextlib
import fcntl
import os
import signal
import stat
import time
from collections.abc import Iterator

import msgspec

from fastroute.descriptors import explained
from fastroute.source.folder import Stamp

MOST = 32 << 20  # bytes of a file
SETTLED_NS = 10_000_000  # a file without a change for so long is read, although its writer may not have closed it


class Whole(msgspec.Struct, frozen=True):
    """A file's content at `stamp`."""

    content: bytes
    stamp: Stamp
    is_leased: bool = False  # no process had the file open for writing


class Unfinished(msgspec.Struct, frozen=True):
    """The file is being written, or was written a moment ago: the caller must read it again soon."""

    stamp: Stamp


class Missing(msgspec.Struct, frozen=True):
    """There is no such file; the path may name a folder."""


class Unreadable(msgspec.Struct, frozen=True):
    """The file exists but cannot be read."""

    reason: str


Content = Whole | Unfinished | Missing | Unreadable
_TOO_LARGE = Unreadable(f"it has more than {MOST >> 20} MiB; divide it into several files")


def read(path: str, *, closed: bool = False, patient: bool = True) -> Content:
    """The content of `path`.

    `closed`: the writer is known to have closed it. `patient`: the function may return Unfinished.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return Missing()
    except OSError as error:
        return Unreadable(explained(error))
    try:
        return _read(descriptor, closed=closed, patient=patient)
    except OSError as error:
        return Unreadable(explained(error))
    finally:
        os.close(descriptor)


def _read(descriptor: int, *, closed: bool, patient: bool) -> Content:
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        return Missing()
    if not stat.S_ISREG(status.st_mode):
        return Unreadable("not a regular file")
    if status.st_size > MOST:
        return _TOO_LARGE
    if not patient:
        return _whole(descriptor)
    with _lease(descriptor) as writers:
        if writers is None:
            return _unchanged(descriptor, closed=closed)
        return Unfinished(Stamp.of(status)) if writers else _whole(descriptor, is_leased=True)


@contextlib.contextmanager
def _lease(descriptor: int) -> Iterator[bool | None]:
    """Yields whether a process has the file open for writing; None if the system grants no leases for it. A process
    that opens the file for writing is blocked (for a few microseconds) until this context ends."""
    try:
        # The kernel signals such a process with SIGURG, which is ignored by default.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        yield True
        return
    except OSError:
        yield None
        return
    try:
        yield False
    finally:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)


def _unchanged(descriptor: int, *, closed: bool) -> Content:
    """The content of a file that cannot be leased. Its age, size and stamp decide whether it is complete."""
    before = Stamp.of(os.fstat(descriptor))
    if not closed and time.time_ns() - before.modified < SETTLED_NS:
        return Unfinished(before)
    seen = _whole(descriptor)
    if isinstance(seen, Unreadable) or (seen.stamp == before and len(seen.content) == before.size):
        return seen
    return Unfinished(seen.stamp)


def _whole(descriptor: int, *, is_leased: bool = False) -> Whole | Unreadable:
    size = os.fstat(descriptor).st_size
    with os.fdopen(os.dup(descriptor), "rb") as file:
        content = file.read(size + 1)
        if len(content) > size:  # it grows, or it is in /proc, where sizes are 0
            content += file.read(max(0, MOST + 1 - len(content)))
    if len(content) > MOST:
        return _TOO_LARGE
    return Whole(content, Stamp.of(os.fstat(descriptor)), is_leased)
