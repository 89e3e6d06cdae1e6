"""Content: the bytes of a file, if they are whole.

A writer that truncates and writes again shows, between its first and its last system call, texts that may well parse:
an empty one, or the first documents of many. Whoever served them would take routes away. So a file is read
- under a lease, which Linux grants only while nobody has the file open for writing, and which makes a writer that comes
  wait until we have read;
- where leases are not to be had (another user's file, network file systems), if its writer is known to have closed it
  (inotify says so, or that it was moved into place), or else when it has been unchanged for `SETTLED_NS`; and if it is
  the same before and after reading.
Renames into place, as editors, `kubectl` and mounted ConfigMaps do them, are whole at once.
"""

import contextlib
import fcntl
import os
import signal
import stat
import time
from collections.abc import Iterator

import msgspec

from fastroute.source.folder import Stamp

SETTLED_NS = 10_000_000  # of no change make a file whole where nothing better is known


class Whole(msgspec.Struct, frozen=True):
    """A file's content at `stamp`."""

    content: bytes
    stamp: Stamp


class Unfinished(msgspec.Struct, frozen=True):
    """It is being written, or has just been: look again soon."""

    stamp: Stamp


class Missing(msgspec.Struct, frozen=True):
    """There is no such file; perhaps a folder."""


class Unreadable(msgspec.Struct, frozen=True):
    """There is, but it cannot be read."""

    reason: str


Content = Whole | Unfinished | Missing | Unreadable


def read(path: str, *, closed: bool = False, patient: bool = True) -> Content:
    """The content of `path`.

    `closed`: its writer is known to have closed it. `patient`: if it is unfinished, that may be the answer.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return Missing()
    except OSError as error:
        return Unreadable(os.strerror(error.errno or 0))
    try:
        return _read(descriptor, closed=closed, patient=patient)
    except OSError as error:
        return Unreadable(os.strerror(error.errno or 0))
    finally:
        os.close(descriptor)


def _read(descriptor: int, *, closed: bool, patient: bool) -> Content:
    status = os.fstat(descriptor)
    if stat.S_ISDIR(status.st_mode):
        return Missing()
    if not stat.S_ISREG(status.st_mode):
        return Unreadable("not a regular file")
    if not patient:
        return _whole(descriptor)
    with _lease(descriptor) as writers:
        if writers is None:
            return _unchanged(descriptor, closed=closed)
        return Unfinished(Stamp.of(status)) if writers else _whole(descriptor)


@contextlib.contextmanager
def _lease(descriptor: int) -> Iterator[bool | None]:
    """Whether somebody has the file open for writing; None if the system will not tell. While this lasts, a writer that
    comes has to wait (a few microseconds), so that nothing changes under a reader."""
    try:
        # The kernel tells us of such a writer by a signal: SIGURG, which is ignored by default.
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
    """The content of a file that cannot be leased: whole as far as its age, its size and its stamp tell."""
    before = Stamp.of(os.fstat(descriptor))
    if not closed and time.time_ns() - before.modified < SETTLED_NS:
        return Unfinished(before)
    seen = _whole(descriptor)
    return seen if seen.stamp == before and len(seen.content) == before.size else Unfinished(seen.stamp)


def _whole(descriptor: int) -> Whole:
    with os.fdopen(os.dup(descriptor), "rb") as file:
        content = file.read()
    return Whole(content, Stamp.of(os.fstat(descriptor)))
