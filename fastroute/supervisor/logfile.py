"""The file of the access log. The main process opens it, and sends its descriptor to the workers: they only append.

A worker cannot open files once it serves (worker/confinement.py), and it needs no permission to write to the folder of
the log. All workers, also later replacements, append to the same open file.
"""

import os

from fastroute.descriptors import explained

MODE = 0o640  # of a new file: lines name clients, hosts and paths


def open_log(path: str) -> int:
    """A descriptor to append to. "-" is stdout, with a separate open file description where the system allows it:
    O_NONBLOCK belongs to the description, and other processes write to the same pipe or terminal. A named pipe without
    a reader is an error; the call does not wait. Raises OSError."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
    if path != "-":
        return os.open(path, flags | os.O_CREAT, MODE)
    try:
        return os.open("/proc/self/fd/1", flags)
    except OSError:  # a socket, or a terminal of another user
        return os.dup(1)


class LogFile:
    """The open file. Its descriptor keeps its number when the file is opened again, so it can be sent at any time."""

    def __init__(self, path: str) -> None:
        """Raises OSError."""
        self._path = path
        self.fd = open_log(path)

    def reopen(self) -> str | None:
        """Opens the path again; on failure keeps the old file and returns a description of the error."""
        try:
            new = open_log(self._path)
        except OSError as error:
            outcome = "the workers continue to write to the old file"
            return f"the access log {self._path} cannot be opened again: {explained(error)}; {outcome}"
        os.dup2(new, self.fd, inheritable=False)
        os.close(new)
        return None

    def close(self) -> None:
        """Closes the descriptor; those of the workers stay open."""
        os.close(self.fd)
