"""Durations as routes write them (GEP-2257): one to four of `1h`, `30m`, `10s`, `500ms`, up to five digits each."""

import re

_UNITS = {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_PART = re.compile(r"([0-9]{1,5})(h|ms|m|s)")


def milliseconds(duration: str | None) -> int:
    """The duration in milliseconds; 0, which means no timeout, when it is absent or written as zero.

    The schema has checked its form; anything else is an error of ours and raises ValueError.
    """
    if duration is None:
        return 0
    parts = _PART.findall(duration)
    if "".join(number + unit for number, unit in parts) != duration or not parts:
        raise ValueError(f"{duration!r} is not a GEP-2257 duration")
    return sum(int(number) * _UNITS[unit] for number, unit in parts)
