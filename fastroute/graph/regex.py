"""Whether the data plane's engine (RE2, linear time) takes a route's pattern."""

from functools import lru_cache

from fastroute.ext.regex import Regex


@lru_cache(maxsize=4096)
def regex_error(pattern: str) -> str | None:
    """RE2's complaint, or None."""
    try:
        Regex(pattern)
    except ValueError as error:
        return str(error)
    return None
