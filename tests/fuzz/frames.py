"""The stream of publications: fragments, and the messages in them, in both directions.

Both are decoded in Python, so libFuzzer has nothing to count here: `mutate` changes inputs at random. The first byte of
an input is the size of the pieces in which the stream arrives, and its highest bit selects the direction.
"""

import random
from typing import Any

from fastroute.publication import Downward, Upward
from fastroute.wire import Decoder, WireError, encode

UPWARD = 0x80
EXTREMES = (b"\x00", b"\x7f", b"\x80", b"\xff", b"\xc0", b"\x00\x00", b"\xff\xff", b"\x80\x00\x00\x01", b"\x91" * 2000)


def read(data: bytes, kind: Any, step: int) -> tuple[list[bytes], str]:
    """The messages of a stream, encoded again, and the error that ended it."""
    decoder: Decoder[Any] = Decoder(kind)
    found: list[bytes] = []
    try:
        for at in range(0, len(data), step):
            decoder.feed(data[at : at + step])
            found.extend(encode(message) for message in decoder)
    except WireError as error:
        return found, str(error)
    return found, ""


def replay(data: bytes) -> str | None:
    """None, or a description of the broken property, like the compiled targets."""
    if len(data) < 2:
        return None
    kind = Upward if data[0] & UPWARD else Downward
    try:
        whole = read(data[1:], kind, len(data))
        if whole != read(data[1:], kind, (data[0] & 0x7F) + 1):
            return "the messages depend on how the stream was split"
        if read(b"".join(whole[0]), kind, len(data)) != (whole[0], ""):
            return "a message is not the same after it was encoded again"
    except Exception as error:  # any other than WireError is a finding
        return f"{type(error).__name__}: {error}"
    return None


def mutate(data: bytes, others: list[bytes], drawn: random.Random) -> bytes:
    """A few changes: a bit, a byte, a piece removed, repeated, or taken from another input."""
    made = bytearray(data)
    for _ in range(drawn.randint(1, 4)):
        at = drawn.randint(0, len(made))
        end = min(len(made), at + drawn.choice((1, 1, 2, 4, 16, 64)))
        match drawn.randrange(6):
            case 0 if at < len(made):
                made[at] ^= 1 << drawn.randrange(8)
            case 1 if at < len(made):
                made[at] = drawn.randrange(256)
            case 2:
                del made[at:end]
            case 3:
                made[at:at] = made[at:end]
            case 4:
                made[at:end] = drawn.choice(EXTREMES)
            case _:
                other = drawn.choice(others)
                start = drawn.randint(0, len(other))
                made[at:at] = other[start : start + drawn.randint(1, 64)]
    return bytes(made)
