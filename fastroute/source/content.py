"""Content: the bytes of a file, if they are whole.

A writer that truncates and writes again shows, between its first and its last system call, texts that may well parse:
an empty one, or the first documents of many. Whoever served them would take routes away. So a file is only read while
- nobody has it open for writing. Linux says so: a read lease is granted only then. Where leases are not (no permission,
  network file systems), the caller may know it (inotify saw it closed, or moved into place), or it has to be
  unchanged for `SETTLED_NS`;
- it is the same before and after reading.
Renames into place, as editors, `kubectl` and mounted ConfigMaps do them, are whole at once.
"""

import fcntl
import os
import signal
import stat
import time

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
    before = Stamp.of(status)
    if patient and _is_written(descriptor, before, closed=closed):
        return Unfinished(before)
    with os.fdopen(os.dup(descriptor), "rb") as file:
        content = file.read()
    after = Stamp.of(os.fstat(descriptor))
    if patient and (after != before or _is_written(descriptor, after, closed=True)):
        return Unfinished(after)
    return Whole(content, after)


def _is_written(descriptor: int, stamp: Stamp, *, closed: bool) -> bool:
    """Whether somebody has the file open for writing; a guess by its age where the system will not tell."""
    try:
        # A writer that comes meanwhile makes the kernel signal us: with SIGURG, which is ignored by default.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return not closed and time.time_ns() - stamp.modified < SETTLED_NS
    return False
