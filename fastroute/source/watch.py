"""Watch: reports changes in folders from the kernel (inotify) to a trio task: no thread, no polling.

A portable watcher cannot do two things that are needed here: report that a file which was open for writing has been
closed, so that its content is complete; and cost nothing while nothing happens. `directory.py` decides which folders
are watched and what a notice means. If the kernel refuses a watch (its limits are per user and shared with other
programs), that is logged, and `is_deaf` says that only scanning finds changes.

Notices are read in portions, and those about one file are merged, so a process that causes many of them takes little
time. The kernel has one queue for all folders. If more notices wait than a portion has, most of them about writes or
times of files in one folder, then this folder is muted: the kernel reports no writes and times there for MUTED.
"""

import contextlib
import logging
import math
import os
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Self

import inotify_simple
import trio

from fastroute.source.slices import step_aside

_log = logging.getLogger(__name__)
_FLAGS = inotify_simple.flags
_CHANGES = (
    _FLAGS.MODIFY
    | _FLAGS.CLOSE_WRITE | _FLAGS.CREATE | _FLAGS.DELETE | _FLAGS.MOVED_FROM | _FLAGS.MOVED_TO | _FLAGS.ATTRIB
    | _FLAGS.DELETE_SELF | _FLAGS.MOVE_SELF | _FLAGS.ONLYDIR
)  # fmt: skip
_MUTABLE = _FLAGS.MODIFY | _FLAGS.ATTRIB
_LOST = _FLAGS.Q_OVERFLOW | _FLAGS.IGNORED | _FLAGS.DELETE_SELF | _FLAGS.MOVE_SELF | _FLAGS.UNMOUNT
_WHOLE = _FLAGS.CLOSE_WRITE | _FLAGS.MOVED_TO

PORTION = 32 * 1024  # bytes of notices that are read at once: about 1,000
_FULL = PORTION - 512  # a notice has at most 272 bytes
MUTED = 1.0  # s
LOT = 200  # folders that are watched at a time


class Notice(NamedTuple):
    """An event for `name` in `folder`, or for the folder itself if `name` is empty."""

    folder: str
    name: str
    whole: bool = False  # its writer closed it, or it was moved here
    is_written: bool = False  # a process is writing to it and will close it
    is_folder: bool = False


class Watch:
    """A set of watched folders and the notices from them."""

    def __init__(self) -> None:
        self.is_deaf = False
        self._inotify = self._opened()
        self._folders: dict[int, set[str]] = {}  # by watch descriptor; several paths may name the same folder
        self._descriptors: dict[str, int] = {}
        self._muted: dict[int, float] = {}  # until when, on trio's clock, by watch descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._inotify is not None:
            self._inotify.close()

    async def follow(self, folders: Iterable[str]) -> bool:
        """Watches these folders and no others. True if any is new: its earlier events are unknown. Other tasks run
        meanwhile.

        Folders that no longer exist are left out.
        """
        wanted = set(folders)
        for folder in self._descriptors.keys() - wanted:
            self._forget(folder)
        added = False
        for number, folder in enumerate(wanted, 1):
            added |= self._add(folder)
            if number % LOT == 0:
                await step_aside()
        return added

    async def wait(self) -> None:
        """Returns when there are notices, or when a folder must not be muted any more: `take_nowait` ends that."""
        if self._inotify is None:
            await trio.sleep_forever()
        else:
            with trio.move_on_at(min(self._muted.values(), default=math.inf)):
                await trio.lowlevel.wait_readable(self._inotify.fileno())

    def is_muted(self, folder: str) -> bool:
        """Whether writes in this folder are not reported at present."""
        return self._descriptors.get(folder) in self._muted

    def take_nowait(self) -> list[Notice | None]:
        """The next notices, at most one portion. None: notices were lost, or a folder was moved."""
        if self._inotify is None:
            return []
        self._unmute(trio.current_time())
        try:
            data = os.read(self._inotify.fileno(), PORTION)
        except BlockingIOError:
            return []
        events = _merged(data)
        if len(data) > _FULL:
            self._mute(events)
        return [notice for event in events for notice in self._notices(event)]

    def _notices(self, event: inotify_simple.Event) -> Iterator[Notice | None]:
        if event.mask & _LOST:
            self._lose(event.wd if event.mask & (_FLAGS.IGNORED | _FLAGS.MOVE_SELF) else -1)
            yield None
            return
        for folder in self._folders.get(event.wd, ()):
            yield Notice(
                folder,
                event.name,
                whole=bool(event.mask & _WHOLE),
                is_written=bool(event.mask & _FLAGS.MODIFY),
                is_folder=bool(event.mask & _FLAGS.ISDIR),
            )

    def _mute(self, events: Iterable[inotify_simple.Event]) -> None:
        """Mutes the folder with the most files that are written to or touched."""
        busy = Counter(event.wd for event in events if event.mask & _MUTABLE)
        for descriptor, _ in busy.most_common(1):
            if self._listen(descriptor, _CHANGES & ~_MUTABLE):
                self._muted[descriptor] = trio.current_time() + MUTED

    def _unmute(self, now: float) -> None:
        for descriptor in [descriptor for descriptor, until in self._muted.items() if until <= now]:
            del self._muted[descriptor]
            self._listen(descriptor, _CHANGES)

    def _listen(self, descriptor: int, changes: int) -> bool:
        """Asks the kernel for other changes of a watched folder."""
        assert self._inotify is not None
        folder = next(iter(self._folders.get(descriptor, ())), None)
        if folder is None:
            return False
        with contextlib.suppress(OSError):  # it does not exist any more
            return bool(self._inotify.add_watch(folder or ".", changes) == descriptor)
        return False

    def _opened(self) -> inotify_simple.INotify | None:
        try:
            return inotify_simple.INotify(nonblocking=True)
        except OSError as error:
            self._be_deaf("changes of files", error, "max_user_instances", ", or the limit of open files: ulimit -n")
            return None

    def _be_deaf(self, what: str, error: OSError, limit: str, other: str = "") -> None:
        if not self.is_deaf:
            reason = os.strerror(error.errno or 0)
            remedy = f"raise the limit with: sysctl fs.inotify.{limit}=8192{other}"
            _log.warning("%s are only found by scans: %s; %s", what, reason, remedy)
        self.is_deaf = True

    def _add(self, folder: str) -> bool:
        """True if it was not watched before. (A folder has one descriptor, however often it is added.)"""
        if self._inotify is None:
            return False
        try:
            descriptor = self._inotify.add_watch(folder or ".", _CHANGES)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return False
        except OSError as error:
            self._be_deaf(f"changes in {folder}", error, "max_user_watches")
            return False
        if self._descriptors.get(folder) == descriptor:
            return False
        if folder in self._descriptors:  # the path names another folder now
            self._forget(folder)
        self._folders.setdefault(descriptor, set()).add(folder)
        self._descriptors[folder] = descriptor
        return True

    def _forget(self, folder: str) -> None:
        descriptor = self._descriptors.pop(folder)
        names = self._folders.get(descriptor, set())
        names.discard(folder)
        if not names and self._folders.pop(descriptor, None) is not None and self._inotify is not None:
            with contextlib.suppress(OSError):  # the kernel removed the watch together with the folder
                self._inotify.rm_watch(descriptor)

    def _lose(self, descriptor: int) -> None:
        """Forgets a folder that was moved or deleted; `follow` adds it again."""
        for folder in self._folders.pop(descriptor, ()):
            self._descriptors.pop(folder, None)


_HEAD = struct.Struct("iIII")  # struct inotify_event: watch descriptor, mask, cookie, length of the name


def _merged(data: bytes) -> list[inotify_simple.Event]:
    """The events in `data`, by their last occurrence; for each file one about writes and one with all others."""
    merged: dict[tuple[int, bytes, bool], int] = {}
    at = 0
    while at < len(data):
        descriptor, mask, _, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size + length
        key = descriptor, data[at - length : at], mask == _FLAGS.MODIFY
        merged[key] = merged.pop(key, 0) | mask
    return [
        inotify_simple.Event(descriptor, mask, 0, os.fsdecode(name.rstrip(b"\0")))
        for (descriptor, name, _), mask in merged.items()
    ]
