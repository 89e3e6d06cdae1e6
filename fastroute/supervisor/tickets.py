"""The keys of TLS session tickets: made here, told to all workers, replaced before they grow old, written nowhere.

A ticket is good for TICKET_LIFE at any worker. New tickets are made with one key at a time, for ROTATION. A key is
known to every worker one rotation before it is used, for workers do not hear of it in the same instant, and stays until
the last ticket made with it is out of date. A stolen memory opens no session older than that.
"""

import os
from collections import deque

TICKET_LIFE = 7200.0  # seconds (ext/context.pyx)
ROTATION = 3600.0  # seconds between two keys
KEY_SIZE = 80  # bytes: a name of 16, keys of AES-256 and of HMAC-SHA256 (ext/ticket.pyx)
_PAST = int(-(-TICKET_LIFE // ROTATION))  # keys of before whose tickets may still be good


class Tickets:
    """The keys of now, and their order."""

    def __init__(self) -> None:
        self._current, self._next = os.urandom(KEY_SIZE), os.urandom(KEY_SIZE)
        self._past: deque[bytes] = deque(maxlen=_PAST)

    def rotate(self) -> None:
        """The next key becomes the one that tickets are made with."""
        self._past.appendleft(self._current)
        self._current, self._next = self._next, os.urandom(KEY_SIZE)

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The one to make tickets with, then the others that open them."""
        return (self._current, self._next, *self._past)
