"""The file of the access log: workers open it to write, the main process to check that it can be opened."""

import os


def open_log(path: str) -> int:
    """A descriptor to append to. "-" is stdout, with a separate open file description where the system allows it:
    O_NONBLOCK belongs to the description, and other processes write to the same pipe or terminal. A named pipe without
    a reader is an error; the call does not wait. Raises OSError."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
    if path != "-":
        return os.open(path, flags | os.O_CREAT, 0o644)
    try:
        return os.open("/proc/self/fd/1", flags)
    except OSError:  # a socket, or a terminal of another user
        return os.dup(1)
