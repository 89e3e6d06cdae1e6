"""The wire between the main process and a worker: messages as bytes.

A message is msgpack, split into fragments of at most 64 KiB. A fragment starts with four bytes, big-endian: the highest
bit means that the message continues in the next fragment, the rest is the length.
"""

from collections.abc import Iterator
from typing import Any, Generic, TypeVar, get_args

import msgspec

FRAGMENT = 64 * 1024  # bytes of a fragment, including its prefix of four bytes
MESSAGE_LIMIT = 64 * 1024 * 1024  # bytes of a message; a longer one means that the stream is corrupt
_PREFIX = 4
PIECE = FRAGMENT - _PREFIX  # bytes of a message in a fragment
_MORE = 1 << 31


class WireError(Exception):
    """The stream is corrupt, or from another version of fastroute. The connection must be closed."""


_encoder = msgspec.msgpack.Encoder()


def encode(message: msgspec.Struct) -> bytes:
    """A message encoded as one or several fragments."""
    return b"".join(_fragments(_encoder.encode(message)))


def is_one_fragment(message: msgspec.Struct) -> bool:
    """Of a message of any size, also of one that is too large to be sent."""
    return len(_encoder.encode(message)) <= PIECE


def _fragments(body: bytes) -> Iterator[bytes]:
    if len(body) > MESSAGE_LIMIT:
        raise WireError(f"a message has {len(body)} bytes; the limit is {MESSAGE_LIMIT}")
    for start in range(0, len(body), PIECE):
        piece = body[start : start + PIECE]
        more = _MORE if start + PIECE < len(body) else 0
        yield (len(piece) | more).to_bytes(_PREFIX, "big") + piece


Message = TypeVar("Message")


class Decoder(Generic[Message]):
    """Takes bytes in pieces of any size and returns messages, one per call. A message is decoded only on demand.

    A worker uses `Decoder(Downward)`, the main process `Decoder(Upward)`. After a WireError it is unusable.
    """

    def __init__(self, messages: type[Message] | Any) -> None:
        assert get_args(messages), "a union of messages"
        self._decode = msgspec.msgpack.Decoder(messages).decode
        self._buffer = bytearray()
        self._start = 0  # index in the buffer of the first unread fragment
        self._pieces: list[bytes] = []  # the received fragments of an incomplete message
        self._size = 0  # bytes in `_pieces`

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Adds received bytes."""
        if self._start:
            del self._buffer[: self._start]
            self._start = 0
        self._buffer += data

    @property
    def pending(self) -> int:
        """The number of bytes that were fed and not yet returned as messages."""
        return len(self._buffer) - self._start + self._size

    def next_message(self) -> Message | None:
        """The next message, or None if more bytes are needed. Raises WireError."""
        while (fragment := self._next_fragment()) is not None:
            more, piece = fragment
            if not more and not self._pieces:
                return self._decoded(piece)
            self._pieces.append(piece)
            self._size += len(piece)
            if self._size > MESSAGE_LIMIT:
                raise WireError(f"a message has more than {MESSAGE_LIMIT} bytes")
            if not more:
                whole = b"".join(self._pieces)
                self._pieces.clear()
                self._size = 0
                return self._decoded(whole)
        return None

    def __iter__(self) -> Iterator[Message]:
        while (message := self.next_message()) is not None:
            yield message

    def _next_fragment(self) -> tuple[bool, bytes] | None:
        begin = self._start + _PREFIX
        if len(self._buffer) < begin:
            return None
        prefix = int.from_bytes(self._buffer[self._start : begin], "big")
        end = begin + (prefix & ~_MORE)
        if end - self._start > FRAGMENT:
            raise WireError(f"a fragment has {end - begin} bytes; the limit is {PIECE}")
        if len(self._buffer) < end:
            return None
        self._start = end
        return bool(prefix & _MORE), bytes(self._buffer[begin:end])

    def _decoded(self, body: bytes) -> Message:
        try:
            return self._decode(body)  # type: ignore[no-any-return]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise WireError(f"a message cannot be decoded: {error}") from error
