"""The stream to the main process: messages, and file descriptors sent with them.

A descriptor arrives with (or before) the bytes of its message, and descriptors keep the order of their messages. So the
code that processes such a message takes the oldest descriptor (SCM_RIGHTS, unix(7)).
"""

import array
import os
import socket
from collections import deque

import trio

from fastroute.descriptors import is_shortage
from fastroute.publication import Downward, Upward
from fastroute.wire import Decoder, encode

_PIECE = 64 * 1024
_PAUSE = 0.1  # seconds after a send for which the kernel has no memory
LOST = -1  # instead of a descriptor that did not arrive, because this process has reached its limit
_DESCRIPTORS = 64  # the maximum number that arrives with one read


class ControlStream:
    """The worker's end of the stream. Closing it also closes descriptors that were not taken."""

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self._socket = sock
        self._decoder = Decoder[Downward](Downward)
        self._descriptors: deque[int] = deque()
        self._sending = trio.Lock()
        self._unsent = bytearray()  # a message of each task that sends, and what a cancelled task has left

    def __enter__(self) -> "ControlStream":
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.close()
        while self._descriptors:
            if (descriptor := self._descriptors.popleft()) != LOST:
                os.close(descriptor)

    async def receive(self) -> Downward | None:
        """The next message; None when the main process is gone. Raises WireError."""
        while (message := self.next_message()) is None:
            if not await self.receive_piece():
                return None
        return message

    def next_message(self) -> Downward | None:
        """The next message, if all of it was received. Raises WireError."""
        return self._decoder.next_message()

    async def receive_piece(self) -> bool:
        """Waits for a part of a message; False when the main process is gone."""
        space = socket.CMSG_SPACE(_DESCRIPTORS * 4)
        try:
            data, ancillary, flags, _ = await self._socket.recvmsg(_PIECE, space, socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            return False
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors = array.array("i")
                descriptors.frombytes(payload[: len(payload) - len(payload) % descriptors.itemsize])
                self._descriptors.extend(descriptors)
        if flags & socket.MSG_CTRUNC:
            # Without a free descriptor the kernel drops what was sent: one, or some of those of Start, without which a
            # worker ends. One read returns the descriptors of one message at most.
            self._descriptors.append(LOST)
        self._decoder.feed(data)
        return bool(data)

    def fileno(self) -> int:
        """Readable when a message has arrived."""
        return self._socket.fileno()

    def take_descriptor(self) -> int:
        """The descriptor of the message that was just received, or LOST. The caller must close it."""
        return self._descriptors.popleft()

    async def send(self, message: Upward) -> None:
        """Sends a message; does nothing when the main process is gone. If it is cancelled, the next call sends the
        message, or the rest of it, first."""
        self._unsent += encode(message)
        async with self._sending:
            while self._unsent:
                try:
                    sent = await self._socket.send(self._unsent)
                except OSError as error:
                    if not is_shortage(error):
                        self._unsent.clear()
                        return
                    await trio.sleep(_PAUSE)
                else:
                    del self._unsent[:sent]
