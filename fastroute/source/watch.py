"""Watch: reports changes in folders from the kernel (inotify) to a trio task: no thread, no polling.

A portable watcher cannot do two things that are needed here: report that a file which was open for writing has been
closed, so that its content is complete; and cost nothing while nothing happens. `directory.py` decides which folders
are watched and what a notice means. If the kernel refuses a watch (its limits are per user and shared with other
programs), that is logged, and `is_deaf` says that only scanning finds changes.
"""

import contextlib
import logging
import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Self

import inotify_simple
import trio

_log = logging.getLogger(__name__)
_FLAGS = inotify_simple.flags
_CHANGES = (
    _FLAGS.MODIFY
    | _FLAGS.CLOSE_WRITE | _FLAGS.CREATE | _FLAGS.DELETE | _FLAGS.MOVED_FROM | _FLAGS.MOVED_TO | _FLAGS.ATTRIB
    | _FLAGS.DELETE_SELF | _FLAGS.MOVE_SELF | _FLAGS.ONLYDIR
)  # fmt: skip
_LOST = _FLAGS.Q_OVERFLOW | _FLAGS.IGNORED | _FLAGS.DELETE_SELF | _FLAGS.MOVE_SELF | _FLAGS.UNMOUNT
_WHOLE = _FLAGS.CLOSE_WRITE | _FLAGS.MOVED_TO


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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._inotify is not None:
            self._inotify.close()

    def follow(self, folders: Iterable[str]) -> bool:
        """Watches these folders and no others. True if any is new: its earlier events are unknown.

        Folders that no longer exist are left out.
        """
        wanted = set(folders)
        for folder in self._descriptors.keys() - wanted:
            self._forget(folder)
        added = False
        for folder in wanted:
            added |= self._add(folder)
        return added

    async def wait(self) -> None:
        """Returns when there are notices."""
        if self._inotify is None:
            await trio.sleep_forever()
        else:
            await trio.lowlevel.wait_readable(self._inotify.fileno())

    def take_nowait(self) -> Iterator[Notice | None]:
        """The notices so far. None: notices were lost, or a folder was moved."""
        for event in self._inotify.read(timeout=0) if self._inotify else ():
            if event.mask & _LOST:
                self._lose(event.wd if event.mask & (_FLAGS.IGNORED | _FLAGS.MOVE_SELF) else -1)
                yield None
                continue
            for folder in self._folders.get(event.wd, ()):
                yield Notice(
                    folder,
                    event.name,
                    whole=bool(event.mask & _WHOLE),
                    is_written=bool(event.mask & _FLAGS.MODIFY),
                    is_folder=bool(event.mask & _FLAGS.ISDIR),
                )

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
