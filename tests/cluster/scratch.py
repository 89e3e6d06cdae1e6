"""Temporary folders. The process that made one removes it; the next run removes those of killed processes.

The process that made a folder holds a lock on it. The kernel releases the lock when the process ends.
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
    """A new folder in the system's temporary directory."""
    sweep(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{purpose}-") as name:
        folder = Path(name)
        new = folder / f"{LOCK}.new"
        with new.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            new.rename(folder / LOCK)  # atomic: the folder never exists without its lock
            yield folder


def sweep(parent: Path) -> None:
    """Removes the folders in `parent` whose processes have ended."""
    for mark in parent.glob(f"{PREFIX}*/{LOCK}"):
        try:
            with mark.open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # the process is running, or the folder is another user's, or has just been removed
            continue
        shutil.rmtree(mark.parent, ignore_errors=True)
