"""The report of a worker that no file descriptor was left."""

from typing import Annotated, Literal

import msgspec


class Short(msgspec.Struct, frozen=True, tag="short"):
    """`times`: how often no descriptor was left since the last report, for clients ("accept") or for connections to
    backends ("connect", also if no local port was left). "share": how often a request was refused because the routes
    of its namespace may have no more of these connections."""

    use: Literal["accept", "connect", "share"]
    error: Annotated[int, msgspec.Meta(ge=1, le=4095)]  # errno
    times: Annotated[int, msgspec.Meta(ge=1, le=1 << 32)]
