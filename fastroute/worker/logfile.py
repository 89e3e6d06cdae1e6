"""The file of the access log: opened by workers to write, and by main to see that it can be."""

import os


def open_log(path: str) -> int:
    """A descriptor to append to. "-" is stdout, by a description of our own where the system allows it: non-blocking is
    a property of the description, and others write to this pipe or terminal too. A named pipe that nobody reads is an
    error, not a reason to wait. Raises OSError."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
    if path != "-":
        return os.open(path, flags | os.O_CREAT, 0o644)
    try:
        return os.open("/proc/self/fd/1", flags)
    except OSError:  # a socket, or somebody else's terminal
        return os.dup(1)
