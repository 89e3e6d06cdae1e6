"""The report of a worker that no file descriptor was left."""

from typing import Annotated, Literal

import msgspec


class Short(msgspec.Struct, frozen=True, tag="short"):
    """`times`: how often no descriptor was left since the last report, for clients ("accept") or for connections to
    backends ("connect", also if no local port was left). "share": how often a namespace that has its share of these
    connections was refused another one."""

    use: Literal["accept", "connect", "share"]
    error: Annotated[int, msgspec.Meta(ge=1, le=4095)]  # errno
    times: Annotated[int, msgspec.Meta(ge=1, le=1 << 32)]
