"""Durations in the format of GEP-2257: "1h30m", "10s", "500ms"; up to four parts of up to five digits each."""

import re

_FORM = re.compile(r"([0-9]{1,5}(h|m|s|ms)){1,4}")
_PART = re.compile(r"([0-9]{1,5})(ms|h|m|s)")
_MILLISECONDS = {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}


def milliseconds(text: str) -> int:
    """The length of a duration. Raises ValueError for any other text, which the schema rejects earlier."""
    if not _FORM.fullmatch(text):
        raise ValueError(f"not a duration: {text!r}")
    return sum(int(count) * _MILLISECONDS[unit] for count, unit in _PART.findall(text))
