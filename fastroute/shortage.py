"""The report of a worker that no file descriptor was left."""

from typing import Annotated, Literal

import msgspec


class Short(msgspec.Struct, frozen=True, tag="short"):
    """`times`: how often no descriptor was left since the last report, for clients ("accept") or for connections to
    backends ("connect", also if no local port was left)."""

    use: Literal["accept", "connect"]
    error: Annotated[int, msgspec.Meta(ge=1, le=4095)]  # errno
    times: Annotated[int, msgspec.Meta(ge=1, le=1 << 32)]
