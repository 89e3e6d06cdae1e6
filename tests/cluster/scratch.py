"""Folders for one run. Whoever made one removes it; the next run removes those of runs that were killed.

A folder's lock is held by the process that made it, for as long as it lives: the kernel takes it from the dead.
"""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "fastroute-"
LOCK = ".alive"


@contextmanager
def scratch(purpose: str) -> Iterator[Path]:
    """A folder of its own, in the system's place for such."""
    sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{purpose}-") as name:
        folder = Path(name)
        new = folder / f"{LOCK}.new"
        with new.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            new.rename(folder / LOCK)  # so that it is never seen without its lock
            yield folder


def sweep(place: Path) -> None:
    """Removes the folders in `place` whose makers are dead."""
    for mark in place.glob(f"{PREFIX}*/{LOCK}"):
        try:
            with mark.open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # it lives, is another user's, or has just been removed
            continue
        shutil.rmtree(mark.parent, ignore_errors=True)
