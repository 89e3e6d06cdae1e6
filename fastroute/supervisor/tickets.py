"""The keys of TLS session tickets: generated here, sent to all workers, rotated, and never written to disk.

A ticket is valid for TICKET_LIFE at any worker. New tickets are encrypted with one key for ROTATION. Workers do not
receive a key at the same instant, so each key is sent one rotation before it is used. It is kept until the last
ticket encrypted with it has expired. So a stolen memory image decrypts no older session.
"""

import os
from collections import deque

TICKET_LIFE = 7200.0  # seconds (ext/tls/context.pyx)
ROTATION = 3600.0  # seconds between two keys
KEY_SIZE = 80  # bytes: a name of 16, an AES-256 key and an HMAC-SHA256 key (ext/tls/ticket.pyx)
_PAST = int(-(-TICKET_LIFE // ROTATION))  # number of previous keys whose tickets may still be valid


class Tickets:
    """The current keys in their order."""

    def __init__(self) -> None:
        self._current, self._next = os.urandom(KEY_SIZE), os.urandom(KEY_SIZE)
        self._past: deque[bytes] = deque(maxlen=_PAST)

    def rotate(self) -> None:
        """Makes the next key the one that encrypts new tickets."""
        self._past.appendleft(self._current)
        self._current, self._next = self._next, os.urandom(KEY_SIZE)

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The key that encrypts tickets, then the other keys that decrypt them."""
        return (self._current, self._next, *self._past)
